"""Metadata, which LlamaIndex reads several times in a request and often stores."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.indices.prompt_helper import PromptHelper
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts.default_prompts import DEFAULT_TEXT_QA_PROMPT

from conformance.llama_index.call_modes import ask
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Refuse, Say
from conformance.llama_index.upstream import KEY, unreachable_server

UNKNOWN = "an-unknown-model"


class TestMetadata:
    """The property, and the code that calculates with it."""

    def test_it_says_what_the_model_is(self, bench: Bench) -> None:
        """A chat model, with a name and a context window. Needed by prompts/utils.py."""
        llm, _ = bench.start(Say("Yes."))
        metadata = llm.metadata
        assert isinstance(metadata, LLMMetadata)
        assert metadata.is_chat_model
        assert metadata.context_window > 0
        assert metadata.model_name not in {"", "unknown"}

    def test_it_says_whether_the_model_calls_functions(self, bench: Bench) -> None:
        """It decides which program or workflow is used. Needed by program/utils.py."""
        assert bench.start(Say("Yes."))[0].metadata.is_function_calling_model
        assert not bench.start_without_functions(Say("Yes."))[0].metadata.is_function_calling_model

    def test_it_asks_nobody(self, bench: Bench) -> None:
        """It is read twice in every call. Needed by llms/callbacks.py."""
        llm, upstream = bench.start(Say("Yes."))
        for _ in range(3):
            assert llm.metadata.model_name
            assert llm.to_payload()
        assert upstream.times == []

    def test_it_is_known_while_the_server_is_down(self, bench: Bench) -> None:
        """Indexes are built before the first request. Needed by response_synthesizers/base.py."""
        with unreachable_server() as url:
            assert bench.llm(url).metadata.context_window > 0

    def test_an_unknown_model_has_metadata(self, bench: Bench) -> None:
        """New models appear every week. Needed by base/llms/base.py."""
        upstream = bench.open(Say("Yes."))
        llm = bench.contender.of_model(UNKNOWN, upstream.url, KEY, max_retries=0)
        assert llm.metadata.context_window > 0
        assert UNKNOWN in llm.metadata.model_name
        assert ask(llm, "complete")[0].text == "Yes."

    def test_it_does_not_change_with_a_failure(self, bench: Bench) -> None:
        """Readers store it. Needed by settings.py."""
        llm, _ = bench.start(Refuse(500))
        before = llm.metadata
        for _ in range(3):
            with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
                ask(llm, "chat")
        assert llm.metadata == before

    @pytest.mark.parametrize("max_tokens", [None, 256, 8_000])
    def test_there_is_room_for_a_prompt(self, bench: Bench, max_tokens: int | None) -> None:
        """Context window minus prompt minus output must be positive. Needed by indices/prompt_helper.py."""
        upstream = bench.open(Say("Yes."))
        fields = {"max_tokens": max_tokens} if max_tokens else {}
        llm = bench.contender.of_model(UNKNOWN, upstream.url, KEY, max_retries=0, **fields)
        assert llm.metadata.num_output < llm.metadata.context_window
        helper = PromptHelper.from_llm_metadata(llm.metadata)
        assert helper.get_text_splitter_given_prompt(DEFAULT_TEXT_QA_PROMPT, llm=llm).chunk_size > 100

    def test_a_memory_has_room(self, bench: Bench) -> None:
        """It takes a share of the context window. Needed by memory/chat_memory_buffer.py."""
        llm, _ = bench.start(Say("Yes."))
        assert ChatMemoryBuffer.from_defaults(llm=llm).token_limit > 0
