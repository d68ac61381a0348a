"""Who may call what, and how often: API keys with the scopes `read`, `write` and `admin`."""

import math
import time

from fastapi.security import APIKeyHeader
from starlette.requests import HTTPConnection

from service.dependencies import services
from service.errors import ApiError
from service.key_file import KeyFile


class Scoped(APIKeyHeader):
    """A dependency that lets a request pass whose API key has a scope."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            name="X-API-Key",
            scheme_name="ApiKey",
            description="An API key of this workspace; not asked for when auth is off.",
            auto_error=False,
        )
        self._scope = scope

    async def __call__(self, request: HTTPConnection) -> str | None:
        """The presented key.

        Raises:
          ApiError: 401 without a known key, 403 when the key lacks the scope, 429 when its
            holder sends too many requests.
        """
        running = services(request)
        presented = None
        if running.keys is not None:
            presented = request.headers.get("X-API-Key")
            _check(running.keys, presented, self._scope)
        # without keys the address is all that is known of a caller
        caller = presented or (request.client.host if request.client else "")
        if wait_s := running.rates.wait_s(caller, time.monotonic()):
            running.metrics.shed.labels("rate").inc()
            seconds = math.ceil(wait_s)
            raise ApiError(429, "too_many_requests", "slow down", retry_after_s=seconds)
        return presented


def _check(keys: KeyFile, presented: str | None, scope: str) -> None:
    if presented is None:
        raise ApiError(401, "missing_api_key", "an X-API-Key header is required")
    scopes = keys.scopes(presented)
    if scopes is None:
        raise ApiError(401, "unknown_api_key", "the API key is not known")
    if scope not in scopes:
        raise ApiError(403, "missing_scope", f"the API key lacks the scope {scope}")


may_read = Scoped("read")
may_write = Scoped("write")
may_operate = Scoped("admin")
