import pytest
from starlette.responses import Response

from service.direct_route import DirectRoute


def test_an_endpoint_that_takes_more_than_the_request_is_refused():
    async def endpoint(n: int) -> Response:
        return Response(str(n))

    with pytest.raises(TypeError, match="takes the request alone"):
        DirectRoute("/busy", endpoint)
