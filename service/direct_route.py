"""A route for the busiest calls, without the steps that FastAPI takes for the general case."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """Calls an endpoint that takes the request alone, after its checks, and sends the answer.

    It is declared like any other route; matching it again, resolving parameters that are
    not there and opening exit stacks for them costs as much as all else the service does
    for a call. Checks are dependencies that take the request alone and raise to refuse it.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if self.dependant.path_params or self.dependant.query_params or self.body_field:
            raise TypeError(f"{path}: a direct route's endpoint takes the request alone")
        self._checks = [each.dependency for each in self.dependencies if each.dependency]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that came through the router: one of another method."""
        if scope["method"] in (self.methods or ()):
            await self.answer(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; what is raised is for the caller to answer."""
        request = Request(scope, receive, send)
        for check in self._checks:
            await check(request)
        answer = await self.endpoint(request)
        await answer(scope, receive, send)
