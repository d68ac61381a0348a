"""What was recommended lately: which part of the model earned a success that follows."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

_MOST_REPLIES: Final = 20_000
UNKNOWN: Final = ("unknown", "unknown")


class _Reply(NamedTuple):
    version: str
    item_ids: Sequence[str]
    sources: Sequence[str]


class Replies:
    """The newest lists that this process recommended, by request id."""

    def __init__(self) -> None:
        self._replies: OrderedDict[str, _Reply] = OrderedDict()

    def note(
        self, request_id: str, version: str, item_ids: Sequence[str], sources: Sequence[str]
    ) -> None:
        """Remembers a list; of the oldest ones it lets go."""
        self._replies[request_id] = _Reply(version, item_ids, sources)
        if len(self._replies) > _MOST_REPLIES:
            self._replies.popitem(last=False)

    def earned_by(self, request_id: str, item_id: str) -> tuple[str, str]:
        """The part that lifted an item of a list, and the model version; `UNKNOWN` otherwise."""
        reply = self._replies.get(request_id)
        if reply is None or item_id not in reply.item_ids:
            return UNKNOWN
        return reply.sources[list(reply.item_ids).index(item_id)], reply.version

    def clear(self) -> None:
        """Forgets all lists."""
        self._replies.clear()
