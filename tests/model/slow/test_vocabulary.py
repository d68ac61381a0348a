"""Terms and numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from model.slow.vocabulary import UNKNOWN, Vocabulary

terms = st.lists(st.text(max_size=5), unique=True, max_size=20)


@given(terms=terms)
def test_numbers_and_terms_are_inverse(terms):
    vocabulary = Vocabulary(terms)
    assert [vocabulary.term(vocabulary.number(term)) for term in terms] == terms
    assert vocabulary.numbers(terms).tolist() == list(range(1, len(terms) + 1))


def test_a_term_that_is_not_known_is_number_zero():
    assert Vocabulary(["a"]).number("b") == UNKNOWN
    assert Vocabulary(["a"]).term(UNKNOWN) is None


@given(old=terms, new=st.lists(st.text(max_size=5), max_size=20))
def test_extending_never_changes_a_number(old, new):
    extended = Vocabulary(old).extended(new)
    assert extended.numbers(old).tolist() == list(range(1, len(old) + 1))
    assert set(extended.terms) == set(old) | set(new)


def test_a_term_twice_is_refused():
    with pytest.raises(BadInputError, match="distinct"):
        Vocabulary(["a", "a"])


def test_a_number_that_was_never_given_is_an_error():
    with pytest.raises(IndexError, match=r"\[0, 1\], got 2"):
        Vocabulary(["a"]).term(2)
