"""Keys among the arguments of a call: refused before an observer of LlamaIndex's has them."""

from __future__ import annotations

import pytest
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.llama_debug import LlamaDebugHandler

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import PRIMARY, WAYS, record_events
from unified_llm.exceptions import ValidationError
from unified_llm.llama_index import UnifiedLLM

SECRET = KEY + "-of-a-call"


@each("argument", ["api_key", "openai_api_key", "default_headers", "headers"])
@each("way", WAYS)
def test_a_key_is_refused_before_anything_sees_it(way: str, argument: str) -> None:
    handler, value = LlamaDebugHandler(print_trace_on_end=False), SECRET if "headers" not in argument else {"k": SECRET}
    llm = UnifiedLLM(model=PRIMARY, api_key=KEY, callback_manager=CallbackManager([handler]))
    with record_events() as recorder, pytest.raises(ValidationError, match=argument):
        WAYS[way](llm, **{argument: value})
    assert SECRET not in repr(recorder.events) + repr(handler.get_event_pairs())
