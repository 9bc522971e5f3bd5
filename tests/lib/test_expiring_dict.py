"""A dict that drops what expires first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.lines import count_lines
from unified_llm._lib.expiring_dict import ExpiringDict


def test_what_expires_first_is_dropped_first_but_never_what_was_just_put() -> None:
    kept: ExpiringDict[str, int] = ExpiringDict(2)
    kept.put("late", 1, 30.0)
    kept.put("early", 2, 10.0)
    kept.put("earliest", 3, 1.0)
    assert dict(kept.items()) == {"late": 1, "earliest": 3}
    kept.put("late", 4, 0.5)
    kept.put("new", 5, 20.0)
    assert dict(kept.items()) == {"earliest": 3, "new": 5}


def test_a_key_can_be_looked_up_and_removed() -> None:
    kept: ExpiringDict[str, int] = ExpiringDict(2)
    kept.put("one", 1, 30.0)
    assert ("one" in kept, kept.get("one"), kept.get("two"), len(kept)) == (True, 1, None, 1)
    assert (kept.pop("one"), kept.pop("one"), len(kept)) == (1, None, 0)
    kept.put("one", 1, 30.0)
    kept.clear()
    assert (len(kept), kept.get("one")) == (0, None)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50), st.booleans()), max_size=300), st.integers(1, 5))
def test_it_is_equal_to_a_dict_from_which_the_first_to_expire_is_removed(
    steps: list[tuple[int, int, bool]], most: int
) -> None:
    kept: ExpiringDict[int, int] = ExpiringDict(most)
    expected: dict[int, tuple[int, int]] = {}
    for number, (key, until, removed) in enumerate(steps):
        if removed:
            assert kept.pop(key) == expected.pop(key, (0, None))[1]
            continue
        kept.put(key, number, float(until))
        expected[key] = (until, number)
        if len(expected) > most:
            others = {other: value for other, value in expected.items() if other != key}
            del expected[min(others, key=lambda other: others[other])]
        assert dict(kept.items()) == {key: number for key, (_, number) in expected.items()}
        assert len(kept._heap) <= 2 * most + 65


def test_the_steps_of_a_hundred_thousand_puts_grow_no_faster_than_their_number() -> None:
    kept: ExpiringDict[int, None] = ExpiringDict(1000)
    for number in range(2000):
        kept.put(number, None, 0.0)

    def put(numbers: range) -> None:
        for number in numbers:
            kept.put(number, None, float(number % 977))

    first = count_lines(lambda: put(range(2000, 4000)))
    put(range(4000, 98_000))
    last = count_lines(lambda: put(range(98_000, 100_000)))
    assert last < 1.5 * first < 60_000
