"""Records in Redis: what is written, and what is accepted of what is read."""

from __future__ import annotations

import json
import pickle
from collections.abc import Hashable
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.each import each
from tests.support.policy_harness import target
from unified_llm._lib import bounded_json
from unified_llm._policy.health_changes import LastFailure
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._state.model_list_records import type_name
from unified_llm._state.redis import records
from unified_llm._state.redis.records import Clock, Received, Record
from unified_llm.types import ModelInfo

REMOTE = target("alpha/one", base_url="https://alpha/v1", key="sk-CANARY-of-alpha")
KEYLESS = target("alpha/one", base_url="https://alpha/v1")
LOOPBACK = target("alpha/one", base_url="http://127.0.0.1:8000")
IN_PROCESS = target("mlx/demo")
WRAPPED = target("alpha/one", base_url="https://alpha/v1", instance=SimpleNamespace(number=7))


def with_every_field() -> ModelInfo:
    """Return a model with a value other than the default in each of its fields."""
    values: dict[str, Any] = {
        "str": "x",
        "int": 7,
        "bool": True,
        "frozenset": frozenset({"a", "b"}),
        "tuple": ("a", "b"),
    }
    return ModelInfo(**{field.name: values[type_name(field.name)] for field in fields(ModelInfo)})


MODELS = (
    ModelInfo("one", "alpha"),
    ModelInfo("zwei-é", "alpha", "model", 1_700_000_000, "somebody", 4096, "A model."),
    with_every_field(),
)
LISTED = ("alpha", "https://alpha/v1", None)

UPDATES: list[HealthUpdate] = [
    BreakerOpened(REMOTE.health_key, 99.5, 130.0, REMOTE.name, 3, 5),
    BreakerClosed(REMOTE.health_key, 160.0),
    CooldownStarted(REMOTE.credentials_key, 400.0, "its key was refused (auth)", wait=False),
    CooldownStarted(REMOTE.limit_key, 120.0, "rate limited", wait=True),
    CooldownStarted(KEYLESS.credentials_key, 120.0, "its key was refused (auth)", wait=False),
    CooldownStarted(KEYLESS.limit_key, 120.0, "rate limited", wait=True),
    CooldownStarted(REMOTE.health_key, 120.0, "rate limit exhausted", wait=True),
    BreakerOpened(REMOTE.health_key, 100.0, 130.0, REMOTE.name, 1, 3, 0.25),
    BreakerOpened(
        REMOTE.health_key,
        100.0,
        130.0,
        REMOTE.name,
        1,
        3,
        None,
        LastFailure("server", 503, "HTTP 503", 98.5, elsewhere=True),
    ),
    BreakerOpened(
        REMOTE.health_key,
        100.0,
        130.0,
        REMOTE.name,
        1,
        3,
        None,
        LastFailure("timeout", None, "timed out", 100.0, elsewhere=True),
    ),
]


NOW, ELSEWHERE = Clock(100.0, 5_000.0), Clock(9_000.0, 5_000.0)


def written(update: HealthUpdate, since: float = 100.0) -> str:
    text = records.write(update, "me", since, NOW)
    assert text
    return text


def read(text: str | bytes, clock: Clock = NOW) -> HealthUpdate | None:
    received = records.read(text, clock)
    return received.update if received else None


@each("update", UPDATES)
def test_an_update_is_read_as_it_was_written_on_a_clock_of_another_process(update: HealthUpdate) -> None:
    moved = replace(update, until=update.until - 100.0 + 9_000.0)
    if isinstance(moved, BreakerOpened):
        last = moved.last_failure
        last = last and replace(last, at=last.at - 100.0 + 9_000.0)
        moved = replace(moved, opened=moved.opened - 100.0 + 9_000.0, last_failure=last)
    assert records.read(written(update), ELSEWHERE) == Received(moved, f"{records.name_of(update)}", "me", 9_000.0)


def test_an_update_that_is_read_later_has_the_rest_of_its_time() -> None:
    received = records.read(written(UPDATES[0], since=98.0), Clock(9_000.0, 5_010.0))
    assert received
    assert received.update.until == 9_000.0 + 20.0
    assert received.since == 9_000.0 - 12.0
    assert records.read(written(UPDATES[0]), Clock(9_000.0, 5_029.9))
    assert records.read(written(UPDATES[0]), Clock(9_000.0, 5_030.0)) is None


def test_the_time_of_an_update_does_not_grow_where_the_clock_of_the_server_is_set_back() -> None:
    received = records.read(written(UPDATES[0]), Clock(9_000.0, 1_000.0))
    assert received
    assert (received.since, received.update.until) == (9_000.0, 9_030.0)


