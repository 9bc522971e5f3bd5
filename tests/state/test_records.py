"""Records in Redis: what is written, and what is accepted of what is read."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.policy_harness import target
from unified_llm._lib import bounded_json
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._state.redis import records
from unified_llm._state.redis.records import Record
from unified_llm.types import ModelInfo

REMOTE = target("alpha/one", base_url="https://alpha/v1", key="sk-CANARY-of-alpha")
KEYLESS = target("alpha/one", base_url="https://alpha/v1")
LOOPBACK = target("alpha/one", base_url="http://127.0.0.1:8000")
IN_PROCESS = target("mlx/demo")
WRAPPED = target("alpha/one", base_url="https://alpha/v1", instance=SimpleNamespace(number=7))
MODELS = (ModelInfo("one", "alpha"), ModelInfo("zwei-é", "alpha", "somebody", 1_700_000_000, 4096))
LISTED = ("alpha", "https://alpha/v1", None)

UPDATES: list[HealthUpdate] = [
    BreakerOpened(REMOTE.health_key, 130.0, REMOTE.name, 3),
    BreakerClosed(REMOTE.health_key, 160.0),
    CooldownStarted(REMOTE.credentials_key, 400.0, "its key was refused (auth)", wait=False),
    CooldownStarted(REMOTE.limit_key, 120.0, "rate limited", wait=True),
    CooldownStarted(KEYLESS.credentials_key, 120.0, "its key was refused (auth)", wait=False),
    CooldownStarted(KEYLESS.limit_key, 120.0, "rate limited", wait=True),
    CooldownStarted(REMOTE.health_key, 120.0, "rate limit exhausted", wait=True),
]


def written(update: HealthUpdate, now: float = 100.0) -> Record:
    record = records.write(update, "me-1", now)
    assert record
    return record


@pytest.mark.parametrize("update", UPDATES)
def test_an_update_is_read_as_it_was_written_on_a_clock_of_another_process(update: HealthUpdate) -> None:
    record = written(update)
    assert record.key.startswith("unified-llm:1:")
    read = records.read(replace(record, value=record.value), 9_000.0)
    assert read == (replace(update, until=update.until - 100.0 + 9_000.0), "me-1")


def test_keys_differ_by_what_is_meant() -> None:
    assert len({written(update).key for update in UPDATES}) == 6, "opened and closed have the same key"


@pytest.mark.parametrize("update", UPDATES)
def test_no_key_is_in_a_record_but_its_fingerprint(update: HealthUpdate) -> None:
    assert "CANARY" not in f"{written(update)}"


@pytest.mark.parametrize(
    "key", [IN_PROCESS.health_key, IN_PROCESS.credentials_key, IN_PROCESS.limit_key, WRAPPED.health_key]
)
def test_what_concerns_this_process_alone_is_not_written(key: Hashable) -> None:
    assert records.write(BreakerClosed(key, 160.0), "me-1", 100.0) is None
    assert records.write(CooldownStarted(key, 160.0, "rate limited", wait=True), "me-1", 100.0) is None


@pytest.mark.parametrize("key", ["alpha", (), ("alpha",), ("alpha", 3), ("alpha", "http://[::1"), ("a", "b", {1})])
def test_a_key_of_another_shape_is_not_written(key: Hashable) -> None:
    assert records.list_key(key) is None


def test_a_server_on_this_machine_is_another_one_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    update = BreakerClosed(LOOPBACK.health_key, 160.0)
    monkeypatch.setattr("socket.gethostname", lambda: "this")
    here = written(update)
    assert records.read(here, 100.0)
    monkeypatch.setattr("socket.gethostname", lambda: "that")
    assert written(update).key != here.key
    assert records.read(here, 100.0) is None
    assert records.read(written(UPDATES[0]), 100.0)


@pytest.mark.parametrize(("seconds", "stays"), [(0.9, None), (1.0, 1.0), (3600.0, 3600.0), (1e9, 3600.0)])
def test_what_ends_within_a_second_is_not_written_and_nothing_stays_for_longer_than_an_hour(
    seconds: float, stays: float | None
) -> None:
    record = records.write(BreakerClosed(REMOTE.health_key, 100.0 + seconds), "me-1", 100.0)
    assert (record.seconds if record else None) == stays
    listed = records.write_list(LISTED, MODELS, seconds)
    assert (listed.seconds if listed else None) == stays


def test_an_update_that_is_too_long_is_not_written() -> None:
    assert records.write(BreakerOpened(REMOTE.health_key, 130.0, "x" * 9_000, 1), "me-1", 100.0) is None


def changed(update: HealthUpdate, **fields: Any) -> Record:
    record = written(update)
    value = json.loads(record.value) | fields
    return replace(record, value=json.dumps({name: field for name, field in value.items() if field != "absent"}))


@pytest.mark.parametrize(
    "record",
    [
        replace(written(UPDATES[0]), value=b"\xff\xfe"),
        replace(written(UPDATES[0]), value="null"),
        replace(written(UPDATES[0]), value="[1]"),
        replace(written(UPDATES[0]), value=f"{written(UPDATES[0]).value!s}"[:-3]),
        replace(written(UPDATES[0]), key="unified-llm:1:breaker:0"),
        replace(written(UPDATES[0]), key=written(UPDATES[1]).key.replace("breaker", "cooldown")),
        replace(written(UPDATES[0]), seconds=0.0),
        replace(written(UPDATES[0]), seconds=3601.0),
        changed(UPDATES[0], v=2),
        changed(UPDATES[0], v="absent"),
        changed(UPDATES[0], id=7),
        changed(UPDATES[0], id="absent"),
        changed(UPDATES[0], name=None),
        changed(UPDATES[0], trips=0),
        changed(UPDATES[0], trips=1000),
        changed(UPDATES[0], trips="1"),
        changed(UPDATES[0], trips=1e300),
        changed(UPDATES[0], key="alpha"),
        changed(UPDATES[0], key=["beta", *UPDATES[0].key[1:]]),  # type: ignore[index]
        changed(UPDATES[0], key=[*UPDATES[0].key[:3], {}]),  # type: ignore[index]
        changed(UPDATES[0], **{"is": "opened"}),
        changed(UPDATES[2], wait=1),
        changed(UPDATES[2], reason=["CANARY"]),
    ],
)
def test_what_is_not_exactly_ours_is_ignored(record: Record) -> None:
    assert records.read(record, 100.0) is None


def test_what_would_upset_a_log_is_not_repeated() -> None:
    for name, shown in (("a\nb", "?"), ("a" * 300, "a" * 200)):
        opened = records.read(changed(UPDATES[0], name=name), 100.0)
        assert opened
        assert isinstance(opened[0], BreakerOpened)
        assert opened[0].name == shown
    started = records.read(changed(UPDATES[2], reason="\x1b[31m"), 100.0)
    assert started
    assert isinstance(started[0], CooldownStarted)
    assert started[0].reason == "?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
VALID_SHAPES = st.fixed_dictionaries(
    {"v": st.just(1), "id": JSON, "is": st.sampled_from(["open", "closed", "cooldown"]) | JSON, "key": JSON},
    optional={"name": JSON, "trips": JSON, "reason": JSON, "wait": JSON, "seconds": JSON, "models": JSON},
)


@given(st.binary(max_size=64) | (JSON | VALID_SHAPES).map(json.dumps), st.floats())
def test_nothing_that_is_read_raises_or_is_believed(value: str | bytes, seconds: float) -> None:
    record = Record("unified-llm:1:breaker:0", value, seconds)
    assert records.read(record, 0.0) is None
    models = records.read_list(record)
    assert models is None or models[0] == ()


def test_a_model_list_is_read_as_it_was_written_with_its_age() -> None:
    record = records.write_list(LISTED, MODELS, 300.0)
    assert record
    assert record.key == records.list_key(LISTED)
    assert records.read_list(record) == (MODELS, 0.0)
    assert records.read_list(replace(record, seconds=100.0)) == (MODELS, 200.0)


def test_a_model_list_that_is_too_long_or_of_this_process_alone_is_not_passed_on() -> None:
    assert records.write_list(LISTED, MODELS * 40_000, 300.0) is None
    assert records.write_list(("mlx", "", None), MODELS, 300.0) is None


@pytest.mark.parametrize(
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
    ],
)
def test_a_model_list_of_another_shape_is_ignored(models: Any) -> None:
    good = {"v": 1, "seconds": 300.0, "models": [{"id": "a", "provider": "alpha"}]}
    assert records.read_list(Record("k", bounded_json.dump(good), 100.0)) == ((ModelInfo("a", "alpha"),), 200.0)
    for bad in (good | {"models": models}, good | {"v": 2}, good | {"seconds": None}, good | {"seconds": 99}):
        assert records.read_list(Record("k", bounded_json.dump(bad), 100.0)) is None
