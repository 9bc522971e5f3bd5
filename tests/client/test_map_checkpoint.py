"""``map`` with a checkpoint: what has a response is not requested again, whatever ended the run before."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, GROQ, HAIKU
from tests.support.prompt_targets import PromptTargets
from unified_llm import LLMClient, LLMResponse, MapResult, ToolCall, Usage
from unified_llm._client.map.response_records import make_record, read_record
from unified_llm._core.outcome import Failure
from unified_llm._lib.bounded_json import dump, parse
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm.exceptions import BadRequestError, ConfigurationError
from unified_llm.types import Attempt, Citation, EmbeddingResponse, ProviderState, TokenLogprob

REFUSED = Failure("bad_request", 400)
PROMPTS = [f"p{number}" for number in range(6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def results_of(way: str, client: LLMClient, prompts: Any, **options: Any) -> list[MapResult[LLMResponse]]:
    """Return the results of a run in one of the ways."""
    if way == "map":
        return list(client.map(prompts, **options))

    async def collect() -> list[MapResult[LLMResponse]]:
        return [result async for result in client.amap(prompts, **options)]

    return asyncio.run(collect())


@each("way", ["map", "amap"])
def test_a_second_run_requests_only_what_has_no_response(way: str, tmp_path: Path) -> None:
    client, path = LLMClient(GPT), tmp_path / f"{way}.jsonl"
    with PromptTargets(answer=lambda text: REFUSED if text == "p3" else text.upper()).running() as targets:
        first = results_of(way, client, PROMPTS, checkpoint=path)
        assert len(targets.asked) == 6
        targets.asked.clear()
        second = results_of(way, client, PROMPTS, checkpoint=path)
    assert targets.asked == ["p3"]
    assert [result.from_checkpoint for result in second] == [True, True, True, False, True, True]
    assert [result.response for result in second] == [result.response for result in first]
    assert not any(result.from_checkpoint for result in first)


def test_the_totals_of_a_second_run_have_those_of_the_first(path: Path) -> None:
    with PromptTargets().running():
        list(LLMClient(GPT).map(PROMPTS[:4], checkpoint=path))
        run = LLMClient(GPT, fallbacks=[GROQ]).map(PROMPTS, checkpoint=path)
        list(run)
    assert (run.totals.served, run.totals.from_checkpoint, run.totals.by_target) == (6, 4, {GPT: 6})
    assert "6 served (4 of them by an earlier run)" in str(run.totals)


CHANGES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {"temperature": 0.5}, True),
    ({}, {"model": HAIKU}, True),
    ({}, {"max_tokens": 5}, True),
    ({}, {"response_format": {"type": "json_object"}}, True),
    ({}, {"timeout": 7, "deadline": 90, "max_retries": 0, "api_key": f"{CANARY}-other"}, False),
    ({"fallbacks": [GROQ], "name": "other", "timeout": 9}, {}, False),
    ({"temperature": 0.3}, {}, True),
]


@each("settings, overrides, asks_again", CHANGES)
def test_what_determines_a_response_decides_whether_it_is_requested_again(
    settings: dict[str, Any],
    overrides: dict[str, Any],
    asks_again: bool,  # noqa: FBT001
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    with PromptTargets(answer=lambda _: "{}").running() as targets:
        list(LLMClient(GPT).map(["p"], checkpoint=path))
        list(LLMClient(GPT, **settings).map(["p"], checkpoint=path, **overrides))
    assert len(targets.asked) == 1 + asks_again


def test_a_prompt_is_known_by_its_custom_id_wherever_it_stands_else_by_its_position(path: Path) -> None:
    one, two = ({"custom_id": name, "messages": name} for name in ("a", "b"))
    client = LLMClient(GPT)
    with PromptTargets().running() as targets:
        list(client.map([one, two, "x", "y"], checkpoint=path))
        targets.asked.clear()
        again = list(client.map([two, "y", "x", one, "y"], checkpoint=path))
    assert [result.from_checkpoint for result in again] == [True, False, True, True, False]
    assert [result.custom_id for result in again] == ["b", None, None, "a", None]


def test_a_custom_id_that_stands_for_two_prompts_keeps_both(path: Path) -> None:
    prompts = [{"custom_id": "same", "messages": text} for text in ("a", "b", "a")]
    client = LLMClient(GPT)
    with PromptTargets().running() as targets:
        list(client.map(prompts, checkpoint=path, concurrency=1))
        targets.asked.clear()
        again = list(client.map(prompts, checkpoint=path))
    assert targets.asked == []
    assert [result.text for result in again] == ["A", "B", "A"]


def test_a_caller_who_stops_keeps_what_has_arrived(path: Path) -> None:
    client = LLMClient(GPT)
    with PromptTargets().running() as targets:
        for result in client.map(PROMPTS, checkpoint=path, concurrency=1):
            if result.index == 2:
                break
        targets.asked.clear()
        again = list(client.map(PROMPTS, checkpoint=path))
    assert all(result.from_checkpoint for result in again[:3])
    assert len(targets.asked) <= 3


def test_the_file_has_no_prompt_and_no_key(path: Path) -> None:
    client = LLMClient(GPT, api_key=f"{CANARY}-explicit")
    with PromptTargets(answer=lambda _: "answer").running():
        list(client.map(["a prompt that nobody stores"], checkpoint=path))
    text = path.read_text(encoding="utf-8")
    assert "answer" in text
    assert "nobody stores" not in text
    assert CANARY not in text


def test_two_runs_of_one_file_are_refused_and_one_after_the_other_are_not(path: Path) -> None:
    client = LLMClient(GPT)
    with PromptTargets().running():
        with client.map(PROMPTS, checkpoint=path) as first:
            next(first)
            with pytest.raises(ConfigurationError, match="in use"):
                next(client.map(PROMPTS, checkpoint=path))
        assert len(list(client.map(PROMPTS, checkpoint=path))) == 6
        (path.parent / "other.txt").write_text("mine")
        with pytest.raises(ConfigurationError, match="and no URL"):
            next(client.map(PROMPTS, checkpoint="s3://bucket/run.jsonl"))
        with pytest.raises(ConfigurationError, match="is no checkpoint"):
            next(client.map(PROMPTS, checkpoint=path.parent / "other.txt"))


@each("path, reason", [("", "is empty"), ("a\0b", "null"), ("x" * 300, "too long"), ("/dev/null/x", "Not a directory")])
def test_a_path_that_cannot_be_used_is_one_clear_error(path: str, reason: str) -> None:
    with PromptTargets().running() as targets, pytest.raises(ConfigurationError, match=reason):
        list(LLMClient(GPT).map(PROMPTS, checkpoint=path))
    assert targets.asked == []


def test_a_run_that_an_error_of_a_prompt_ended_lets_the_next_one_have_its_file(path: Path) -> None:
    def read_all() -> list[str]:
        run = LLMClient(GPT).map(PROMPTS, checkpoint=path)
        return [result.text for result in run]

    gc.disable()  # the run is closed as soon as nobody has the error
    try:
        with PromptTargets(answer=lambda text: REFUSED if text == "p3" else text).running():
            with pytest.raises(BadRequestError) as refused:
                read_all()
            assert refused.value.status_code == 400
            del refused
        with PromptTargets().running():
            assert len(read_all()) == 6
    finally:
        gc.enable()


def test_a_custom_id_that_utf_8_cannot_carry_fails_alone(path: Path) -> None:
    prompts: list[Any] = [{"custom_id": "half \ud800", "messages": "x"}, "y"]
    with PromptTargets().running():
        results = list(LLMClient(GPT).map(prompts, checkpoint=path))
    assert [result.ok for result in results] == [False, True]
    assert "surrogate" in str(results[0].error)


def test_a_checkpoint_of_the_caller_stays_open(path: Path) -> None:
    client = LLMClient(GPT)
    with PromptTargets().running() as targets, Checkpoint(path) as checkpoint:
        list(client.map(PROMPTS[:3], checkpoint=checkpoint))
        list(client.map(PROMPTS, checkpoint=checkpoint))
        assert len(targets.asked) == 6
        assert len(checkpoint) == 6


@each("way", ["map", "amap"])
def test_a_disk_that_is_full_ends_the_run_before_more_is_paid(way: str, tmp_path: Path) -> None:
    class FullDisk(Checkpoint):
        def put(self, key: str, fingerprint: str, record: Any) -> None:
            raise OSError(28, "No space left on device")

    with PromptTargets().running() as targets, FullDisk(tmp_path / f"{way}.jsonl") as checkpoint:
        with pytest.raises(ConfigurationError, match=r"cannot be written \(No space left on device\)"):
            results_of(way, LLMClient(GPT), (f"p{number}" for number in range(10**9)), checkpoint=checkpoint)
        assert len(targets.asked) <= 40
    assert targets.in_flight == 0


def test_a_response_is_the_same_after_it_was_stored() -> None:
    response = LLMResponse(
        "text", "m", "p", "tool_calls", "r-1", 12.5, Usage(1, 2, 3), (ToolCall.parse("1", "f", '{"a": [1]}'),),
        "reasoning", "refusal", (Citation("https://x", start=3),), (TokenLogprob("a", -0.5, (("b", -2.0),)),),
        (LLMResponse("other"),), ProviderState("p", "openai", {"x": [1]}), "req", 2, True, "p",  # noqa: FBT003
        (Attempt("p/m", "ok", adjusted={"temperature": [1.3, None]}),), {"id": "r-1"},
    )  # fmt: skip
    assert read_record(parse(dump(make_record(response))), LLMResponse) == response
    vectors = EmbeddingResponse([[0.5, 1.0]], "m", "p")
    assert read_record(parse(dump(make_record(vectors))), EmbeddingResponse) == vectors
    assert read_record({"content": 3}, LLMResponse) is None
    assert read_record({"unknown": 3, "usage": "x"}, LLMResponse) is None


@each("raw", [object(), {"x": object()}, {1: {2}}, {"x": float("nan")}, [b"\xff"]])
def test_what_is_no_json_in_the_raw_response_is_not_stored(raw: object) -> None:
    restored = read_record(parse(dump(make_record(LLMResponse("text", raw=raw)))), LLMResponse)
    assert restored is not None
    assert restored.content == "text"


def test_a_cycle_in_the_raw_response_is_not_stored() -> None:
    raw: list[Any] = []
    raw.append(raw)
    assert make_record(LLMResponse("text", raw=raw)) == {"content": "text"}


def test_a_request_without_a_fingerprint_fails_alone(path: Path) -> None:
    strange: Any = {"messages": "a", "extra_body": {"logit_bias": {1: 1, "x": 2}}}
    with PromptTargets().running():
        results = list(LLMClient(GPT).map([strange, "b"], checkpoint=path))
    assert results[1].ok


# Embeddings


def test_every_text_has_its_vector_and_texts_share_requests(path: Path) -> None:
    client = LLMClient("openai/text-embedding-3-small")
    with PromptTargets().running() as targets:
        run = client.map_embed((f"{'t' * number}" for number in range(1, 11)), batch_size=4, checkpoint=path)
        results = list(run)
        assert [len(texts) for texts in targets.asked] == [4, 4, 2]
        assert [result.vector[0] for result in results] == [float(number) for number in range(1, 11)]
        again = list(client.map_embed((f"{'t' * number}" for number in range(1, 13)), batch_size=4, checkpoint=path))
    assert list(targets.asked)[3:] == [["t" * 11, "t" * 12]]
    assert [result.from_checkpoint for result in again] == [True] * 10 + [False] * 2
    assert run.totals.by_target == {"openai/text-embedding-3-small": 10}
    assert run.totals.retries == 0


def test_totals_count_the_requests_of_a_list_of_which_one_text_is_refused() -> None:
    client = LLMClient("openai/text-embedding-3-small")
    with PromptTargets(answer=lambda text: REFUSED if text == "bad" else text).running() as targets:
        run = client.map_embed(["bad", "b", "c", "d"])
        results = list(run)
    assert [result.ok for result in results] == [False, True, True, True]
    assert run.totals.by_target == {"openai/text-embedding-3-small": 3}
    assert run.totals.retries <= len([*targets.asked]) - 1


@each("way", ["map_embed", "amap_embed"])
def test_a_text_that_is_refused_by_itself_fails_alone(way: str) -> None:
    texts: list[Any] = ["a", "bad", "c", 3, {"text": "d", "custom_id": "four"}, {"text": "e", "more": 1}, "bad", ""]
    client = LLMClient("openai/text-embedding-3-small")

    async def collect() -> list[Any]:
        return [result async for result in client.amap_embed(texts)]

    with PromptTargets(answer=lambda text: REFUSED if text == "bad" else text).running():
        results = list(client.map_embed(texts)) if way == "map_embed" else asyncio.run(collect())
    assert [result.ok for result in results] == [True, False, True, False, True, False, False, True]
    assert [type(result.error).__name__ for result in results if not result.ok] == [
        "BadRequestError", "ValidationError", "ValidationError", "BadRequestError",
    ]  # fmt: skip
    assert results[4].custom_id == "four"
    answered = [result.response for result in results if result.response is not None]
    assert {f"{response.provider}/{response.model}" for response in answered} == {"openai/text-embedding-3-small"}
    with pytest.raises(TypeError, match=r"use \.vector"):
        _ = results[0].text


def test_a_partial_group_of_texts_is_sent_when_nothing_else_is_in_flight() -> None:
    """The next text comes only after the vector of the one before."""

    async def main() -> list[float]:
        returned, received = asyncio.Event(), list[float]()

        async def texts() -> Any:
            for number in range(1, 4):
                yield "t" * number
                await returned.wait()
                returned.clear()

        async for result in LLMClient("openai/text-embedding-3-small").amap_embed(texts()):
            received.append(result.vector[0])
            returned.set()
        return received

    with PromptTargets().running():
        assert asyncio.run(main()) == [1.0, 2.0, 3.0]


def test_an_override_that_is_wrong_for_all_texts_is_refused_at_once() -> None:
    client = LLMClient("openai/text-embedding-3-small")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: client.map_embed(["a"], dimensions=0), "dimensions"),
        (lambda: client.map_embed(["a"], batch_size=0), "batch_size"),
        (lambda: client.map_embed("a"), r"write \[text\], or call embed\(text\)"),
        (lambda: client.amap_embed(["a"], purpose="x"), "purpose"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ]
    for call, message in wrong:
        with pytest.raises(Exception, match=message):
            call()