def test_no_cooldown_of_another_process_is_longer_than_five_minutes() -> None:
    for seconds in (3_000.0, 1e300):
        update = read(changed(UPDATES[2], seconds=seconds))
        assert update
        assert update.until == 100.0 + 300.0
    assert read(changed(UPDATES[0], seconds=3_000.0)) == replace(UPDATES[0], until=3_100.0)


def test_names_differ_by_what_is_meant() -> None:
    assert len({records.stream_of(update) + f"{records.name_of(update)}" for update in UPDATES}) == 6
    assert records.name_of(UPDATES[0]) == records.name_of(UPDATES[1]), "opened and closed have the same name"


@each("update", UPDATES)
def test_no_key_is_in_a_record_but_its_fingerprint(update: HealthUpdate) -> None:
    assert "CANARY" not in written(update)


@each("key", [IN_PROCESS.health_key, IN_PROCESS.credentials_key, IN_PROCESS.limit_key, WRAPPED.health_key])
def test_what_concerns_this_process_alone_is_not_written(key: Hashable) -> None:
    assert records.write(BreakerClosed(key, 160.0), "me", 100.0, NOW) is None
    assert records.write(CooldownStarted(key, 160.0, "rate limited", wait=True), "me", 100.0, NOW) is None


@each("key", ["alpha", (), ("alpha",), ("alpha", 3), ("alpha", "http://[::1"), ("a", "b", {1})])
def test_a_key_of_another_shape_is_not_written(key: Hashable) -> None:
    assert records.list_key(key) is None


def test_a_server_on_this_machine_is_another_one_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    update = BreakerClosed(LOOPBACK.health_key, 160.0)
    monkeypatch.setattr("socket.gethostname", lambda: "this")
    here = written(update)
    assert read(here)
    monkeypatch.setattr("socket.gethostname", lambda: "that")
    assert written(update) != here
    assert read(here) is None
    assert read(written(UPDATES[0]))


@each(("seconds", "stays"), [(0.9, None), (1.0, 1.0), (3600.0, 3600.0), (1e9, 3600.0)])
def test_what_ends_within_a_second_is_not_written_and_nothing_holds_for_longer_than_an_hour(
    seconds: float, stays: float | None
) -> None:
    text = records.write(BreakerClosed(REMOTE.health_key, 100.0 + seconds), "me", 100.0, NOW)
    update = read(text) if text else None
    assert (update.until - 100.0 if update else None) == stays
    listed = records.write_list(LISTED, MODELS, seconds)
    assert (listed.seconds if listed else None) == stays


def test_an_update_that_happened_an_hour_ago_is_not_written() -> None:
    assert records.write(BreakerClosed(REMOTE.health_key, 1e9), "me", 100.0 - 3_600.0, NOW) is None


def test_an_update_that_is_too_long_is_not_written() -> None:
    assert records.write(BreakerOpened(REMOTE.health_key, 100.0, 130.0, "x" * 9_000, 1, 5), "me", 100.0, NOW) is None


def test_a_name_that_has_no_form_in_utf_8_is_not_written() -> None:
    assert records.write(BreakerOpened(REMOTE.health_key, 100.0, 130.0, "\ud800", 1, 5), "me", 100.0, NOW) is None


def test_counts_beyond_those_that_are_read_are_cut_when_they_are_written() -> None:
    update = BreakerOpened(REMOTE.health_key, 100.0, 130.0, REMOTE.name, 10**9, 10**9)
    assert read(written(update)) == replace(update, trips=999, failures=999)


def changed(update: HealthUpdate, **fields: Any) -> str:
    value = json.loads(written(update)) | fields
    return json.dumps({name: field for name, field in value.items() if field != "absent"})


KEY: tuple[Any, ...] = UPDATES[0].key  # type: ignore[assignment]
WRONG: dict[str, list[Any]] = {
    "v": [1, 3, "2", "absent"],
    "of": ["0", "", "x" * 65, 7, None, "absent", records.name_of(UPDATES[2])],
    "sender": ["", "x" * 65, 7, ["me"], "absent"],
    "at": ["now", None, True, 10**400, -(10**18), 0, [], "absent"],
    "seconds": ["30", None, True, 0, -1, -1e300, {}, "absent"],
    "name": [None, 1, [], "absent"],
    "trips": [0, 1000, "1", 1e300, 1.0, True, "absent"],
    "failures": [0, 1000, "1", 1e300, 1.0, True, "absent"],
    "limit": ["1", True, -0.1, [], "absent"],
    "lag": ["1", True, -0.1, 3601, None, "absent"],
    "key": ["alpha", ["beta", *KEY[1:]], [*KEY[:3], {}], {}, None],
}


