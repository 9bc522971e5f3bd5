"""Keys among the arguments of a call: hidden or refused before an observer of LlamaIndex's has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.llama_debug import LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import BaseModel

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import PRIMARY, WAYS, record_events
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import LLMError, ServiceUnavailableError, ValidationError
from unified_llm.llama_index import UnifiedLLM

SECRET = KEY + "-of-a-call"
IN_BODY = "pw-0123456789-of-a-gateway"  # which pickles have


class Number(BaseModel):
    """A number."""

    x: int


@each("argument", ["openai_api_key", "default_headers", "headers"])
@each("way", WAYS)
def test_a_key_is_refused_before_anything_sees_it(way: str, argument: str) -> None:
    handler, value = LlamaDebugHandler(print_trace_on_end=False), SECRET if "headers" not in argument else {"k": SECRET}
    llm = UnifiedLLM(model=PRIMARY, api_key=KEY, callback_manager=CallbackManager([handler]))
    with record_events() as recorder, pytest.raises(ValidationError, match=argument):
        WAYS[way](llm, **{argument: value})
    assert SECRET not in repr(recorder.events) + repr(handler.get_event_pairs())


@each("way", WAYS)
def test_options_that_make_no_sense_are_refused_before_anything_sees_them(way: str) -> None:
    llm = UnifiedLLM(model=PRIMARY, api_key=KEY)
    for given, words in (
        ({"base_url": f"http://u:{SECRET}@127.0.0.1:9"}, "user name"),
        ({"max_retries": SECRET}, "max_retries must be"),
        ({"fallbacks": [SECRET]}, "names no known provider"),
        ({"fallbacks": [{"model": "ollama/x", "api_key": SECRET, "modle": "y"}]}, "LLMConfig has no field"),
    ):
        with record_events() as recorder, pytest.raises(LLMError, match=words):
            WAYS[way](llm, **given)
        assert SECRET not in repr(recorder.events)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Spans(BaseSpanHandler[Any]):
    """Keeps the arguments of every span."""

    def new_span(self, id_: str, bound_args: Any, *_: Any, **__: Any) -> None:
        self.open_spans[id_] = repr(bound_args)

    def prepare_to_exit_span(self, *_: Any, **__: Any) -> None: ...

    def prepare_to_drop_span(self, *_: Any, **__: Any) -> None: ...


ASK = PromptTemplate("Hello?")
OF_PROMPTS: dict[str, Callable[[UnifiedLLM, dict[str, Any]], Any]] = {
    "structured": lambda llm, given: llm.structured_predict(Number, ASK, llm_kwargs=given),
    "structured, async": lambda llm, given: asyncio.run(llm.astructured_predict(Number, ASK, llm_kwargs=given)),
    "structured stream": lambda llm, given: list(llm.stream_structured_predict(Number, ASK, llm_kwargs=given)),
    "with tools": lambda llm, given: llm.chat_with_tools([FunctionTool.from_defaults(add)], "Hello?", **given),
    "and call": lambda llm, given: llm.predict_and_call(
        [FunctionTool.from_defaults(add)], "Hello?", error_on_no_tool_call=False, **given
    ),
}


@each("way", OF_PROMPTS)
def test_no_span_of_a_method_over_chat_has_the_key(way: str) -> None:
    llm, spans, dispatcher = UnifiedLLM(model=PRIMARY, api_key=KEY), Spans(), get_dispatcher()
    dispatcher.add_span_handler(spans)
    try:
        with ScriptedTargets({PRIMARY: [say('{"x": 1}')]}).running() as targets, record_events() as recorder:
            OF_PROMPTS[way](llm, {"api_key": SECRET})
            assert {target.key.reveal() for target in targets.targets if target.key} == {SECRET}
    finally:
        dispatcher.span_handlers.remove(spans)
    assert spans.open_spans
    assert SECRET not in repr(spans.open_spans) + repr(recorder.events)


def test_keys_in_bodies_of_fallbacks_are_in_no_event_and_no_dump() -> None:
    fallback = {"model": "openai/gpt-4o", "extra_body": {"api_key": IN_BODY, "user": "seven"}, "api_key": KEY}
    llm = UnifiedLLM(model=PRIMARY, api_key=KEY, fallbacks=[fallback])
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running(), record_events() as recorder:
        llm.complete("Hello?", fallbacks=[fallback])
    shown = repr([event.model_dump_json(fallback=repr) for event in recorder.events]) + repr(llm.to_dict())
    assert "seven" in shown
    assert IN_BODY not in shown


@each("way", WAYS)
def test_the_key_of_a_call_is_used_and_nothing_else_sees_it(way: str) -> None:
    handler, url = LlamaDebugHandler(print_trace_on_end=False), "http://127.0.0.1:9"
    llm = UnifiedLLM(model=PRIMARY, api_key=KEY, callback_manager=CallbackManager([handler]))
    fallbacks = [{"model": "openai/gpt-4o", "api_key": SECRET + "-2", "base_url": url}]
    targets = ScriptedTargets({PRIMARY: [Failure("server", 503)], url + "/v1": [say("Hi")]})
    with targets.running(), record_events() as recorder:
        WAYS[way](llm, api_key=SECRET, fallbacks=fallbacks, max_retries=0)
        assert [target.key.reveal() for target in targets.targets if target.key] == [SECRET, SECRET + "-2"]
        with pytest.raises(ServiceUnavailableError):
            WAYS[way](llm, api_key=SECRET, max_retries=0)
    assert recorder.events
    assert SECRET not in repr(recorder.events) + repr(handler.get_event_pairs())
    for event in recorder.events:
        event.model_dump_json(fallback=repr)
