"""Python's collector of unreachable cycles, kept from looking at the same objects for ever."""

import gc
from typing import Final

_OLDEST: Final = 2
# Of what is new, so much comes together between two full collections as takes some milliseconds.
_YOUNG_COLLECTIONS: Final = 2


def freeze_what_stays() -> None:
    """What outlived one full collection is passed over by all that follow.

    A full collection halts every request while it visits all there is, which with the memory
    of a thousand users takes a tenth of a second, and comes again and again. What a replaced
    model leaves is freed without it: there are no cycles in it.
    """
    if _freeze not in gc.callbacks:
        gc.callbacks.append(_freeze)
        gc.set_threshold(*gc.get_threshold()[:2], _YOUNG_COLLECTIONS)


def _freeze(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == _OLDEST:
        gc.freeze()
