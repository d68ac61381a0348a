"""Terms and their numbers; number 0 always stands for a term that is not known."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError

UNKNOWN: Final = 0


class Vocabulary:
    """An append-only list of terms, numbered from 1.

    Numbers never change once given, so an extended vocabulary leaves every array
    that was indexed by the old one valid.
    """

    def __init__(self, terms: Sequence[str] = ()) -> None:
        self._terms = list(terms)
        self._numbers = {term: number for number, term in enumerate(self._terms, start=1)}
        if len(self._numbers) != len(self._terms):
            raise BadInputError("vocabulary terms must be distinct, got a term twice")

    def __len__(self) -> int:
        """Number of known terms, the unknown one not counted."""
        return len(self._terms)

    @property
    def size(self) -> int:
        """Rows a table indexed by this vocabulary needs: the terms and the unknown."""
        return len(self._terms) + 1

    @property
    def terms(self) -> list[str]:
        """The terms in the order of their numbers, the first one being number 1."""
        return self._terms

    def number(self, term: str) -> int:
        """The term's number, or 0 when it is not known."""
        return self._numbers.get(term, UNKNOWN)

    def numbers(self, terms: Sequence[str]) -> NDArray[np.int32]:
        """[terms] numbers, 0 where a term is not known."""
        get = self._numbers.get
        return np.fromiter((get(term, UNKNOWN) for term in terms), np.int32, len(terms))

    def term(self, number: int) -> str | None:
        """The term with this number; None for 0, the unknown.

        Raises:
          IndexError: If the number was never given.
        """
        if number == UNKNOWN:
            return None
        if not 0 < number <= len(self._terms):
            raise IndexError(f"number must lie in [0, {len(self._terms)}], got {number}")
        return self._terms[number - 1]

    def extended(self, terms: Iterable[str]) -> "Vocabulary":
        """A vocabulary with these terms after the present ones; known terms are passed over."""
        fresh = dict.fromkeys(term for term in terms if term not in self._numbers)
        return Vocabulary([*self._terms, *fresh])
