"""`slowwave forget`: erases a user, and gives a receipt."""

from datetime import UTC, datetime
from typing import Any

from model import snapshot
from model.workspace import Workspace
from pipelines.console import Console, count
from pipelines.opened_log import opened


def forget(workspace: Workspace, *, user_id: str, now_ms: int, console: Console) -> dict[str, Any]:
    """Removes a user's events and metadata from the log; services forget at once.

    The weights of the model forget at the next night.

    Args:
      workspace: Whose log.
      user_id: Whom to forget; somebody unknown is no error.
      now_ms: The present.
      console: Where to tell it.

    Returns:
      The receipt.

    Raises:
      BadInputError: If there is no log.
      LogUnavailableError: If the log cannot be written.
    """
    with opened(workspace.log_path) as log:
        erased = log.erase_user(user_id, now_ms)
    # it may hold something of theirs; services that run drop and make it again by themselves
    snapshot.drop(workspace.snapshot_path)
    if erased.seq is None:
        console.message("Nothing was known of this user.")
    else:
        console.message(
            f"Erased {count(erased.events, 'event')} and {count(erased.changes, 'change')} of "
            f"metadata; running services have forgotten. The weights forget at the next night "
            f"(slowwave consolidate)."
        )
    moment = datetime.fromtimestamp(now_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    return {
        "user_id": user_id,
        "user_digest": erased.digest,
        "erased_at": moment,
        "events": erased.events,
        "metadata_changes": erased.changes,
        "items": erased.items,
        "seq": erased.seq,
        "memory": "at once",
        "weights": "at the next night",
    }
