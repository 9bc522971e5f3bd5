"""After an answer that is no such JSON: the same target again, then its next method, then the next target."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, GROQ, HAIKU, SONAR, WAYS, CallOutcome, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import LLMClient, health_snapshot, register_provider
from unified_llm._core.outcome import Done, Failure
from unified_llm._providers import registry
from unified_llm._structured.checks import describe_error
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ContentFilterError,
    GenerationError,
    StreamInterruptedError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, Message, ResponseFormat, Tool, ToolCall

DEEPSEEK = "deepseek/deepseek-chat"  # has a mode for JSON and tools, but no schemas
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = ResponseFormat(SCHEMA, "place")
ROME, SEVEN = '{"city": "Rome"}', '{"city": 7}'
PROSE = "I cannot say."
WHOLE: tuple[Way, ...] = ("generate", "agenerate")
STREAMS: tuple[Way, ...] = ("stream", "astream")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GROQ", "PERPLEXITY", "DEEPSEEK"):
        monkeypatch.setenv(f"{provider}_API_KEY", CANARY)


def call(
    way: Way,
    targets: ScriptedTargets,
    *chain: str,
    prompt: Any = "Where?",
    options: dict[str, Any] | None = None,
    **overrides: Any,
) -> CallOutcome:
    client = LLMClient(chain[0], fallbacks=chain[1:], **(options or {}))
    with targets.running():
        outcome = outcome_of(way, client, prompt, **{"response_format": FORMAT, **overrides})
    assert targets.open == 0
    return outcome


def methods(targets: ScriptedTargets) -> list[str]:
    """How each request asked for JSON, with a mark where it corrects an answer."""
    names = []
    for _, request in targets.asked:
        by_tool = request.tools and request.tool_choice == "place"
        is_native = request.response_format is not None and request.response_format.schema is not None
        name = "native" if is_native else "tool" if by_tool else "prompt"
        corrects = any("is not accepted" in message.text for message in request.messages)
        names.append(name + " again" if corrects else name)
    return names


class TestOrder:
    @each("way", WHOLE)
    def test_the_same_method_once_more_then_the_next_ones_then_the_next_target(self, way: Way) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)], HAIKU: [say(ROME)]})
        assert call(way, targets, GPT, HAIKU).content == ROME
        assert targets.names == [GPT] * 4 + [HAIKU]
        assert methods(targets) == ["native", "native again", "tool", "prompt", "native"]

    @each("way", WAYS)
    def test_so_it_is_in_a_stream_of_which_nothing_was_handed_out(self, way: Way) -> None:
        targets = ScriptedTargets({DEEPSEEK: [say(PROSE), say(PROSE), say(ROME)]})
        assert call(way, targets, DEEPSEEK).content == ROME
        assert methods(targets) == ["tool", "tool again", "prompt"]
        assert targets.slept == []

    @each("way", WAYS)
    def test_local_5_without_a_schema_any_json_value_will_do(self, way: Way) -> None:
        for answer in ("[1]", '[{"a": 1}]', '{"a": 1}', "7", "null", '"text"'):
            targets = ScriptedTargets({GPT: [say(answer)]})
            assert call(way, targets, GPT, response_format={"type": "json_object"}).content == answer
            assert len(targets.asked) == 1
        targets = ScriptedTargets({GPT: [say(PROSE), say('```\n{"a": 1}\n```')]})
        if way in WHOLE:
            assert call(way, targets, GPT, response_format={"type": "json_object"}).content == '{"a": 1}'
            assert "it is not JSON" in targets.asked[1][1].messages[-1].text
        else:
            assert call(way, targets, GPT, response_format={"type": "json_object"}).error is StreamInterruptedError

    def test_tools_of_the_user_exclude_a_forced_tool(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)]})
        look = Tool("look", "Look something up.", {"type": "object", "properties": {}})
        assert call("generate", targets, GPT, tools=[look]).error is GenerationError
        assert methods(targets) == ["native", "native again", "prompt"]
        assert all(request.tools == (look,) for _, request in targets.asked)

    def test_a_schema_whose_root_is_a_list_excludes_a_tool_too(self) -> None:
        targets = ScriptedTargets({GPT: [say("{}")]})
        call("generate", targets, GPT, response_format=ResponseFormat({"type": "array"}))
        assert methods(targets) == ["native", "native again", "prompt"]

    def test_a_last_resort_is_asked_only_for_what_it_does_natively(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)]})
        call("generate", targets, GPT, options={"last_resort": True})
        assert methods(targets) == ["native", "native again"]

    @each("kind", ["unsupported", "bad_request"])
    def test_a_method_that_is_refused_is_followed_by_the_next(
        self, kind: Literal["unsupported", "bad_request"]
    ) -> None:
        targets = ScriptedTargets({GPT: [Failure(kind, 400), say(PROSE), Failure(kind, 400), say(ROME)]})
        assert call("generate", targets, GPT).content == ROME
        assert methods(targets) == ["native", "tool", "tool again", "prompt"]

    def test_the_last_refusal_is_a_failure_like_any_other(self) -> None:
        targets = ScriptedTargets({GPT: [Failure("filter", 400)], HAIKU: [say(ROME)]})
        assert call("generate", targets, GPT, HAIKU).error is ContentFilterError
        assert methods(targets) == ["native"]
        targets = ScriptedTargets({GPT: [Failure("bad_request", 400)], HAIKU: [say(ROME)]})
        assert call("generate", targets, GPT, HAIKU).content == ROME

    def test_an_attempt_that_fails_on_its_way_is_repeated_as_it_was(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN), Failure("server", 503), say(ROME)]})
        assert call("generate", targets, GPT).content == ROME
        assert methods(targets) == ["native", "native again", "native again"]

    def test_the_methods_can_be_chosen(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)]})
        call("generate", targets, GPT, response_format=replace(FORMAT, methods=("prompt", "tool")))
        assert methods(targets) == ["prompt", "prompt again", "tool"]
        for wrong in ((), ("yaml",)):
            with pytest.raises(ValidationError, match="native, tool, prompt"):
                ResponseFormat(SCHEMA, methods=cast("Any", wrong))

    def test_a_target_with_none_of_the_methods_is_skipped(self) -> None:
        only_native = replace(FORMAT, methods=("native",))
        targets = ScriptedTargets({GPT: [say(ROME)]})
        outcome = call("generate", targets, DEEPSEEK, GPT, response_format=only_native)
        assert [attempt[1] for attempt in outcome.attempts] == ["skipped", "ok"]
        assert call("generate", targets, DEEPSEEK, response_format=only_native).error is UnsupportedOperationError


class TestCorrection:
    @each("way", WHOLE)
    def test_the_wrong_answer_and_what_is_wrong_are_appended(self, way: Way) -> None:
        wrong = f"Sure: {SEVEN}"
        targets = ScriptedTargets({GPT: [say(wrong, reasoning="Hmm."), say(ROME)]})
        call(way, targets, GPT, prompt=[Message.system("Be brief."), Message.user("Where?")])
        first, second = (request.messages for _, request in targets.asked)
        assert second[:2] == first
        assert (second[2].role, second[2].text, second[2].reasoning) == ("assistant", wrong, "Hmm.")
        assert second[3] == Message.user(
            "This answer is not accepted: $.city is no string. Give the whole answer again, as corrected JSON and "
            "nothing else."
        )

    @each("way", WHOLE)
    def test_calls_of_a_forced_tool_are_answered_by_results(self, way: Way) -> None:
        calls = tuple(ToolCall.parse(f"c{number}", "place", SEVEN) for number in (1, 2))
        targets = ScriptedTargets({DEEPSEEK: [[LLMResponse(tool_calls=calls)], call_tool("place", ROME)]})
        assert call(way, targets, DEEPSEEK).content == ROME
        turn, *results = targets.asked[1][1].messages[-3:]
        assert (turn.role, turn.tool_calls) == ("assistant", calls)
        assert [(result.role, result.tool_call_id, result.is_error) for result in results] == [
            ("tool", "c1", True),
            ("tool", "c2", True),
        ]
        assert "$.city is no string. Call the tool again" in results[0].text

    def test_of_several_calls_the_first_that_conforms_is_taken(self) -> None:
        calls = tuple(ToolCall.parse(f"c{number}", "place", text) for number, text in enumerate((SEVEN, ROME)))
        targets = ScriptedTargets({DEEPSEEK: [[LLMResponse(tool_calls=calls)]]})
        assert call("generate", targets, DEEPSEEK).content == ROME

    @each("way", STREAMS)
    def test_in_a_stream_the_text_so_far_is_the_wrong_answer(self, way: Way) -> None:
        targets = ScriptedTargets({DEEPSEEK: [say(PROSE), [Done(LLMChunk(finish_reason="stop"))], say(ROME)]})
        assert call(way, targets, DEEPSEEK).content == ROME
        *_, turn, complaint = targets.asked[1][1].messages
        assert (turn.role, turn.text, complaint.role) == ("assistant", PROSE, "user")
        assert "it is not JSON" in complaint.text


class TestLimits:
    @each("way", WHOLE)
    def test_no_delay_and_no_token_of_the_budget_is_spent_and_no_failure_counted(self, way: Way) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN), say(SEVEN), say(SEVEN), say(ROME)]})
        for _ in range(5):
            targets.asked.clear()
            outcome = call(way, targets, GPT)
            assert [(attempt[1], attempt[3]) for attempt in outcome.attempts] == [("invalid", 0.0)] * 3 + [("ok", 0.0)]
        assert targets.slept == []
        with targets.running():
            (health,) = health_snapshot()
        assert (health["state"], health["consecutive_failures"], health["retry_budget"]) == ("closed", 0, 10.0)

    def test_six_attempts_are_the_most_and_every_target_gets_one(self) -> None:
        chain = (GPT, HAIKU, GROQ, SONAR)
        targets = ScriptedTargets({name: [say(SEVEN)] for name in chain})
        assert call("generate", targets, *chain).error is AllTargetsFailedError
        assert targets.names == [GPT] * 3 + [HAIKU, GROQ, SONAR]
        many = [f"openai/model-{number}" for number in range(8)]
        targets = ScriptedTargets({name: [say(SEVEN)] for name in many})
        call("generate", targets, *many)
        assert targets.names == many

    def test_nothing_is_asked_after_the_deadline(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)]}, latency=3.0)
        assert call("generate", targets, GPT, deadline=5.0).error is GenerationError
        assert targets.clock == 1005.0
        assert methods(targets) == ["native", "native again"]

    @each(("max_retries", "times"), [(0, 1), (1, 2), (3, 4), (9, 4)])
    def test_max_retries_bounds_the_attempts_on_a_target(self, max_retries: int, times: int) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)], HAIKU: [say(ROME)]})
        assert call("generate", targets, GPT, HAIKU, options={"max_retries": max_retries}).content == ROME
        assert targets.names == [GPT] * times + [HAIKU]
        targets = ScriptedTargets({GPT: [Failure("unsupported", 400)], HAIKU: [say(ROME)]})
        call("generate", targets, GPT, HAIKU, options={"max_retries": max_retries})
        assert targets.names == [GPT] * min(times, 3) + [HAIKU]

    def test_a_call_that_must_not_fail_over_still_asks_the_same_target_in_every_way(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)], HAIKU: [say(ROME)]})
        assert call("generate", targets, GPT, HAIKU, failover_on={"invalid": False}).error is GenerationError
        assert targets.names == [GPT] * 4

    @each("way", STREAMS)
    @each("primary", [GPT, DEEPSEEK])
    def test_nothing_is_asked_once_a_chunk_was_handed_out(self, way: Way, primary: str) -> None:
        answer = say(SEVEN) if primary == GPT else call_tool("place", SEVEN)
        targets = ScriptedTargets({primary: [answer], HAIKU: [say(ROME)]})
        assert call(way, targets, primary, HAIKU).error is StreamInterruptedError
        assert targets.names == [primary]

    def test_the_error_says_where_and_has_the_answer(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN)]})
        with targets.running():
            with pytest.raises(GenerationError, match="does not fit the schema") as caught:
                LLMClient(GPT).generate("Where?", response_format=FORMAT)
            with pytest.raises(StreamInterruptedError) as interrupted:
                list(LLMClient(GPT).stream("Where?", response_format=FORMAT))
        assert (caught.value.detail, caught.value.answer) == ("$.city is no string", SEVEN)
        assert pickle.loads(pickle.dumps(caught.value)).answer is None  # noqa: S301
        assert isinstance(interrupted.value.__cause__, GenerationError)
        assert (interrupted.value.detail, interrupted.value.partial) == ("$.city is no string", SEVEN)


class TestNativeAnswers:
    @each("way", WHOLE)
    def test_fences_and_prose_are_removed_from_a_whole_answer(self, way: Way) -> None:
        targets = ScriptedTargets({GPT: [say(f"Here:\n```json\n{ROME}\n```\nAnything else?")]})
        assert call(way, targets, GPT).content == ROME

    @each("way", STREAMS)
    def test_the_chunks_of_a_stream_are_handed_out_as_they_come(self, way: Way) -> None:
        text = f"```json\n{ROME}\n```"
        assert call(way, ScriptedTargets({GPT: [say(text)]}), GPT).content == text

    @each("way", WAYS)
    @each(
        "answer",
        [
            LLMResponse('{"city": "Ro', finish_reason="length"),
            LLMResponse('Sure: {"city', finish_reason="content_filter"),
            LLMResponse("Let me look.", tool_calls=(ToolCall.parse("c1", "look", "{}"),), finish_reason="tool_calls"),
        ],
    )
    def test_what_was_cut_off_or_calls_a_tool_is_returned_as_it_is(self, way: Way, answer: LLMResponse) -> None:
        look = Tool("look", "Look something up.", {"type": "object", "properties": {}})
        targets = ScriptedTargets({GPT: [[answer]]})
        outcome = call(way, targets, GPT, tools=[look])
        assert (outcome.content, outcome.metadata[0], len(outcome.calls)) == (
            answer.content,
            answer.finish_reason,
            len(answer.tool_calls),
        )
        assert len(targets.asked) == 1

    def test_a_refusal_is_returned_as_it_is(self) -> None:
        targets = ScriptedTargets({GPT: [[LLMResponse("", refusal="No.")]]})
        with targets.running():
            assert LLMClient(GPT).generate("Where?", response_format=FORMAT).refusal == "No."
        assert len(targets.asked) == 1

    def test_a_hedged_call_is_checked_too(self) -> None:
        targets = ScriptedTargets({GPT: [say(SEVEN), say(ROME)], HAIKU: [say(ROME)]})
        outcome = call("agenerate", targets, GPT, HAIKU, hedge_after=5.0)
        assert outcome.content == ROME
        assert targets.names == [GPT, GPT]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


def check_with(function: Callable[[str], Any], *answers: str) -> tuple[ScriptedTargets, LLMResponse]:
    targets = ScriptedTargets({GPT: [say(answer) for answer in answers]})
    with targets.running():
        response = LLMClient(GPT).generate("Where?", response_format=replace(FORMAT, validate=function))
    return targets, response


class TestValidate:
    def test_a_function_gets_the_json_and_its_sentence_goes_to_the_model(self) -> None:
        texts: list[str] = []

        def refuse_rome(text: str) -> str | None:
            texts.append(text)
            return "The city must not be Rome." if json.loads(text) == {"city": "Rome"} else None

        targets, response = check_with(refuse_rome, f"```\n{ROME}\n```", '{"city": "Bonn"}')
        assert response.content == '{"city": "Bonn"}'
        assert set(texts) == {ROME, '{"city": "Bonn"}'}
        assert "not accepted: The city must not be Rome. Give the whole" in targets.asked[1][1].messages[-1].text

    def test_it_replaces_the_schema_but_what_is_no_json_never_reaches_it(self) -> None:
        texts: list[str] = []
        _, response = check_with(texts.append, PROSE, '{"city": NaN}', SEVEN)
        assert response.content == SEVEN
        assert set(texts) == {SEVEN}

    def test_of_two_objects_the_one_that_it_accepts_is_taken(self) -> None:
        _, response = check_with(lambda text: None if "Bonn" in text else "wrong", f'{ROME} or {{"city": "Bonn"}}')
        assert response.content == '{"city": "Bonn"}'

    def test_a_value_error_says_what_is_wrong(self) -> None:
        def refuse(text: str) -> None:
            if "Rome" in text:
                raise ValueError("a city on a river")

        targets, _ = check_with(refuse, ROME, SEVEN)
        assert "not accepted: a city on a river." in targets.asked[1][1].messages[-1].text
        assert describe_error(ValueError()) == "it is not valid"

    def test_of_pydantics_error_fields_and_rules_are_told_and_no_values(self) -> None:
        animal = TypeAdapter(Cat | Dog)
        for text in ('{"kind": "CANARY", "lives": "CANARY"}', "CANARY"):
            with pytest.raises(ValueError, match="CANARY") as caught:
                animal.validate_json(text)
            assert "CANARY" not in describe_error(caught.value)
        with pytest.raises(ValueError, match="lives") as caught:
            Cat.model_validate({"kind": "cat", "lives": "CANARY"})
        assert describe_error(caught.value).startswith("lives: Input should be a valid integer")

    def test_a_wrong_tag_is_not_quoted(self) -> None:
        class Owner(BaseModel):
            pet: Annotated[Cat | Dog, Field(discriminator="kind")]

        with pytest.raises(ValueError, match="CANARY") as caught:
            Owner.model_validate({"pet": {"kind": "CANARY"}})
        assert describe_error(caught.value) == "pet: 'kind' must be one of 'cat', 'dog'"

    @each("way", WAYS)
    def test_any_other_exception_of_it_is_the_callers(self, way: Way) -> None:
        def fail(_: str) -> None:
            raise KeyError("a bug")

        targets = ScriptedTargets({GPT: [say(ROME)]})
        with pytest.raises(KeyError, match="a bug"):
            call(way, targets, GPT, HAIKU, response_format=replace(FORMAT, validate=fail))
        assert targets.open == 0
        assert targets.names == [GPT]

    @each("way", WAYS)
    def test_false_checks_nothing(self, way: Way) -> None:
        for name in (GPT, DEEPSEEK):
            targets = ScriptedTargets({name: [say(SEVEN)]})
            assert call(way, targets, name, response_format=replace(FORMAT, validate=False)).content == SEVEN
            targets = ScriptedTargets({name: [say(PROSE)]})
            assert call(way, targets, name, response_format=replace(FORMAT, validate=False)).content == PROSE

    def test_it_can_stand_in_a_dict(self) -> None:
        form = {"type": "json_schema", "json_schema": {"schema": SCHEMA}, "validate": False}
        assert call("generate", ScriptedTargets({GPT: [say(SEVEN)]}), GPT, response_format=form).content == SEVEN
        read = ResponseFormat.from_dict({"type": "json_object", "validate": False})
        assert read is not None
        assert read.validate is False

    def test_it_takes_no_part_in_comparisons_reprs_and_hashes(self) -> None:
        checked = ResponseFormat(validate=lambda _: None)
        assert checked == ResponseFormat() == ResponseFormat(validate=False)
        assert hash(checked) == hash(ResponseFormat())
        assert "validate" not in repr(checked)
        assert pickle.loads(pickle.dumps(ResponseFormat(SCHEMA, validate=False))).validate is False  # noqa: S301
        with pytest.raises(ValidationError, match="validate"):
            ResponseFormat(validate=cast("Any", "yes"))


class Slow:
    """A user's provider, which supports no JSON."""

    def __init__(self) -> None:
        self.requests: list[LLMRequest] = []

    def generate(self, request: LLMRequest) -> LLMResponse:
        self.requests.append(request)
        return LLMResponse(SEVEN if len(self.requests) == 1 else ROME)


def test_a_provider_of_the_user_is_asked_again_too() -> None:
    provider = Slow()
    register_provider("slowly", provider)
    try:
        response = LLMClient("slowly/one").generate("Where?", response_format=FORMAT)
    finally:
        registry.unregister("slowly")
    assert response.content == ROME
    assert "not accepted: $.city is no string" in provider.requests[1].messages[-1].text
