"""``batch --service batch``: a file of requests by the batch service of a provider, and the rest in calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration_tests.fakes.batch_services import KEY
from tests.support.batch_files import line, read_lines, text_of, write_lines
from tests.support.batch_services import KilledError, ServiceWorld, error_of, reply_to, text_of_entry
from tests.support.command_line import Ended, run
from tests.support.each import each

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY")
TEXTS = ("a", "b", "c", "d", "e")


@pytest.fixture(params=["anthropic/claude-haiku-4-5", "openai/gpt-5-mini"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceWorld:
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        monkeypatch.setenv(name, KEY)
    write_lines(tmp_path / "in.jsonl", [line(number, text) for number, text in enumerate(TEXTS)])
    return ServiceWorld(request.param, tmp_path)


def batch(world: ServiceWorld, *arguments: str) -> Ended:
    with world.running():
        return run("batch", "in.jsonl", "out.jsonl", "-m", world.model, "--service", "batch", *arguments)


def texts(world: ServiceWorld, name: str = "out.jsonl") -> dict[str, str]:
    return {made["custom_id"]: text_of(made) for made in read_lines(world.folder / name)}


def test_a_file_is_answered_by_batches_in_the_order_of_the_input(world: ServiceWorld) -> None:
    ended = batch(world)
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert [*texts(world).items()] == [(f"q{number}", f"echo {text}") for number, text in enumerate(TEXTS)]
    assert world.called == []
    assert len(world.provider.jobs) == 1
    assert f"served by {world.model}: 5" in ended.err
    again = batch(world)
    assert (again.code, len(world.provider.jobs)) == (0, 1)


def test_lines_that_were_not_answered_are_in_the_file_of_failures(world: ServiceWorld) -> None:
    answers = {"b": (400, error_of(world.model, 400)), "c": "missing"}
    world.provider.answer = lambda body: answers.get(text_of_entry(body), (200, reply_to(world.model, body)))
    ended = batch(world)
    assert ended.code == 1
    failed = {made["custom_id"]: made["error"]["code"] for made in read_lines(world.folder / "out.failed.jsonl")}
    assert failed == {"q1": "bad_request", "q2": "timeout"}
    assert texts(world).keys() == {"q0", "q3", "q4"}
    assert world.called == []
    answers.clear()
    assert batch(world).code == 0
    assert texts(world).keys() == {"q0", "q1", "q2", "q3", "q4"}


def test_a_run_that_was_killed_goes_on_with_its_batch(world: ServiceWorld) -> None:
    world.kill_after = lambda kind: kind == "BatchCreateRequest"
    with pytest.raises(KilledError):
        batch(world)
    world.kill_after = lambda _: False
    ended = batch(world)
    assert (ended.code, len(world.provider.jobs)) == (0, 1), ended.err
    assert len(texts(world)) == 5


def test_after_the_deadline_calls_answer_the_rest_and_late_answers_are_kept_apart(world: ServiceWorld) -> None:
    world.provider.duration, world.provider.cancel_duration, world.provider.done_at_cancel = 90_000.0, 3_000.0, 0.4
    ended = batch(world, "--deadline", "2h")
    assert ended.code == 0, ended.err
    assert texts(world) == {f"q{number}": f"call {text}" for number, text in enumerate(TEXTS)}
    assert world.called == [world.model] * 5
    assert not (world.folder / "duplicates.jsonl").exists()
    world.clock += 5_000.0
    (world.folder / "duplicates.jsonl").write_text('{"torn by a full')
    for _ in range(2):
        ended = batch(world, "--deadline", "2h")
        assert ended.code == 0
        assert texts(world, "duplicates.jsonl") == {"q0": "echo a", "q1": "echo b"}
        assert texts(world)["q0"] == "call a"
    assert len(world.provider.jobs) == 1
    assert len(world.called) == 5


def test_at_the_deadline_finished_lines_are_collected_and_a_fallback_may_answer_the_rest(world: ServiceWorld) -> None:
    world.provider.duration = 90_000.0
    ended = batch(world, "--deadline", "90m", "--fallback", "mlx/demo")
    assert ended.code == 0, ended.err
    answers = texts(world)
    assert (answers["q0"], answers["q1"], answers["q4"]) == ("echo a", "echo b", "call e")
    assert len(world.called) == 3


def test_an_answer_that_is_damaged_fails_its_line_alone(world: ServiceWorld) -> None:
    def answer(body: Any) -> Any:
        reply = reply_to(world.model, body)
        return 200, {**reply, "created": float("nan")} if text_of_entry(body) == "b" else reply

    world.provider.answer = answer
    ended = batch(world)
    assert ended.code == 1, ended.err
    assert texts(world).keys() == {"q0", "q2", "q3", "q4"}


def test_lines_of_several_models_and_endpoints_become_a_batch_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    world = ServiceWorld("openai/gpt-5-mini", tmp_path)
    lines = [
        line(0, "a", model="openai/gpt-5-mini"),
        line(1, url="/v1/embeddings", model="openai/text-embedding-3-small", input=["x", "y"]),
        line(2, "b", model="openai/gpt-5"),
        line(3, "c", model="gpt-5-mini", temperature=7),
        line(4, url="/v1/completions", model="openai/gpt-3.5-turbo-instruct", prompt=["p", "q"]),
        line(5, "d", model="ollama/llama3.2"),
        "no JSON",
    ]
    write_lines(tmp_path / "in.jsonl", lines)
    with world.running():
        ended = run("batch", "in.jsonl", "out.jsonl", "--service", "batch")
    assert ended.code == 1, ended.err
    answers = {made["custom_id"]: made["response"]["body"] for made in read_lines(tmp_path / "out.jsonl")}
    assert len(answers["q1"]["data"]) == 2
    assert {"q0", "q1", "q2"} <= answers.keys()
    failed = {made["custom_id"]: made["error"]["message"] for made in read_lines(tmp_path / "out.failed.jsonl")}
    assert [choice["text"] for choice in answers["q4"]["choices"]] == ["echo p", "echo q"]
    assert "no batch service" in failed["q5"]
    endpoints = sorted((job.endpoint, len(job.entries)) for job in world.provider.jobs.values())
    assert endpoints == [
        ("/v1/chat/completions", 1),
        ("/v1/chat/completions", 2),
        ("/v1/completions", 1),
        ("/v1/embeddings", 1),
    ]
    assert world.called == []


@each(
    "arguments, problem",
    [
        (("--service", "queue"), "--service has one value: batch"),
        (("--deadline", "2h"), "--deadline is for --service batch"),
        (("--service", "batch", "--deadline", "soon"), "--deadline is a length of time"),
        (("--service", "batch", "--deadline", "0"), "--deadline is a length of time"),
        (("--service", "batch", "--deadline", "-2h"), "--deadline"),
        (("--service", "batch", "--deadline", "40d"), "--deadline is a length of time"),
        (("--service", "batch", "-m", "ollama/llama3.2"), "ollama/llama3.2 has no batch service"),
        (("--service", "batch", "--engine", "ray"), "--service sends none without --deadline"),
        (("--service", "batch", "--max-failed", "-1"), "--max-failed must be"),
        (("--service", "batch", "--concurrency", "0"), "--concurrency must be"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    arguments: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in.jsonl", [line(0)])
    ended = run("batch", str(source), str(tmp_path / "out.jsonl"), "-m", "openai-compatible/m", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert problem in ended.err
    ended = run("batch", str(source), "-", "--service", "batch", "-m", "openai-compatible/m")
    assert (ended.code, "beside the output" in ended.err) == (2, True)


def test_without_a_deadline_nothing_is_sent_in_calls(world: ServiceWorld) -> None:
    world.provider.duration = 90_000.0

    class Interrupted(list[str]):
        def append(self, target: str) -> None:
            raise KeyboardInterrupt(target)

    world.called = Interrupted()
    assert batch(world, "--deadline", "2h").code == 130
    world.called, world.provider.duration = [], 600.0
    ended = batch(world)
    assert (ended.code, world.called) == (0, []), ended.err
    assert texts(world)["q4"] == "echo e"


def test_a_line_that_is_added_while_a_batch_runs_is_in_no_call(world: ServiceWorld) -> None:
    def grow(kind: str) -> bool:
        if kind == "BatchLookRequest":
            write_lines(world.folder / "in.jsonl", [line(number, text) for number, text in enumerate("abcdef")])
        return False

    world.kill_at = grow
    ended = batch(world)
    assert (ended.code, world.called) == (1, []), ended.err
    [failed] = read_lines(world.folder / "out.failed.jsonl")
    assert "It was in no batch" in failed["error"]["message"]
    assert (batch(world).code, world.called) == (0, [])


def test_no_file_of_the_run_is_another_one(world: ServiceWorld) -> None:
    with world.running():
        for source, output, further in (
            ("in.jsonl", "duplicates.jsonl", []),
            ("in.jsonl", "out.jsonl", ["--failed", "duplicates.jsonl"]),
            ("in.jsonl", "out.jsonl", ["--failed", "out.jsonl.batches.jsonl"]),
            ("in.jsonl", "out.jsonl", ["--checkpoint", "out.jsonl.batches.jsonl"]),
        ):
            ended = run("batch", source, output, "-m", world.model, "--service", "batch", *further)
            assert (ended.code, world.provider.log) == (2, [])
            assert "are one file" in ended.err


def test_a_plan_names_lines_that_no_batch_can_have(world: ServiceWorld) -> None:
    several = line(1, url="/v1/completions", model="ollama/m", prompt=["a", "b"])
    write_lines(world.folder / "in.jsonl", [line(0, "a", model=world.model), several, line(2, "b", model="ollama/m")])
    with world.running():
        ended = run("batch", "in.jsonl", "--plan", "--service", "batch")
    assert (ended.code, world.provider.log) == (1, [])
    assert "line 2: It has several prompts" in ended.err
    assert "line 3: ollama/m has no batch service" in ended.err
