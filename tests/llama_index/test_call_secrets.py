"""Keys among the arguments of a call: hidden or refused before an observer of LlamaIndex's has them."""

from __future__ import annotations

import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.llama_debug import LlamaDebugHandler

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import PRIMARY, WAYS, record_events
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ServiceUnavailableError, ValidationError
from unified_llm.llama_index import UnifiedLLM

SECRET = KEY + "-of-a-call"


@each("argument", ["openai_api_key", "default_headers", "headers"])
@each("way", WAYS)
def test_a_key_is_refused_before_anything_sees_it(way: str, argument: str) -> None:
    handler, value = LlamaDebugHandler(print_trace_on_end=False), SECRET if "headers" not in argument else {"k": SECRET}
    llm = UnifiedLLM(model=PRIMARY, api_key=KEY, callback_manager=CallbackManager([handler]))
    with record_events() as recorder, pytest.raises(ValidationError, match=argument):
        WAYS[way](llm, **{argument: value})
    assert SECRET not in repr(recorder.events) + repr(handler.get_event_pairs())


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
