"""Constraints on a model with random weights: what it writes is valid, in the batch and beside other requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from integration_tests.support.tiny_models import make_model
from tests.support import mlx_calls
from tests.support.each import each
from tests.support.mlx_calls import Answer, collect, prompt
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import Constraint, EngineError, EngineKey, Output
from unified_llm._backends.mlx.engines import get_engine
from unified_llm._lib.json_schema import find_mismatch

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
OF_SCHEMA = Constraint("json_schema", json.dumps(SCHEMA))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = get_engine(EngineKey(make_model(tmp_path_factory.mktemp("tiny"))))
    yield engine
    engine.close()


Ask = Callable[..., SimpleQueue[Output]]


@pytest.fixture
def submit(tiny: Engine) -> Ask:
    def submit(**options: Any) -> SimpleQueue[Output]:
        return mlx_calls.submit(tiny, prompt("Hello", **{"temperature": 1.0, "seed": 1, "max_tokens": 200, **options}))

    return submit


def conforms(answer: Answer, schema: dict[str, Any] = SCHEMA) -> bool:
    return find_mismatch(json.loads(answer.text), schema) is None


@each(
    ("constraint", "pattern"),
    [
        (Constraint("regex", "[0-9]{3}-(ab)+x?"), r"[0-9]{3}-(ab)+x?"),
        (Constraint("regex", "^abc$"), "abc"),
        (Constraint("lark", 'start: "yes" | "no"'), "yes|no"),
        (Constraint("lark", 'root ::= "a" [b-c] "d"'), "a[bc]d"),
        (Constraint("lark", 'start: "[" INNER "]"\nINNER: /[a-z]{1,5}/'), r"\[[a-z]{1,5}\]"),
        (Constraint("json_schema", '{"enum": ["a b", 7, null]}'), r'"a b"|7|null'),
        (Constraint("json_schema", '{"type": "array", "items": {"type": "boolean"}, "maxItems": 2}'), r"\[.*\]"),
    ],
)
def test_the_response_matches_its_constraint_whatever_the_model_would_write(
    submit: Ask, constraint: Constraint, pattern: str
) -> None:
    waiting = [submit(constraint=constraint, seed=seed) for seed in range(4)]
    for answer in map(collect, waiting):
        assert answer.end.finish_reason == "stop" or len(answer.text) > 100
        assert answer.end.finish_reason == "length" or re.fullmatch(pattern, answer.text, re.DOTALL), answer.text


def test_a_batch_of_constrained_and_free_requests_has_the_responses_that_each_has_alone(submit: Ask) -> None:
    options: list[dict[str, Any]] = [
        {"constraint": OF_SCHEMA}, {}, {"constraint": Constraint("regex", "[a-z]{5}")}, {"temperature": 0.0},
        {"constraint": OF_SCHEMA, "temperature": 0.0, "frequency_penalty": 1.0, "max_tokens": 60},
    ]  # fmt: skip
    alone = [collect(submit(**each_options)).text for each_options in options]
    together = [collect(outputs) for outputs in [submit(**each_options) for each_options in options]]
    assert [answer.text for answer in together] == alone
    assert conforms(together[0])
    assert together[0].end.finish_reason == "stop"


def test_a_response_that_has_no_room_for_its_end_is_cut(submit: Ask) -> None:
    answer = collect(submit(constraint=OF_SCHEMA, max_tokens=4))
    assert answer.end.finish_reason == "length"
    assert SCHEMA["type"] == "object"
    assert answer.text.startswith("{")


def test_a_model_that_prefers_to_end_may_not_before_its_response_is_complete(submit: Ask) -> None:
    ends = {1017: 100.0, 1015: 100.0}
    assert collect(submit(logit_bias=ends, temperature=0.0)).text == ""
    answer = collect(submit(logit_bias=ends, temperature=0.0, constraint=Constraint("regex", "a{3,9}")))
    assert (answer.text, answer.end.finish_reason) == ("aaa", "stop")


def test_a_grammar_may_name_the_token_that_ends_a_turn(submit: Ask) -> None:
    assert collect(submit(constraint=Constraint("lark", 'start: "yes" <|im_end|>'))).text == "yes"


def test_a_constraint_begins_after_a_text(submit: Ask) -> None:
    # The bias makes the model write the tag (token 1019) at some place.
    constraint = Constraint("lark", 'start: "yes" | "no"', after="</think>")
    answer = collect(submit(constraint=constraint, logit_bias={1019: 12.0}))
    reasoning, tag, response = answer.text.partition("</think>")
    assert (tag, response) in {("</think>", "yes"), ("</think>", "no")}
    assert reasoning not in {"yes", "no"}
    assert "</think>" not in collect(submit(constraint=constraint, logit_bias={1019: -100.0}, max_tokens=20)).text


NESTED = {"$defs": {f"a{n}": {"type": "array", "items": {"$ref": f"#/$defs/a{n + 1}"}} for n in range(3000)}}


@each(
    ("constraint", "kind", "reason"),
    [
        (Constraint("json_schema", '{"type": "array", "uniqueItems": true}'), "unsupported", "Unimplemented keys"),
        (Constraint("json_schema", '{"$ref": "https://a.example/b"}'), "unsupported", "is not present"),
        (
            Constraint("json_schema", '{"allOf": [{"type": "string"}, {"type": "null"}]}'),
            "unsupported",
            "Unsatisfiable",
        ),
        (Constraint("regex", "a(?=b)"), "unsupported", "look-around, including look-ahead"),
        (Constraint("regex", "a("), "bad_request", "The regular expression cannot be used: unclosed group"),
        (Constraint("lark", "start: foo"), "bad_request", 'unknown name: "foo"'),
        # Each of these would end the process with a stack overflow, or take minutes.
        (
            Constraint("json_schema", json.dumps({"$ref": "#/$defs/a0", **NESTED})),
            "unsupported",
            "levels of references",
        ),
        (Constraint("lark", "start: r0" + "".join(f"\nr{n}: r{n + 1}" for n in range(5000))), "unsupported", "levels"),
        (Constraint("lark", "start: " + "(" * 5000 + '"a"' + ")" * 5000), "unsupported", "levels"),
        (Constraint("regex", "(" * 3000 + "a" + ")" * 3000), "bad_request", "exceed"),
        (Constraint("regex", "a?" * 50_000), "unsupported", "has 100000 characters, and 8192 at most are compiled"),
        (Constraint("json_schema", '{"items":' * 200 + "{}" + "}" * 200), "unsupported", "recursion limit"),
    ],
)
def test_a_constraint_that_cannot_be_used_is_refused_alone_in_one_sentence(
    submit: Ask, constraint: Constraint, kind: str, reason: str
) -> None:
    other = submit(constraint=OF_SCHEMA)
    with pytest.raises(EngineError) as refused:
        collect(submit(constraint=constraint))
    assert refused.value.kind == kind
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
    assert conforms(collect(other))
