"""The options of a request to MLX: which there are, what their values may be, and what becomes of others."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig
from unified_llm._backends.mlx.engine_types import Constraint, EngineError, Sampling
from unified_llm._backends.mlx.request_options import _READ, read_options
from unified_llm._config.make_target import describe_target
from unified_llm._core.target import Target
from unified_llm._providers.api_fields import fields_of
from unified_llm._providers.provider_fields import fields_for
from unified_llm.exceptions import ConfigurationError
from unified_llm.types import LLMRequest, Message, ResponseFormat


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
    described = describe_target(LLMConfig(model="mlx/demo"), ())
    assert described is not None
    return described


def request(**fields: Any) -> LLMRequest:
    return LLMRequest((Message.user("x"),), **fields)


def refusal(target: Target, **fields: Any) -> EngineError:
    with pytest.raises(EngineError) as refused:
        read_options(request(**fields), target)
    return refused.value


def test_a_request_without_options_is_sampled_by_the_defaults(target: Target) -> None:
    options = read_options(request(), target)
    assert (options.sampling, options.constraint, options.template) == (Sampling(), None, {})


def test_each_option_is_read_from_its_field_or_from_the_body(target: Target) -> None:
    fields = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "presence_penalty": 1, "frequency_penalty": -1}
    body = {
        "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "repetition_context_size": 0, "logit_bias": {"7": -100},
        "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip
    options = read_options(request(**fields, top_logprobs=2, extra_body=body), target)
    assert options.sampling == Sampling(
        temperature=0.5, top_p=0.9, top_k=5, min_p=0.1, seed=3, repetition_penalty=1.2, repetition_context_size=0,
        presence_penalty=1.0, frequency_penalty=-1.0, logit_bias={7: -100.0}, logprobs=True, top_logprobs=2,
    )  # fmt: skip
    assert options.template == {"enable_thinking": False}


def test_more_tokens_than_any_response_has_are_all(target: Target) -> None:
    options = read_options(request(extra_body={"repetition_penalty": 2, "repetition_context_size": 10**30}), target)
    assert options.sampling == Sampling(repetition_penalty=2.0, repetition_context_size=0)


def test_the_call_goes_before_the_configuration_and_the_body_before_the_fields(target: Target) -> None:
    configured = replace(target, extra_body={"top_k": 1, "min_p": 0.5}, defaults={"temperature": 0.1, "seed": 9})
    options = read_options(request(temperature=1.0, extra_body={"top_k": 2, "temperature": 0.7}), configured)
    assert options.sampling == Sampling(temperature=0.7, top_k=2, min_p=0.5, seed=9)


def test_the_table_of_options_is_the_one_that_the_provider_table_has(target: Target) -> None:
    fields = {"temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"}
    assert _READ.keys() == fields_of(target) | fields


@each(
    ("body", "reason"),
    [
        ({"top_k": -2}, "top_k must be a whole number, 0 or greater."),
        ({"top_k": 1.5}, "top_k must be a whole number."),
        ({"min_p": 1.1}, "min_p must be 0 to 1."),
        ({"repetition_penalty": 0}, "repetition_penalty must be greater than 0; 1 changes nothing."),
        ({"repetition_penalty": float("nan")}, "repetition_penalty must be a finite number."),
        ({"repetition_context_size": True}, "repetition_context_size must be a whole number."),
        ({"temperature": -1}, "temperature must be 0 to 2 at mlx/demo."),
        ({"top_p": 1.5}, "top_p must be 0 to 1 at mlx/demo."),
        ({"presence_penalty": 3}, "presence_penalty must be -2 to 2 at mlx/demo."),
        ({"top_logprobs": 21}, "top_logprobs must be 0 to 20 at mlx/demo."),
        ({"logprobs": 1}, "logprobs must be True or False."),
        ({"logit_bias": {"a": 1}}, "The keys of logit_bias must be ids of tokens, whole numbers: texts are not known"),
        ({"logit_bias": {-1: 1}}, "The keys of logit_bias must be ids of tokens"),
        ({"logit_bias": {1: 101}}, "The values of logit_bias must be -100 to 100."),
        ({"logit_bias": {1: "x"}}, "A value of logit_bias must be a finite number."),
        ({"logit_bias": [[1, 2]]}, "logit_bias must be a mapping of token ids to numbers, 1024 at most."),
        ({"chat_template_kwargs": [1]}, "chat_template_kwargs must be a mapping of names to values."),
        ({"chat_template_kwargs": {"a": print}}, "chat_template_kwargs must have values of JSON: texts"),
        ({"chat_template_kwargs": {"a": {1}}}, "chat_template_kwargs must have values of JSON"),
        ({"chat_template_kwargs": {"a": "\ud800"}}, "chat_template_kwargs must have values of JSON"),
        ({"guided_choice": ["\ud800"]}, "A text of guided_choice has half of a surrogate pair, which no token has."),
        ({"guided_regex": "\ud800"}, "guided_regex has half of a surrogate pair, which no token has."),
        ({"guided_regex": ""}, "guided_regex must be a text that is not empty."),
        ({"guided_choice": "ab"}, "guided_choice must be a list of texts, one of which is the response."),
        ({"guided_choice": ["a", 1]}, "A text of guided_choice must be a text that is not empty."),
        ({"guided_json": "{"}, "guided_json must be a JSON schema: an object, or one as text."),
        ({"guided_json": {"x": {1, 2}}}, "guided_json must be a JSON schema: an object, or one as text."),
        ({"structured_outputs": {"xml": "a"}}, "structured_outputs must have one of json, json_object, regex, choice"),
        ({"structured_outputs": {"regex": "a", "json": {}}}, "structured_outputs must have one of json"),
        ({"guided_regex": "a", "guided_json": {}}, "A response has one constraint: response_format"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_in_one_sentence(
    target: Target, body: dict[str, Any], reason: str
) -> None:
    refused = refusal(target, extra_body=body)
    assert refused.kind == "bad_request"
    assert str(refused).startswith(reason)


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
ANY = Constraint("json_schema", '{"type":"object"}')
OF_SCHEMA = Constraint("json_schema", json.dumps(SCHEMA, separators=(",", ":")))
CHOICE = Constraint("lark", 'start: "yes" | "a \\"b\\""')


@each(
    ("fields", "constraint"),
    [
        ({"response_format": ResponseFormat()}, ANY),
        ({"response_format": ResponseFormat(SCHEMA)}, OF_SCHEMA),
        ({"response_format": ResponseFormat({})}, Constraint("json_schema", "{}")),
        ({"extra_body": {"structured_outputs": {"json": SCHEMA}}}, OF_SCHEMA),
        ({"extra_body": {"structured_outputs": {"json": json.dumps(SCHEMA), "regex": None}}}, OF_SCHEMA),
        ({"extra_body": {"structured_outputs": {"json_object": True}}}, ANY),
        ({"extra_body": {"structured_outputs": {"choice": ["yes", 'a "b"']}}}, CHOICE),
        ({"extra_body": {"guided_choice": ("yes", 'a "b"')}}, CHOICE),
        ({"extra_body": {"guided_regex": "a+"}}, Constraint("regex", "a+")),
        ({"extra_body": {"guided_grammar": 'root ::= "a"'}}, Constraint("lark", 'root ::= "a"')),
    ],
)
def test_constraints_are_read_from_each_of_their_forms(
    target: Target, fields: dict[str, Any], constraint: Constraint
) -> None:
    assert read_options(request(**fields), target).constraint == constraint


def test_an_unknown_option_of_a_call_is_refused_unless_another_api_knows_it(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    refused = refusal(target, extra_body={"topk": 5})
    assert (refused.kind, str(refused)) == ("unsupported", "MLX has no option 'topk': did you mean 'top_k'?")
    with caplog.at_level(logging.DEBUG, "unified_llm"):
        assert read_options(request(extra_body={"user": "u", "typical_p": 0.5}), target).sampling == Sampling()
    dropped = {record.getMessage(): record.levelno for record in caplog.records}
    assert dropped == {
        "typical_p is not sent to mlx/demo, which has no such option": logging.WARNING,
        "user is not sent to mlx/demo, which has no such option": logging.DEBUG,
    }


@each(
    ("body", "reason"),
    [
        ({"mirostat": 2}, r"extra_body: MLX has no option 'mirostat': leave it out of extra_body\."),
        ({"minp": 0.1}, r"extra_body: MLX has no option 'minp': did you mean 'min_p'\?"),
        ({"min_p": 3}, r"extra_body: min_p must be 0 to 1\."),
    ],
)
def test_a_configuration_with_an_option_that_mlx_has_not_is_refused(
    target: Target, body: dict[str, Any], reason: str
) -> None:
    del target
    with pytest.raises(ConfigurationError, match=reason):
        LLMClient(LLMConfig(model="mlx/demo", extra_body=body))


def test_options_of_a_call_to_another_api_reach_a_fallback_on_mlx_where_they_mean_the_same(target: Target) -> None:
    vllm = describe_target(LLMConfig(model="vllm/x"), ())
    openai = describe_target(LLMConfig(model="openai/x"), ())
    assert vllm is not None
    assert openai is not None
    body = {"top_k": 5, "guided_regex": "a", "logit_bias": {"1": 1}, "best_of": 2, "user": "u"}
    assert fields_for(target, vllm, request(extra_body=body)) == {"top_k": 5, "guided_regex": "a"}
    assert fields_for(target, openai, request(extra_body=body)) == {"top_k": 5}
    assert fields_for(vllm, target, request(extra_body=body)) == {
        name: value for name, value in body.items() if name != "best_of"
    }
