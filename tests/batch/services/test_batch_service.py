"""Requests in batches of providers: what is begun, waited for, collected, and found again after a SIGKILL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_services import (
    MODELS,
    KilledError,
    MemoryWork,
    ServiceWorld,
    chat_lines,
    error_of,
    reply_to,
    text_of_entry,
)
from unified_llm import LLMClient
from unified_llm._formats.batch_limits import batch_limits
from unified_llm._lib.checkpoint import CheckpointError
from unified_llm.batch._services import begin, parts
from unified_llm.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LLMError,
    RateLimitError,
    ServiceUnavailableError,
    TimeoutError,
)

ALL = sorted(MODELS)
FIVE = ("a", "b", "c", "d", "e")
ECHOES = {f"key-{number}": f"echo {text}" for number, text in enumerate(FIVE)}


@pytest.fixture(params=ALL)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceWorld:
    return ServiceWorld(request.param, tmp_path)


@pytest.fixture(params=["anthropic/claude-haiku-4-5", "openai/gpt-5-mini"])
def one_of_two(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceWorld:
    """A provider that keeps no name of a batch, and one that does and takes a file."""
    return ServiceWorld(request.param, tmp_path)


def test_requests_are_answered_by_one_batch_whatever_the_order_of_its_results(world: ServiceWorld) -> None:
    work = world.work(*FIVE)
    outcome = world.run(work)
    assert (outcome.errors, work.texts) == ({}, ECHOES)
    assert world.provider.log.count("create") == 1
    response = work.stored["key-0"]
    assert response.request_id == ("req_1" if world.model.startswith(("openai", "mistral")) else None)
    assert f"{response.provider}/" in world.model + "/"
    assert [str(attempt) for attempt in response.attempts] == ["answered"]


def answers(world: ServiceWorld, **by_text: Any) -> None:
    """Let some entries have another result, by their prompts: a status, ``expired`` or ``missing``."""

    def answer(body: Any) -> Any:
        special = by_text.get(text_of_entry(body))
        if isinstance(special, int):
            return special, error_of(world.model, special)
        return special or (200, reply_to(world.model, body))

    world.provider.answer = answer


def test_each_request_that_was_not_answered_has_the_error_that_a_call_would_have(world: ServiceWorld) -> None:
    answers(world, a=400, b=429, c="expired", d="missing", f=404)
    work = world.work(*FIVE, "f")
    outcome = world.run(work)
    assert work.texts == {"key-4": "echo e"}
    kinds = {key: type(error) for key, error in outcome.errors.items()}
    gemini = world.model.startswith("gemini")
    assert issubclass(kinds.pop("key-5"), LLMError)
    assert kinds == {
        "key-0": BadRequestError,
        "key-1": RateLimitError,
        "key-2": ServiceUnavailableError if gemini else TimeoutError,
        "key-3": TimeoutError,
    }
    assert all(error.attempts and world.model in str(error) for error in outcome.errors.values())
    # A later run asks again for these alone.
    answers(world)
    assert world.run(work).errors == {}
    assert work.texts == {**ECHOES, "key-5": "echo f"}
    assert [len(job.entries) for job in world.provider.jobs.values()] == [6, 5]


KINDS = (
    "BatchUploadRequest", "BatchCreateRequest", "BatchLookRequest", "BatchResultsRequest", "BatchListRequest",
)  # fmt: skip


@pytest.mark.parametrize("when", ["kill_at", "kill_after"])
def test_a_process_that_is_killed_anywhere_begins_no_second_batch(world: ServiceWorld, when: str) -> None:
    for kind in KINDS:
        world = ServiceWorld(world.model, world.folder / f"{kind}-{when}")
        world.folder.mkdir()
        # Another batch of the account, of as many requests, which is not to be taken for ours.
        world.provider.begin([(f"other-{number}", {"messages": [{"content": "x"}]}) for number in range(5)])
        work, kills = world.work(*FIVE), 0
        setattr(world, when, lambda name, kind=kind: name == kind)
        try:
            world.run(work)
        except KilledError:
            kills += 1
        setattr(world, when, lambda _: False)
        outcome = world.run(work)
        assert (outcome.errors, work.texts) == ({}, ECHOES), kind
        assert len(world.provider.jobs) == 2, kind
        assert kills or kind in {"BatchListRequest", "BatchUploadRequest", "BatchResultsRequest"}


def test_a_batch_whose_creation_was_not_confirmed_is_found_again(one_of_two: ServiceWorld) -> None:
    for fault in ("lost", 500, 503):
        one_of_two = ServiceWorld(one_of_two.model, one_of_two.folder / f"{fault}")
        one_of_two.folder.mkdir()
        one_of_two.provider.faults = {"create": [fault], "list": [500, 500, 500, 500]}
        work = one_of_two.work(*FIVE)
        assert (one_of_two.run(work).errors, work.texts) == ({}, ECHOES)
        assert len(one_of_two.provider.jobs) == 1
        assert one_of_two.provider.log.count("create") == (1 if fault == "lost" else 2)


def test_a_batch_of_others_is_neither_taken_nor_cancelled(tmp_path: Path) -> None:
    world = ServiceWorld("anthropic/claude-haiku-4-5", tmp_path)
    world.provider.faults = {"create": [500]}
    theirs = world.provider.begin([(f"theirs-{number}", {"messages": [{"content": "x"}]}) for number in range(5)])
    work = world.work(*FIVE)
    outcome = world.run(work, deadline=7200.0)
    assert (outcome.errors, work.texts) == ({}, ECHOES)
    assert len(world.provider.jobs) == 2
    assert theirs.cancelled_at is None


def test_a_batch_is_waited_for_while_looks_and_downloads_fail(one_of_two: ServiceWorld) -> None:
    one_of_two.provider.faults = {"look": [500] * 30, "results": [502] * 10}
    work = one_of_two.work(*FIVE)
    assert (one_of_two.run(work).errors, work.texts) == ({}, ECHOES)
    assert len(one_of_two.provider.jobs) == 1


def test_a_refused_key_ends_the_run_and_loses_nothing(one_of_two: ServiceWorld) -> None:
    one_of_two.provider.faults = {"look": [None, 401]}
    work = one_of_two.work(*FIVE)
    with pytest.raises(AuthenticationError):
        one_of_two.run(work)
    assert "run the same command again" in one_of_two.notes[-1]
    assert (one_of_two.run(work).errors, work.texts) == ({}, ECHOES)
    assert len(one_of_two.provider.jobs) == 1


def test_a_batch_that_is_gone_fails_its_requests_and_a_later_run_begins_another(one_of_two: ServiceWorld) -> None:
    work = one_of_two.work(*FIVE)
    one_of_two.provider.faults = {"look": [None, *[404] * 20]}
    outcome = one_of_two.run(work)
    assert work.stored == {}
    assert outcome.errors.keys() == ECHOES.keys()
    assert "not there any more" in str(outcome.errors["key-0"])
    one_of_two.provider.faults = {}
    assert (one_of_two.run(work).errors, work.texts) == ({}, ECHOES)


def test_a_deadline_cancels_the_batch_collects_it_and_leaves_the_rest_to_calls(world: ServiceWorld) -> None:
    answers(world, a=400, b=429)
    world.provider.duration = 80_000.0
    work = world.work(*FIVE)
    world.provider.done_at_cancel = 0.7
    began = world.clock
    outcome = world.run(work, deadline=7200.0)
    assert work.texts == {"key-2": "echo c"}
    assert outcome.errors.keys() == {"key-0"}  # a refusal, which a call would bring again
    assert 7200.0 <= world.clock - began < 7500.0
    assert world.provider.log.count("cancel") == 1
    assert len(world.provider.jobs) == 1
    # What was left to calls is not put into a batch again.
    before = len(world.provider.log)
    assert world.run(world.work(*FIVE), deadline=7200.0).errors == {}
    assert world.provider.log[before:] == []


def test_what_comes_after_the_deadline_is_kept_apart(world: ServiceWorld) -> None:
    world.provider.duration, world.provider.cancel_duration, world.provider.done_at_cancel = 9e4, 3000.0, 1.0
    work = world.work(*FIVE)
    outcome = world.run(work, deadline=7200.0)
    assert (work.stored, outcome.errors, len(outcome.left)) == ({}, {}, 1)
    assert world.clock < 1_800_000_000.0 + 7200 + 600 + 120
    for line in work.given[:3]:  # by calls
        work.store(line, "a call's response")
    world.clock += 3000.0
    outcome = world.run(work, deadline=7200.0)
    assert outcome.left == ()
    assert [key for key, _ in work.late] == ["key-0", "key-1", "key-2"]
    assert work.stored["key-0"] == "a call's response"
    assert work.stored["key-3"].content == "echo d"  # which no call had answered
    assert len(world.provider.jobs) == 1


def test_a_run_that_ends_after_its_deadline_cancels_first(one_of_two: ServiceWorld) -> None:
    one_of_two.provider.duration = 80_000.0
    one_of_two.kill_after = lambda kind: kind == "BatchLookRequest"
    work = one_of_two.work(*FIVE)
    with pytest.raises(KilledError):
        one_of_two.run(work, deadline=7200.0)
    one_of_two.kill_after = lambda _: False
    one_of_two.clock += 20_000.0
    one_of_two.run(work, deadline=7200.0)
    assert one_of_two.provider.log.count("cancel") == 1
    assert len(work.stored) == 2


def test_a_cancel_that_fails_is_repeated_and_bounded(one_of_two: ServiceWorld) -> None:
    one_of_two.provider.duration, one_of_two.provider.faults = 80_000.0, {"cancel": [500] * 1000}
    work = one_of_two.work(*FIVE)
    outcome = one_of_two.run(work, deadline=7200.0)
    assert len(outcome.left) == 1
    assert one_of_two.clock < 1_800_000_000.0 + 7200 + 700


def test_a_batch_that_is_refused_for_now_is_begun_later(one_of_two: ServiceWorld) -> None:
    one_of_two.provider.faults = {"create": [429, 429, 429, 429]}
    work = one_of_two.work(*FIVE)
    assert (one_of_two.run(work).errors, work.texts) == ({}, ECHOES)
    assert len(one_of_two.provider.jobs) == 1


def test_a_batch_that_is_refused_fails_its_requests_and_no_others(one_of_two: ServiceWorld) -> None:
    one_of_two.provider.faults = {"create": [400]}
    work = one_of_two.work(*FIVE)
    work.given += chat_lines(one_of_two.model.split("/")[0] + "/other-model", "f")
    work.given[5] = replace(work.given[5], position=5, key="key-5")
    outcome = one_of_two.run(work)
    assert {type(error) for error in outcome.errors.values()} == {BadRequestError}
    assert outcome.errors.keys() == ECHOES.keys()
    assert work.texts == {"key-5": "echo f"}
    assert one_of_two.run(work).errors == {}
    assert len(work.texts) == 6


def test_a_batch_that_fails_since_too_much_is_waiting_is_begun_again(world: ServiceWorld) -> None:
    world.provider.fail = [("token_limit_exceeded", "Enqueued token limit reached."), ("invalid_json_line", "no")]
    work = world.work(*FIVE)
    outcome = world.run(work)
    mistral = world.model.startswith("mistral")  # whose errors have no code
    anthropic = world.model.startswith("anthropic")  # which has no such state
    if anthropic:
        return
    assert len(world.provider.jobs) == (1 if mistral else 2)
    assert outcome.errors.keys() == ECHOES.keys()
    assert ("batch_failed" if mistral else "invalid_json_line") in str(outcome.errors["key-0"])


def test_large_inputs_are_split_into_several_batches(one_of_two: ServiceWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = batch_limits(LLMClient(one_of_two.model, api_key="k" * 20).targets[0])
    for module in (parts, begin):
        monkeypatch.setattr(module, "batch_limits", lambda _: replace(limits, entries=2, size=10_000))
    work = one_of_two.work(*FIVE, "x" * 9_900, "y" * 9_900)
    assert one_of_two.run(work).errors == {}
    assert len(work.stored) == 7
    assert [len(job.entries) for job in one_of_two.provider.jobs.values()] == [2, 2, 1, 1, 1]


def test_a_target_without_a_service_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    world = ServiceWorld("openai/gpt-5-mini", tmp_path)
    with pytest.raises(ConfigurationError, match=r"ollama/llama3\.2 has no batch service"):
        world.run(MemoryWork(chat_lines("", "a", client=LLMClient("ollama/llama3.2"))))
    assert world.provider.log == []


def test_another_model_does_not_go_on_with_the_batches_of_a_run(tmp_path: Path) -> None:
    world = ServiceWorld("openai/gpt-5-mini", tmp_path)
    world.kill_after = lambda kind: kind == "BatchLookRequest"
    with pytest.raises(KilledError):
        world.run(world.work("a"))
    with pytest.raises(ConfigurationError, match="has a batch of openai/gpt-5-mini with none of the requests"):
        world.run(MemoryWork(chat_lines("openai/gpt-5", "b")))


def test_no_error_and_no_note_shows_a_prompt_or_a_key(one_of_two: ServiceWorld) -> None:
    answers(one_of_two, secretprompt=400)
    outcome = one_of_two.run(one_of_two.work("secretprompt", "b"))
    shown = "\n".join([*one_of_two.notes, *map(str, outcome.errors.values()), *map(repr, outcome.errors.values())])
    assert "secretprompt" not in shown
    assert "CANARY" not in shown
    assert isinstance(outcome.errors["key-0"], LLMError)


def test_of_two_results_of_one_request_the_response_counts(one_of_two: ServiceWorld) -> None:
    world, on_end = one_of_two, one_of_two.provider.on_end

    def on_doubled(job: Any, not_done: list[str]) -> None:
        results = job.results
        refused = (results[0][0], (400, error_of(world.model, 400)))
        expired = [(identifier, "expired") for identifier, _ in results]
        job.results = [refused, *expired[1:], *results, refused, *expired, ("unknown", results[0][1])]
        on_end(job, not_done)

    world.provider.on_end = on_doubled  # type: ignore[method-assign]
    work = world.work("a", "b", "c")
    assert world.run(work).errors == {}
    assert len(work.stored) == 3


def test_a_batch_is_collected_where_the_input_has_changed_around_its_requests(one_of_two: ServiceWorld) -> None:
    world = one_of_two
    world.kill_after = lambda kind: kind == "BatchCreateRequest"
    with pytest.raises(KilledError):
        world.run(world.work("a", "b", "c", "d"))
    world.kill_after = lambda _: False
    lines = chat_lines(world.model, "x", "y", "d", "a", "c")
    keys = {"a": "key-0", "c": "key-2", "d": "key-3"}
    work = MemoryWork([replace(one, key=keys.get(one.fingerprint, f"new-{one.fingerprint}")) for one in lines])
    assert world.run(work).errors == {}
    assert work.texts == {
        "new-x": "echo x", "new-y": "echo y", "key-0": "echo a", "key-2": "echo c", "key-3": "echo d",
    }  # fmt: skip
    assert sorted(len(job.entries) for job in world.provider.jobs.values()) == [2, 4]
    assert any("1 request of a batch" in note and "are not kept" in note for note in world.notes)


def test_what_a_deadline_left_is_in_a_new_batch_of_a_run_without_one(one_of_two: ServiceWorld) -> None:
    world = one_of_two
    world.provider.duration = 90_000.0
    work = world.work("a", "b", "c", "d")
    assert world.run(work, deadline=7_200.0).errors == {}
    assert len(work.stored) == 2
    world.provider.duration = 600.0
    assert world.run(work).errors == {}
    assert len(work.stored) == 4
    assert [len(job.entries) for job in world.provider.jobs.values()] == [4, 2]


def test_a_damaged_file_of_batches_is_one_error(tmp_path: Path) -> None:
    world = ServiceWorld("openai/gpt-5-mini", tmp_path)
    world.run(world.work("a"))
    path = tmp_path / "out.batches.jsonl"
    whole = path.read_text()
    for name in ("count", "token", "digests"):
        path.write_text(whole.replace(f'"{name}"', '"other"'))
        with pytest.raises(CheckpointError, match="is damaged"):
            world.run(world.work("a"))


@pytest.mark.parametrize("model", [model for model in ALL if not model.startswith("gemini")])
def test_results_that_are_none_or_not_all_are_fetched_again(model: str, tmp_path: Path) -> None:
    for damage in (lambda _: b"<html>502</html>", lambda _: b"", lambda data: data[: data.index(b"\n") + 9]):
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        folder.mkdir()
        world = ServiceWorld(model, folder)
        serve, damaged = world.provider.serve, list[bytes]()

        def serve_damaged(*arguments: Any, serve: Any = serve, damaged: Any = damaged, damage: Any = damage) -> Any:
            status, headers, data = serve(*arguments)
            if b'"custom_id"' in data and b"msgbatch" not in data and not damaged:
                damaged.append(data)
                return status, headers, damage(data)
            return status, headers, data

        vars(world.provider)["serve"] = serve_damaged
        work = world.work("a", "b", "c")
        assert world.run(work).errors == {}
        assert (len(work.stored), len(world.provider.jobs), len(damaged)) == (3, 1, 1)


def test_results_that_stay_incomplete_are_taken_as_they_are(one_of_two: ServiceWorld) -> None:
    world, counts = one_of_two, one_of_two.provider.counts
    world.provider.answer = lambda body: "missing" if text_of_entry(body) == "b" else (200, reply_to(world.model, body))
    world.provider.counts = lambda job: (3, 3, 0) if counts(job)[1] else counts(job)  # type: ignore[method-assign]
    work = world.work("a", "b", "c")
    assert world.run(work).errors.keys() == {"key-1"}
    assert len(work.stored) == 2