@each(
    "text",
    [
        b"\xff\xfe",
        "null",
        "[1]",
        "[" * 8_000,
        pickle.dumps({"v": 2}),
        written(UPDATES[0])[:-3],
        *(changed(UPDATES[0], **{name: value}) for name, values in WRONG.items() for value in values),
        changed(UPDATES[0]).replace("30.0", "NaN"),
        changed(UPDATES[0], **{"is": "opened"}),
        changed(UPDATES[2], wait=1),
        changed(UPDATES[2], reason=["CANARY"]),
    ],
)
def test_what_is_not_exactly_ours_is_ignored(text: str | bytes) -> None:
    assert read(text) is None


LAST = {"kind": "server", "status": 503, "sentence": "HTTP 503", "ago": 1.5}


@each(
    "last",
    [
        7,
        {},
        LAST | {"kind": 1},
        LAST | {"status": "503"},
        LAST | {"status": True},
        LAST | {"status": 10**9},
        LAST | {"sentence": None},
        LAST | {"ago": -1.0},
        LAST | {"ago": "1"},
    ],
)
def test_a_last_failure_that_is_not_exactly_ours_is_left_out(last: Any) -> None:
    assert read(changed(UPDATES[0], last=last)) == UPDATES[0]


def test_what_would_upset_a_log_is_not_repeated() -> None:
    opened = read(changed(UPDATES[0], last=LAST | {"kind": "a\nb", "sentence": "\x1b[31m"}))
    assert isinstance(opened, BreakerOpened)
    assert opened.last_failure
    assert (opened.last_failure.kind, opened.last_failure.sentence) == ("?", "?")
    for name, shown in (("a\nb", "?"), ("a" * 300, "a" * 200)):
        opened = read(changed(UPDATES[0], name=name))
        assert isinstance(opened, BreakerOpened)
        assert opened.name == shown
    started = read(changed(UPDATES[2], reason="\x1b[31m"))
    assert isinstance(started, CooldownStarted)
    assert started.reason == "?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
VALID_SHAPES = st.fixed_dictionaries(
    {
        "v": st.just(2),
        "of": st.text(min_size=1, max_size=64),
        "sender": st.text(min_size=1, max_size=64),
        "at": st.integers(4_900_000, 5_000_000) | JSON,
        "is": st.sampled_from(["open", "closed", "cooldown"]) | JSON,
        "key": JSON,
        "seconds": st.floats(200.0, 300.0) | JSON,
    },
    optional=dict.fromkeys(("name", "trips", "failures", "limit", "lag", "last", "reason", "wait", "models"), JSON),
)


@given(st.binary(max_size=64) | (JSON | VALID_SHAPES).map(json.dumps), st.floats())
def test_nothing_that_is_read_raises_or_is_believed(value: str | bytes, seconds: float) -> None:
    assert read(value) is None
    models = records.read_list(Record("unified-llm:2:models:0", value, seconds))
    assert models is None or models[0] == ()


def test_a_model_list_is_read_as_it_was_written_with_its_age() -> None:
    record = records.write_list(LISTED, MODELS, 300.0)
    assert record
    assert record.key == records.list_key(LISTED)
    assert records.read_list(record) == (MODELS, 0.0)
    assert records.read_list(replace(record, seconds=100.0)) == (MODELS, 200.0)


@pytest.mark.thorough
def test_a_model_list_that_is_too_long_or_of_this_process_alone_is_not_passed_on() -> None:
    assert records.write_list(LISTED, MODELS * 20_000, 300.0) is None
    assert records.write_list(("mlx", "", None), MODELS, 300.0) is None


@each(
    "models",
    [
        None,
        [1],
        [{"id": "a"}],
        [{"id": 1, "provider": "alpha"}],
        [{"id": "a", "provider": "alpha", "raw": {}}],
        [{"id": "a", "provider": "alpha", "created": "now"}],
        [{"id": "a", "provider": "alpha", "created": True}],
        [{"id": "a", "provider": "alpha", "owned_by": 1}],
        [{"id": "a", "provider": "alpha", "features": "tools"}],
        [{"id": "a", "provider": "alpha", "features": [1]}],
        [{"id": "a", "provider": "alpha", "stale": 1}],
    ],
)
def test_a_model_list_of_another_shape_is_ignored(models: Any) -> None:
    good = {"v": 2, "seconds": 300.0, "models": [{"id": "a", "provider": "alpha"}]}
    assert records.read_list(Record("k", bounded_json.dump(good), 100.0)) == ((ModelInfo("a", "alpha"),), 200.0)
    for bad in (good | {"models": models}, good | {"v": 1}, good | {"seconds": None}, good | {"seconds": 99}):
        assert records.read_list(Record("k", bounded_json.dump(bad), 100.0)) is None
