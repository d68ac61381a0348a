"""A client of the service: one file that needs nothing but Python, to import or to copy.

    with Client("http://127.0.0.1:8000", key="sw_…") as client:
        reply = client.recommend("ada", n=5)
        client.event("like", user_id="ada", item_id=reply["items"][0]["item_id"],
                     request_id=reply["request_id"])

It waits and tries again when the service says that it is busy or does not answer. Events get
their ids here, so that one that is sent again is not counted again.
"""

import http.client
import json
import random
import time
import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

_TRY_AGAIN: Final = frozenset({429, 503})
_BATCH: Final = 1_000


class ServiceError(Exception):
    """The service refused a call, or could not be reached.

    Attributes:
      status: The HTTP status; 0 when there was no answer.
      code: Machine-readable reason.
      request_id: To find the call in the service's log.
    """

    def __init__(self, status: int, code: str, detail: str, request_id: str = "") -> None:
        super().__init__(f"{status} {code}: {detail}" if status else f"{code}: {detail}")
        self.status, self.code, self.request_id = status, code, request_id


class Client:
    """One connection to a service; not for several threads at once."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 10, tries: int = 4
    ) -> None:
        """A client that connects at its first call.

        Args:
          url: Where the service answers.
          key: An API key, where the service asks for one.
          timeout_s: How long an answer may take.
          tries: How often a call is tried in all.
        """
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
        self._tries = tries

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._connection.close()

    def recommend(self, user_id: str | None = None, **asked: Any) -> dict[str, Any]:
        """The reply of `POST /recommend`; see its fields there, such as `n` and `explain`."""
        return self.call("POST", "/recommend", {"user_id": user_id, **asked})

    def event(self, event_type: str, **fields: Any) -> dict[str, Any]:
        """Sends one event; its fields are those of `POST /events`."""
        return self.events([{"event_type": event_type, **fields}])

    def events(self, events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Sends any number of events; they are durable on return.

        Returns:
          `accepted`, `duplicates`, and the `rejected` with their places among all.
        """
        told: dict[str, Any] = {"accepted": 0, "duplicates": 0, "rejected": []}
        made = [{"event_id": uuid.uuid4().hex, **event} for event in events]
        for start in range(0, len(made), _BATCH):
            answer = self.call("POST", "/events", {"events": made[start : start + _BATCH]})
            told["accepted"] += answer["accepted"]
            told["duplicates"] += answer["duplicates"]
            for each in answer["rejected"]:
                told["rejected"].append({**each, "index": each["index"] + start})
        return told

    def similar(self, item_id: str, **asked: Any) -> dict[str, Any]:
        """Items like an item: `n`, `by`."""
        return self.call("GET", f"/items/{quote(item_id, safe='')}/similar", query=asked)

    def popular(self, **asked: Any) -> dict[str, Any]:
        """What is popular: `n`, `window`."""
        return self.call("GET", "/popular", query=asked)

    def put_items(self, items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Describes any number of items; what each batch of 1,000 came to."""
        made = list(items)
        starts = range(0, len(made), _BATCH)
        return [self.call("PUT", "/items", {"items": made[at : at + _BATCH]}) for at in starts]

    def erase_user(self, user_id: str) -> dict[str, Any]:
        """Erases all that is known of a user; the receipt."""
        return self.call("DELETE", f"/users/{quote(user_id, safe='')}")

    def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Any call, by its path with ids encoded.

        Raises:
          ServiceError: If the service refuses it, or does not answer after all tries.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body)
        last = ServiceError(0, "no_answer", "the service was not asked")
        for number in range(self._tries):
            try:
                self._connection.request(method, target, content, self._headers)
                answer = self._connection.getresponse()
                said, wait_s = json.loads(answer.read()), answer.headers.get("Retry-After", "0")
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._connection.close()
                last, wait_s = ServiceError(0, "no_answer", str(error)), "0"
            else:
                if answer.status < 300:
                    return dict(said)
                last = ServiceError(answer.status, said["code"], said["detail"], said["request_id"])
                if answer.status not in _TRY_AGAIN:
                    raise last
            if number + 1 < self._tries:
                time.sleep(float(wait_s) + 0.05 * 2**number * random.uniform(1, 2))  # noqa: S311
        raise last
