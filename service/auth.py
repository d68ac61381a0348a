"""Who may call what: API keys with the scopes `read`, `write` and `admin`."""

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
          ApiError: 401 without a known key, 403 when the key lacks the scope.
        """
        keys = services(request).keys
        if keys is None:
            return None
        presented = request.headers.get("X-API-Key")
        _check(keys, presented, self._scope)
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
