"""The exchange with a model in this process, over an engine that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.mlx_fake_engine import END, SILENCE, FakeEngine
from tests.support.mlx_ways import CHUNKS, EVERY_WAY, WHOLE
from unified_llm import ChatCompletion, Completion, LLMClient, LLMConfig
from unified_llm._backends.mlx import demo_folder
from unified_llm._backends.mlx import exchange as chat
from unified_llm._backends.mlx.engine_types import (
    EngineError,
    Finished,
    OpenedBlock,
    Sampling,
    TextChunk,
)
from unified_llm._backends.mlx.exchange import MLXModel
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._core.target import Target
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConfigurationError,
    ContextOverflowError,
    GenerationError,
    LLMError,
    ModelNotFoundError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
    TimeoutError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.types import LLMRequest, Message, ToolCall, Usage

QUESTION = "What is failover?"


@EVERY_WAY
def test_the_conversation_reaches_the_engine_in_the_roles_of_its_template(
    script: Callable[..., FakeEngine], ask: Callable[..., Any]
) -> None:
    engine = script("yes", END)
    call = ToolCall.parse("c1", "now", "{}")
    messages = [
        Message.system("Be brief."),
        Message.user("Time?"),
        Message.assistant("Wait.", tool_calls=[call]),
        Message.tool("noon", "c1"),
    ]
    ask(LLMClient("mlx/demo", temperature=0.5, stop="END", seed=4), messages, temperature=0.0, top_p=0.5)
    (prompt,) = engine.prompts
    assert [(message["role"], message["content"]) for message in prompt.messages] == [
        ("system", "Be brief."),
        ("user", "Time?"),
        ("assistant", "Wait."),
        ("user", "noon"),
    ]
    assert (prompt.sampling, prompt.stop) == (Sampling(temperature=0.0, top_p=0.5, seed=4), ("END",))


def test_an_answer_has_a_bound_of_its_own(script: Callable[..., FakeEngine]) -> None:
    engine = script("yes", END)
    LLMClient("mlx/demo").generate(QUESTION)
    (prompt,) = engine.prompts
    assert (prompt.max_tokens, prompt.sampling, prompt.stop) == (512, Sampling(), ())


def test_a_text_is_completed_by_chat(script: Callable[..., FakeEngine]) -> None:
    engine = script("yes", END)
    assert LLMClient("mlx/demo").complete(QUESTION).content == "yes"
    assert engine.prompts[0].messages == ({"role": "user", "content": QUESTION},)


def test_a_program_for_openais_client_is_answered(script: Callable[..., FakeEngine]) -> None:
    script("a", "b", END)
    messages = [{"role": "user", "content": QUESTION}]
    assert ChatCompletion.create(model="mlx/demo", messages=messages).choices[0].message.content == "ab"
    chunks = ChatCompletion.create(model="mlx/demo", messages=messages, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "ab"
    assert Completion.create(model="mlx/demo", prompt=QUESTION).choices[0].text == "ab"


@WHOLE
def test_chunks_are_joined_and_counted(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    script("a", "b", Finished("length", 5, 2))
    answer = ask(LLMClient("mlx/demo"), QUESTION)
    assert (answer.content, answer.finish_reason, answer.usage) == ("ab", "length", Usage(5, 2, 7))


@CHUNKS
def test_chunks_are_handed_on_as_they_come(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    script("a", "b", END)
    chunks = ask(LLMClient("mlx/demo"), QUESTION)
    assert [chunk.content for chunk in chunks] == ["a", "b", ""]
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", Usage(5, 2, 7))


def test_local_7_turns_are_merged_for_templates_that_want_them_to_alternate(script: Callable[..., FakeEngine]) -> None:
    messages = [
        Message.system("Be brief."),
        Message.system("Be kind."),
        Message.user("Time?"),
        Message.assistant("", tool_calls=[ToolCall.parse("c1", "now", "{}")]),
        Message.tool("noon", "c1"),
        Message.system("It is late."),
        Message.user("So?"),
    ]
    merged = [
        ("system", "Be brief.\n\nBe kind."),
        ("user", "Time?"),
        ("assistant", ""),
        ("user", "noon\n\nIt is late.\n\nSo?"),
    ]
    as_given = [(turn.role.replace("tool", "user"), turn.content) for turn in messages]
    for merge, sent in ((None, merged), (False, as_given)):
        engine = script("yes", END)
        LLMClient(LLMConfig(model="mlx/demo", merge_messages=merge)).generate(messages)
        assert [(turn["role"], turn["content"]) for turn in engine.prompts[0].messages] == sent


@EVERY_WAY
def test_local_8_a_block_of_reasoning_is_split_off(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    outputs = ("<think>", "\n", "Easy", ".</th", "ink>\n\n", "6", Finished("length", 5, 2))
    for before, texts, form, (reasoning, content) in (
        ((), outputs, None, ("Easy.", "6")),
        ((), outputs, "raw", ("", "<think>\nEasy.</think>\n\n6")),
        # The template has begun the block, so that the answer begins inside of it.
        ((OpenedBlock("<think>"),), outputs[1:], None, ("Easy.", "6")),
        ((OpenedBlock("<think>"),), ("Endless", outputs[-1]), None, ("Endless", "")),
        ((OpenedBlock("<think>"),), outputs[1:], "raw", ("", "\nEasy.</think>\n\n6")),
    ):
        script(*before, *texts)
        came = ask(LLMClient("mlx/demo"), QUESTION, reasoning_format=form)
        chunks = came if isinstance(came, list) else [came]
        assert "".join(chunk.content for chunk in chunks) == content
        assert "".join(chunk.reasoning or "" for chunk in chunks) == reasoning
        assert chunks[-1].finish_reason == "length"


@EVERY_WAY
def test_tokens_of_reasoning_are_counted(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    block = [TextChunk(text, tokens=count) for text, count in (("Ea", 1), ("sy", 2), (".</think>", 2), ("\n\n", 1))]
    answer = [TextChunk("6", tokens=1), TextChunk(" = 2", tokens=3)]
    opening = [TextChunk("<thi", tokens=2), TextChunk("nk>", tokens=1)]
    for outputs, count in (
        ([OpenedBlock("<think>"), *block, *answer], 5),
        ([*opening, *block, *answer], 8),
        ([*opening, *block[:2]], 6),
        (answer, 0),
        ([TextChunk("<", tokens=1), *answer], 0),
    ):
        for form in (None, "raw"):
            script(*outputs, Finished("length", 5, 20))
            came = ask(LLMClient("mlx/demo"), QUESTION, reasoning_format=form)
            usage = (came[-1] if isinstance(came, list) else came).usage
            assert (usage.reasoning_tokens, usage.completion_tokens) == (count, 20)


@EVERY_WAY
def test_an_empty_answer_is_none(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    script(Finished("stop", 5, 0))
    with pytest.raises(GenerationError, match="empty"):
        ask(LLMClient("mlx/demo", max_retries=0), QUESTION)


@EVERY_WAY
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("server", ServiceUnavailableError),
        ("context", ContextOverflowError),
        ("model_not_found", ModelNotFoundError),
        ("unsupported", UnsupportedOperationError),
    ],
)
def test_what_an_engine_refuses_is_raised_by_its_kind(
    script: Callable[..., FakeEngine], ask: Callable[..., Any], kind: Any, error: type[LLMError]
) -> None:
    script(EngineError(kind, "The model failed."))
    with pytest.raises(error) as refused:
        ask(LLMClient("mlx/demo", max_retries=0), QUESTION)
    assert refused.value.detail == "The model failed."


@EVERY_WAY
def test_a_full_queue_fails_over_and_no_other_call_waits_for_it(
    script: Callable[..., FakeEngine], ask: Callable[..., Any]
) -> None:
    engine = script(EngineError("rate_limit", "The queue is full: try again."))
    client = LLMClient("mlx/demo", max_retries=0)
    for calls in (1, 2):
        with pytest.raises(RateLimitError, match="The queue is full"):
            ask(client, QUESTION)
        assert len(engine.prompts) == calls, "there is no cooldown: a place may be free by now"
    with pytest.raises(AllTargetsFailedError) as failed:
        ask(LLMClient("mlx/demo", fallbacks=["mlx/demo"], max_retries=0), QUESTION)
    assert [type(error) for error in failed.value.errors] == [RateLimitError, RateLimitError]


@EVERY_WAY
def test_an_engine_that_cannot_be_started_is_raised_likewise(
    script: Callable[..., FakeEngine], monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any]
) -> None:
    def forked(*_: Any, **__: Any) -> None:
        raise EngineError("unsupported", "MLX does not survive a fork.")

    script()
    monkeypatch.setattr(chat, "get_engine", forked)
    with pytest.raises(UnsupportedOperationError) as refused:
        ask(LLMClient("mlx/demo"), QUESTION)
    assert refused.value.detail == "MLX does not survive a fork."


@CHUNKS
def test_a_stream_that_breaks_keeps_what_had_come(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    script("a", EngineError("server", "Out of memory."))
    with pytest.raises(StreamInterruptedError) as broken:
        ask(LLMClient("mlx/demo"), QUESTION)
    assert broken.value.partial == "a"


@EVERY_WAY
def test_a_silent_engine_is_given_up_in_time(
    script: Callable[..., FakeEngine], monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any]
) -> None:
    engine = script(SILENCE)
    with pytest.raises(TimeoutError, match="no response came"):
        ask(LLMClient("mlx/demo", max_retries=0, timeout=0.001), QUESTION)
    assert [request.cancelled for request in engine.requests] == [True]


@WHOLE
def test_a_silent_engine_fails_over(script: Callable[..., FakeEngine], ask: Callable[..., Any], tmp_path: Path) -> None:
    engine = script(SILENCE)
    client = LLMClient(f"mlx/{tmp_path}", timeout=0.001, max_retries=0, fallbacks=["mlx/demo"])
    with pytest.raises(LLMError) as failed:
        ask(client, QUESTION)
    attempts = [(attempt.target, attempt.outcome, attempt.reason) for attempt in failed.value.attempts]
    assert attempts == [(f"mlx/{tmp_path}", "timeout", None), ("mlx/demo", "timeout", None)]
    assert [request.cancelled for request in engine.requests] == [True, True]


@CHUNKS
def test_every_request_is_taken_back_at_its_end(script: Callable[..., FakeEngine], ask: Callable[..., Any]) -> None:
    engine = script("a", END)
    ask(LLMClient("mlx/demo"), QUESTION)
    assert engine.requests[0].cancelled


def test_a_task_that_is_cancelled_takes_its_request_back(script: Callable[..., FakeEngine]) -> None:
    engine = script(SILENCE)

    async def work() -> None:
        task = asyncio.create_task(LLMClient("mlx/demo").agenerate(QUESTION))
        await engine.submitted.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert engine.requests[0].cancelled


def test_a_chunk_that_comes_from_another_thread_wakes_the_task(script: Callable[..., FakeEngine]) -> None:
    engine = script(SILENCE)

    async def work() -> str:
        task = asyncio.create_task(LLMClient("mlx/demo").agenerate(QUESTION))
        await engine.submitted.wait()
        for output in (TextChunk("a"), TextChunk("b"), END):
            await asyncio.to_thread(engine.requests[0].deliver, output)
        return (await task).content

    assert asyncio.run(work()) == "ab"


def test_a_chunk_that_comes_at_the_wrong_moment_is_not_missed(script: Callable[..., FakeEngine]) -> None:
    engine = script(SILENCE)

    class Clearing(asyncio.Event):
        def clear(self) -> None:
            super().clear()
            engine.requests[0].deliver(Finished("length", 5, 0))

    async def work() -> object:
        exchange: Any = MLXModel(Target("mlx", "demo", "mlx")).aexchange(LLMRequest((Message.user(QUESTION),)))
        exchange._arrived = Clearing()
        await exchange.open(0)
        return (await exchange.read(0)).value.finish_reason

    assert asyncio.run(work()) == "length"


def test_a_chunk_for_a_loop_that_has_ended_is_dropped(script: Callable[..., FakeEngine]) -> None:
    engine = script(SILENCE)

    async def work() -> None:
        exchange = MLXModel(Target("mlx", "demo", "mlx")).aexchange(LLMRequest((Message.user(QUESTION),)))
        assert await exchange.open(0) is None

    asyncio.run(work())
    assert not engine.requests[0].deliver(TextChunk("a"))


def test_closing_before_opening_is_harmless() -> None:
    model = MLXModel(Target("mlx", "demo", "mlx"))
    request = LLMRequest((Message.user(QUESTION),))
    model.exchange(request).close()

    async def close() -> None:
        await model.aexchange(request).close()

    asyncio.run(close())


# What it offers


def test_the_embedded_model_is_the_one_that_is_listed(script: Callable[..., FakeEngine]) -> None:
    script()
    client = LLMClient("mlx/demo")
    (demo,) = client.list_models()
    assert (demo.id, demo.provider, demo.owned_by, demo.context_window) == ("demo", "mlx", "unified-llm", 1024)
    assert asyncio.run(client.alist_models(use_cache=False)) == client.list_models()
    assert client.health_check()


@EVERY_WAY
def test_a_text_that_is_none_is_a_mistake_of_the_caller_and_no_failure_of_the_model(
    script: Callable[..., FakeEngine], ask: Callable[..., Any]
) -> None:
    engine = script("a", END)
    for messages, options in (([Message.user("\ud800")], {}), ([Message.user("x")], {"stop": ["\ud800"]})):
        with pytest.raises(ValidationError, match="cannot be sent"):
            ask(LLMClient("mlx/demo"), messages, **options)
    assert engine.prompts == []


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "now"}}]},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_what_it_cannot_do_is_not_asked_of_it(script: Callable[..., FakeEngine], fields: dict[str, Any]) -> None:
    engine = script("a", END)
    with pytest.raises(UnsupportedOperationError, match="mlx/demo"):
        LLMClient("mlx/demo").generate(QUESTION, **fields)
    with pytest.raises(UnsupportedOperationError, match="mlx/demo"):
        LLMClient("mlx/demo").generate([Message.user("What is this?", images=[b"\x89PNG"])])
    with pytest.raises(UnsupportedOperationError, match="mlx/demo"):
        LLMClient("mlx/demo").embed("text")
    assert engine.prompts == []


@pytest.mark.case(70)
def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="There is no such folder for mlx/"):
        resolve_folder("no/such/folder")
    with pytest.raises(ConfigurationError, match="There is no such folder for mlx/"):
        resolve_folder("~nobody.of.this.name/model")


def test_a_folder_may_be_in_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_folder("~/model") == tmp_path / "model"
    assert resolve_folder("demo") == demo_folder()


@pytest.mark.case(70)
def test_a_folder_that_has_gone_since_is_a_missing_model(script: Callable[..., FakeEngine], tmp_path: Path) -> None:
    script("a", END)
    folder = tmp_path / "model"
    folder.mkdir()
    client = LLMClient(f"mlx/{folder}")
    folder.rmdir()
    with pytest.raises(ModelNotFoundError):
        client.generate(QUESTION)
