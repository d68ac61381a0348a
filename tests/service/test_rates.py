"""How many requests one caller may send: time is told, not waited for."""

import pytest

from service.rates import Rates


def test_a_bucket_fills_evenly_and_holds_a_second():
    rates = Rates(4)
    assert [rates.wait_s("a", 100.0) for _ in range(4)] == [0, 0, 0, 0]
    assert rates.wait_s("a", 100.0) == pytest.approx(0.25)
    assert rates.wait_s("b", 100.0) == 0
    assert [rates.wait_s("a", 100.25) > 0 for _ in range(2)] == [False, True]
    assert [rates.wait_s("a", 160.25) > 0 for _ in range(5)] == [False] * 4 + [True]


def test_a_rate_below_one_a_second_lets_one_through():
    rates = Rates(0.1)
    assert [rates.wait_s("a", 0.0) > 0 for _ in range(2)] == [False, True]
    assert rates.wait_s("a", 10.0) == 0


def test_without_a_rate_nobody_waits():
    rates = Rates(0)
    assert {rates.wait_s("a", 0.0) for _ in range(1_000)} == {0}


def test_of_many_callers_the_oldest_are_forgotten():
    rates = Rates(1)
    assert rates.wait_s("first", 0.0) == 0
    for number in range(9_999):
        assert rates.wait_s(str(number), 0.0) == 0
    assert rates.wait_s("first", 0.0) > 0
    for number in range(10_000, 20_000):
        assert rates.wait_s(str(number), 0.0) == 0
    # forgotten, and so as new
    assert rates.wait_s("first", 0.0) == 0
