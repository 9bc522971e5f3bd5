"""Provider objects: unusual output, clean-up, and the requests that they get."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.scripted_targets import USAGE
from unified_llm import LLMClient, ModelInfo, register_provider
from unified_llm import exceptions as exc
from unified_llm._config.provider_base import ProviderBase
from unified_llm._providers import registry
from unified_llm.types import EmbeddingRequest, LLMChunk, LLMRequest, LLMResponse, ToolCall, ToolCallChunk

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
LOOK = ToolCall("c1", "look", {"at": 1})  # without the text of its arguments


@pytest.fixture(autouse=True)
def _unregister() -> Iterator[None]:
    yield
    for row in registry.registered():
        registry.unregister(row.name)


class Whole:
    """Provider whose answer and chunks are given; without ``pieces``, both are the same."""

    features = ("tools",)

    def __init__(self, answer: Any, pieces: Any = None) -> None:
        self.answer = answer
        self.pieces = answer if pieces is None else pieces

    def generate(self, request: LLMRequest) -> Any:
        return self.answer

    def stream(self, request: LLMRequest) -> Any:
        return self.pieces


@pytest.mark.parametrize("way", WAYS)
def test_local_13_reasoning_alone_is_no_answer_unless_it_was_cut(way: Way) -> None:
    register_provider("mine", Whole(LLMResponse(reasoning="Hm."), [LLMChunk(reasoning="Hm.")]))
    result = outcome_of(way, LLMClient("mine/parrot"))
    assert result.error is (exc.StreamInterruptedError if "stream" in way else exc.GenerationError)
    assert result.attempts[-1][1] == "empty"
    register_provider("mine", Whole(LLMResponse(reasoning="Hm.", finish_reason="length")))
    assert outcome_of(way, LLMClient("mine/parrot")).reasoning == "Hm."


class TestStreams:
    def test_facts_may_come_on_any_piece_and_none_is_lost(self) -> None:
        pieces = [
            LLMChunk("so ", response_id="r-1", model="mine-2", provider="somebody"),
            LLMChunk("far", finish_reason="length"),
            LLMChunk(usage=USAGE),
        ]
        register_provider("mine", Whole("x", pieces))
        for way in ("stream", "astream"):
            answer = outcome_of(way, LLMClient("mine/a"))
            assert (answer.content, answer.metadata) == ("so far", ("length", USAGE, "r-1", "mine-2", "mine"))

    def test_text_may_be_none_as_in_others_sdks(self) -> None:
        last: Any = LLMChunk(None, reasoning=None, finish_reason="stop")  # type: ignore[arg-type]
        register_provider("mine", Whole("Hello", [LLMChunk("Hello"), last]))
        for way in WAYS:
            assert outcome_of(way, LLMClient("mine/a")).content == "Hello"

    @each("way", WAYS)
    @each(
        "pieces",
        [
            None,
            [LLMChunk(tool_calls=(LOOK, LOOK))],  # type: ignore[arg-type]
            [LLMChunk(tool_calls=(LOOK,)), LLMChunk(tool_calls=(LOOK,), finish_reason="stop")],  # type: ignore[arg-type]
        ],
    )
    def test_calls_may_be_whole_without_their_text(self, way: Way, pieces: Any) -> None:
        register_provider("mine", Whole(LLMResponse(tool_calls=(LOOK, LOOK)), pieces))
        answer = outcome_of(way, LLMClient("mine/a"), tools=[TOOL])
        assert (answer.calls, answer.metadata[0]) == ((("look", '{"at":1}'),) * 2, "tool_calls")


WRONG: dict[str, tuple[Any, str]] = {
    "a dict": ({"content": "x"}, "returned dict"),
    "bytes": (b"x", "returned bytes"),
    "nothing": (None, "returned NoneType"),
    "a number as text": (LLMResponse(5), "int in content"),  # type: ignore[arg-type]
    "a dict as usage": (LLMResponse("x", usage={"total": 1}), "dict in usage"),  # type: ignore[arg-type]
    "a dict as a call": (LLMResponse(tool_calls=({"name": "look"},)), "dict in tool_calls"),  # type: ignore[arg-type]
    "a fragment": (LLMResponse(tool_calls=(ToolCallChunk(0, "c1", "look"),)), "whole calls"),  # type: ignore[arg-type]
    "a reason of its own": (LLMResponse("x", finish_reason="end_turn"), "stop, length"),  # type: ignore[arg-type]
}


@each("name", WRONG)
def test_what_has_another_shape_is_a_mistake_in_its_code(name: str) -> None:
    answer, message = WRONG[name]
    register_provider("wrong", Whole(answer))
    for way in WAYS:
        with pytest.raises(TypeError, match=message):
            outcome_of(way, LLMClient("wrong/a"))


def test_pieces_are_no_whole_answer() -> None:
    class Confused:
        async def generate(self, request: LLMRequest) -> Any:
            return ["a", "b"]

    register_provider("confused", Confused())
    for way in ("generate", "agenerate"):
        with pytest.raises(TypeError, match="returned list"):
            outcome_of(way, LLMClient("confused/a"))


class TestVectorsAndLists:
    @each("given", ["oops", None, {"data": []}, [1.0, 2.0]])
    def test_what_are_no_vectors_is_a_mistake_in_its_code(self, given: Any) -> None:
        class Embedding(Whole):
            def embed(self, request: EmbeddingRequest) -> Any:
                return given

        register_provider("mine", Embedding("x"))
        with pytest.raises(TypeError, match="embed returned"):
            LLMClient("mine/a").embed("Hello")

    @pytest.mark.parametrize("given", ["gpt", [7]])
    def test_what_is_no_list_of_models_is_one_too(self, given: Any) -> None:
        class Listing(Whole):
            def list_models(self) -> Any:
                return given

        register_provider("mine", Listing("x"))
        with pytest.raises(TypeError, match="list_models returned"):
            LLMClient("mine/a").list_models()

    def test_a_list_of_models_may_come_one_by_one(self) -> None:
        class Listing(Whole):
            async def list_models(self) -> AsyncIterator[ModelInfo | str]:
                yield "small"
                yield ModelInfo("large", "somebody")

        register_provider("mine", Listing("x"))
        client = LLMClient("mine/a")
        assert [model.model_string for model in client.list_models()] == ["mine/small", "mine/large"]
        assert len(asyncio.run(client.alist_models(use_cache=False))) == 2

    @each("feature", ["embeddings", "rerank", "count_tokens", "model_info"])
    def test_what_an_object_has_no_method_for_it_cannot_claim(self, feature: str) -> None:
        with pytest.raises(exc.ConfigurationError, match=f"'Whole' has no {feature}"):
            register_provider("mine", Whole("x"), features=[feature])


class Repeating(ProviderBase):
    def generate(self, request: LLMRequest) -> str:
        return f"{request.model} {request.temperature} {request.max_tokens} {dict(request.extra_body)}"


class TestWhatItIsAsked:
    def test_what_the_configuration_says_is_in_the_request(self) -> None:
        register_provider("mine", Repeating())
        client = LLMClient("mine/a", temperature=0.5, max_tokens=7, extra_body={"one": 1, "two": 2})
        for way in WAYS:
            answer = outcome_of(way, client, temperature=0.0, extra_body={"two": 3})
            assert answer.content == "a 0.0 7 {'one': 1, 'two': 3}"

    def test_a_call_names_another_model_with_or_without_the_provider(self) -> None:
        register_provider("mine", Repeating())
        client = LLMClient("mine/a")
        names = {
            "b": "b",
            "mine/b": "b",
            "Mine:b": "b",
            "org/b": "org/b",
            "openai/b": "openai/b",
            "mine/org/b": "org/b",
        }
        for given, model in names.items():
            assert client.generate("Hello?", model=given).content.split()[0] == model
        assert LLMClient("MINE/org/b:c").generate("Hello?").content.split()[0] == "org/b:c"


class TestEnds:
    def test_what_ends_a_program_ends_the_call_at_once(self) -> None:
        class Ending:
            def generate(self, request: LLMRequest) -> str:
                raise SystemExit(3)

            async def stream(self, request: LLMRequest) -> AsyncIterator[str]:
                yield "so far"
                raise asyncio.CancelledError

        register_provider("ending", Ending())
        with pytest.raises(SystemExit):
            LLMClient("ending/a").generate("Hello?")
        with pytest.raises(asyncio.CancelledError):
            list(LLMClient("ending/a").stream("Hello?"))

    def test_a_stream_is_read_in_one_task_whoever_asks(self) -> None:
        class Limited(Whole):
            async def stream(self, request: LLMRequest) -> AsyncIterator[str]:
                async with asyncio.timeout(0.02):
                    yield "so far"
                    await asyncio.sleep(5)

        register_provider("limited", Limited("x"))
        for way in ("stream", "astream"):
            assert outcome_of(way, LLMClient("limited/a")).error is exc.StreamInterruptedError

    def test_a_stream_without_references_cleans_up_even_if_it_has_to_wait(self) -> None:
        steps: list[str] = []

        class Careful(Whole):
            async def stream(self, request: LLMRequest) -> AsyncIterator[str]:
                try:
                    while True:
                        yield "and "
                finally:
                    steps.append("begun")
                    await asyncio.sleep(0.001)
                    steps.append("ended")

        async def break_off() -> None:
            async for _ in LLMClient("careful/a").astream("Hello?"):
                break
            gc.collect()
            await asyncio.sleep(0.01)

        register_provider("careful", Careful("x"))
        asyncio.run(break_off())
        assert steps == ["begun", "ended"]

    def test_what_its_clean_up_raises_spoils_nothing(self) -> None:
        class Careless(Whole):
            async def stream(self, request: LLMRequest) -> AsyncIterator[str]:
                try:
                    yield "so "
                    yield "far"
                finally:
                    raise ValueError("dropped")

        async def break_off() -> list[str]:
            async with LLMClient("careless/a").astream("Hello?") as stream:
                return [(await anext(stream)).content]

        register_provider("careless", Careless("x"))
        assert asyncio.run(break_off()) == ["so "]

    def test_an_iterator_is_closed_when_its_reader_leaves(self) -> None:
        class Kept:
            closed = 0

            def __iter__(self) -> Kept:
                return self

            def __next__(self) -> str:
                return "and "

            def close(self) -> None:
                self.closed += 1

        kept = Kept()
        register_provider("kept", Whole("x", kept))
        with LLMClient("kept/a").stream("Hello?") as stream:
            next(stream)
        for _ in range(1000):
            if kept.closed:
                break
            asyncio.run(asyncio.sleep(0.001))
        assert kept.closed == 1


class Closing(Whole):
    def __init__(self, closed: Callable[[], None]) -> None:
        super().__init__("Hello")
        self.closed = closed

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed()


class TestBase:
    def test_a_whole_answer_has_all_that_its_pieces_say(self) -> None:
        class FromPieces(ProviderBase):
            def stream(self, request: LLMRequest) -> Iterator[LLMChunk | str]:
                yield "so far"
                yield LLMChunk(finish_reason="length")
                yield LLMChunk(tool_calls=(LOOK,), usage=USAGE)  # type: ignore[arg-type]

        register_provider("mine", FromPieces())
        for way in WAYS:
            answer = outcome_of(way, LLMClient("mine/a"))
            assert (answer.content, answer.calls) == ("so far", (("look", '{"at":1}'),))
            assert answer.metadata[:2] == ("length", USAGE)

    def test_nothing_follows_from_an_async_method(self) -> None:
        async def generate(self: object, request: LLMRequest) -> str:
            return "x"

        async def stream(self: object, request: LLMRequest) -> AsyncIterator[str]:
            yield "x"

        with pytest.raises(TypeError, match=r"Half.generate is async, so stream cannot be derived"):
            type("Half", (ProviderBase,), {"generate": generate})
        with pytest.raises(TypeError, match=r"Half.stream is async, so generate cannot be derived"):
            type("Half", (ProviderBase,), {"stream": stream})
        register_provider("mine", type("Both", (ProviderBase,), {"generate": generate, "stream": stream})())
        assert outcome_of("stream", LLMClient("mine/a")).content == "x"


@each(
    ("arguments", "message"),
    [
        ({"provider": Whole}, "'Whole' is a class"),
        ({"provider": Whole("x"), "features": 7}, "features= is a name, or several"),
        ({"provider": Whole("x"), "api_key_env": "KEY"}, "an object finds its own key"),
        ({"base_url": "https://x.example", "api_key_env": [7]}, "api_key_env= is a name, or several"),
        ({"base_url": "https://x.example", "quirks": {"renames": {}}}, "did you mean 'rename'"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_registered(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(exc.ConfigurationError, match=message):
        register_provider("mine", **arguments)


class TestClosing:
    def test_an_object_is_open_as_long_as_a_name_means_it(self) -> None:
        closed: list[int] = []
        mine = Closing(lambda: closed.append(1))
        for name in ("one", "two", "one"):
            register_provider(name, mine)
        register_provider("one", Whole("x"))
        assert closed == []
        register_provider("two", Whole("x"))
        assert closed == [1]

    def test_one_is_closed_by_the_loop_in_which_another_takes_its_name(self) -> None:
        loops: list[object] = []

        async def take_over() -> object:
            register_provider("mine", Closing(lambda: loops.append(asyncio.get_running_loop())))
            register_provider("mine", Whole("x"))
            await asyncio.sleep(0.01)
            return asyncio.get_running_loop()

        assert [asyncio.run(take_over())] == loops
