"""What some providers return beside the text: provider state, citations, several answers, log probabilities."""

from __future__ import annotations

import functools
import json
import operator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, messages_from_dict, messages_to_dict

from tests.support.langchain_targets import KEY
from tests.support.scripted_targets import USAGE, ScriptedTargets
from unified_llm._core.outcome import Done
from unified_llm.langchain import ChatUnified
from unified_llm.types import Citation, LLMChunk, LLMResponse, Message, ProviderState, TokenLogprob

PRIMARY = "openai/gpt-5-mini"
STATE = ProviderState("openai", "openai_responses", [{"type": "reasoning", "encrypted_content": "abc"}])
SOURCE = Citation(url="https://example.com/", title="Example", start=0, end=5)
TOKENS = (TokenLogprob("Hel", -0.1, (("Hel", -0.1), ("Hal", -2.5))), TokenLogprob("lo", -0.2))
ANSWER = LLMResponse(
    "Hello", usage=USAGE, provider_state=STATE, citations=(SOURCE,), logprobs=TOKENS, alternatives=(LLMResponse("Hi"),)
)
PIECES: list[Any] = [
    LLMChunk("Hel", logprobs=TOKENS[:1]),
    LLMChunk("lo", logprobs=TOKENS[1:]),
    LLMChunk(citations=(SOURCE,)),
    LLMChunk(citations=(Citation(title="A book"),)),
    Done(LLMChunk(finish_reason="stop", usage=USAGE, provider_state=STATE)),
]


def model(**fields: Any) -> ChatUnified:
    return ChatUnified(model=PRIMARY, api_key=KEY, **fields)


def whole() -> AIMessage:
    with ScriptedTargets({PRIMARY: [[ANSWER]]}).running():
        return model().invoke("Hello?", logprobs=True)


def streamed() -> AIMessage:
    with ScriptedTargets({PRIMARY: [PIECES]}).running():
        chunks = list(model().stream("Hello?", logprobs=True))
    added: AIMessageChunk = functools.reduce(operator.add, chunks)
    return added


def test_provider_state_goes_back_with_its_message_and_survives_storage() -> None:
    (stored,) = messages_from_dict(json.loads(json.dumps(messages_to_dict([whole()]))))
    for answer in (whole(), streamed(), stored):
        targets = ScriptedTargets({PRIMARY: [[ANSWER]]})
        with targets.running():
            model().invoke([HumanMessage("Hello?"), answer, HumanMessage("And?")])
        sent: tuple[Message, ...] = targets.asked[0][1].messages
        assert sent[1].provider_state == STATE
        assert "abc" not in repr(sent)


def test_what_somebody_else_wrote_under_that_name_is_no_provider_state() -> None:
    for wrong in (None, "text", {"provider": "openai"}, [STATE.as_dict()]):
        message = AIMessage("Hello", additional_kwargs={"unified_llm_provider_state": wrong})
        targets = ScriptedTargets({PRIMARY: [[ANSWER]]})
        with targets.running():
            model().invoke([HumanMessage("Hello?"), message, HumanMessage("And?")])
        assert targets.asked[0][1].messages[1].provider_state is None


def test_sources_are_listed_with_the_message() -> None:
    citation = {"url": "https://example.com/", "title": "Example", "start": 0, "end": 5}
    assert whole().additional_kwargs["citations"] == [citation]
    assert streamed().additional_kwargs["citations"] == [citation, {"title": "A book"}]


def test_log_probabilities_have_openai_s_form_whoever_gave_them() -> None:
    for answer in (whole(), streamed()):
        first, second = answer.response_metadata["logprobs"]["content"]
        assert (first["token"], first["logprob"], second["token"]) == ("Hel", -0.1, "lo")
        assert first["bytes"] == [72, 101, 108]
        assert [each["token"] for each in first["top_logprobs"]] == ["Hel", "Hal"]
    with ScriptedTargets({PRIMARY: [[ANSWER]]}).running():
        assert "logprobs" not in model().invoke("Hello?").response_metadata


def test_several_answers_are_several_generations() -> None:
    targets = ScriptedTargets({PRIMARY: [[ANSWER]]})
    with targets.running():
        result = model().generate([[HumanMessage("Hello?")]], n=2)
    assert [generation.text for generation in result.generations[0]] == ["Hello", "Hi"]
    assert targets.asked[0][1].n == 2
    records = [each.message.response_metadata["unified_llm"] for each in result.generations[0]]  # type: ignore[union-attr]
    assert records[0]["served_by"] == records[1]["served_by"] == PRIMARY
