"""Which prefix of a prompt is found, and what is dropped, with caches that hold nothing."""

from __future__ import annotations

from typing import Any

from unified_llm._backends.mlx.prefix_cache import PrefixCache, always_trims, can_merge, common_prefix


class FakeCache:
    """A cache of one layer: it holds a number of tokens."""

    def __init__(self, length: int, *, trims: bool = True) -> None:
        self.length, self._trims = length, trims
        self.nbytes = length
        self.state: Any = None

    def is_trimmable(self) -> bool:
        return self._trims

    def trim(self, n: int, /) -> int:
        self.length -= n
        return n


SYSTEM = list(range(100))
TURN = [*SYSTEM, *range(200, 250)]


def put(prefixes: PrefixCache, tokens: list[int], kind: str = "plain", *, trims: bool = True) -> None:
    prefixes.put(kind, tokens, [FakeCache(len(tokens), trims=trims)])


def take(prefixes: PrefixCache, tokens: list[int], kind: str = "plain") -> int:
    """Return how many tokens are saved."""
    found = prefixes.take(kind, tokens)
    if found is None:
        return 0
    caches: Any = found[0]
    assert [cache.length for cache in caches] == [found[1]]
    return found[1]


def test_the_longest_common_prefix_is_taken_but_never_the_last_token() -> None:
    prefixes = PrefixCache(10_000)
    assert take(prefixes, TURN) == 0
    put(prefixes, TURN)
    cases = [
        ([*TURN, 7], 150),
        (TURN, 149),
        ([*SYSTEM, 7], 100),
        (SYSTEM, 99),
        (SYSTEM[:17], 16),
        (SYSTEM[:16], 0),
        ([7], 0),
    ]
    for tokens, saved in cases:
        assert prefixes.usable_length("plain", tokens) == take(prefixes, tokens) == saved
    assert take(prefixes, TURN, kind="quantized") == 0
    assert take(prefixes, [*TURN, 7]) == 150, "what was taken was a copy"


def test_a_cache_that_cannot_be_trimmed_serves_what_begins_with_all_of_it() -> None:
    prefixes = PrefixCache(10_000)
    put(prefixes, SYSTEM, trims=False)
    put(prefixes, TURN, trims=False)
    assert len(prefixes) == 2
    cases = [([*TURN, 7], 150), (TURN, 100), ([*SYSTEM, 7], 100), (SYSTEM, 0), (SYSTEM[:50], 0)]
    for tokens, saved in cases:
        assert take(prefixes, tokens) == saved


def test_an_entry_that_saves_nothing_more_is_not_kept_twice() -> None:
    prefixes = PrefixCache(10_000)
    put(prefixes, SYSTEM)
    put(prefixes, TURN)
    put(prefixes, SYSTEM)
    assert (len(prefixes), prefixes.nbytes) == (1, 150)
    put(prefixes, SYSTEM, "quantized")
    put(prefixes, [*SYSTEM, *range(300, 320)])
    assert len(prefixes) == 3
    put(prefixes, SYSTEM[:15], "short")
    assert len(prefixes) == 3


def test_the_least_recently_used_is_dropped_first_and_the_bounds_are_kept() -> None:
    prefixes = PrefixCache(300, max_entries=3)
    first, second, third, fourth = ([start + number for number in range(100)] for start in (0, 1_000, 2_000, 3_000))
    for tokens in (first, second, third):
        put(prefixes, tokens)
    assert take(prefixes, [*first, 7]) == 100
    put(prefixes, fourth)
    assert [take(prefixes, [*tokens, 7]) for tokens in (first, second, third, fourth)] == [100, 0, 100, 100]
    prefixes.shrink(100)
    assert (len(prefixes), prefixes.nbytes) == (1, 100)
    put(prefixes, TURN)
    assert take(prefixes, [*fourth, 7]) == 100, "an entry beyond the bound drops nothing"
    prefixes.clear()
    assert (len(prefixes), prefixes.nbytes) == (0, 0)


def test_common_prefixes_are_found_at_any_length() -> None:
    long = list(range(2_000))
    for length in (0, 1, 511, 512, 513, 1_024, 1_999, 2_000):
        assert common_prefix(long, [*long[:length], -1]) == length
        assert common_prefix(long[:length], long) == length


def test_what_caches_of_a_model_can_do_is_read_from_them() -> None:
    class Window(FakeCache):
        max_size = 64
        merge = None

    class Several:
        def __init__(self, *caches: object) -> None:
            self.caches = caches

        merge = None

    plain: Any = FakeCache(0)
    plain.merge = None
    assert always_trims([plain, Several(plain)])
    assert not always_trims([plain, FakeCache(0, trims=False)])
    assert not always_trims([plain, Window(0)])
    assert not always_trims([Several(plain, Window(0))])
    assert can_merge([plain, Window(0), Several(plain)])
    assert not can_merge([plain, FakeCache(0)])
    assert not can_merge([Several(plain, FakeCache(0))])


def test_caches_that_are_kept_elsewhere_share_the_bound() -> None:
    prefixes = PrefixCache(250)
    put(prefixes, SYSTEM)
    put(prefixes, [*range(300, 400)])
    prefixes.leave_room(100)
    assert (prefixes.nbytes, take(prefixes, [*SYSTEM, 7])) == (200, 0), "the older one was dropped"
    put(prefixes, [*range(500, 660)])
    assert take(prefixes, [*range(500, 661)]) == 0, "it would not fit beside them"
    prefixes.leave_room(0)
    put(prefixes, TURN)
    assert (prefixes.nbytes, take(prefixes, [*TURN, 7])) == (250, 150)
