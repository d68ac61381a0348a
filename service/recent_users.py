"""Who was asked for lately: a new model is made ready for them before it serves."""

from collections import OrderedDict
from typing import Final

_MOST_USERS: Final = 1_000


class RecentUsers:
    """The users that this process was asked for last."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, None] = OrderedDict()

    def note(self, user_id: str) -> None:
        """Remembers a user; lets go of the one that was not asked for the longest."""
        self._users[user_id] = None
        self._users.move_to_end(user_id)
        if len(self._users) > _MOST_USERS:
            self._users.popitem(last=False)

    def forget(self, user_id: str) -> None:
        """Lets go of a user."""
        self._users.pop(user_id, None)

    def newest_first(self) -> list[str]:
        """All of them, as they are now."""
        return list(self._users)[::-1]
