"""Hugging Face: its router's chat is OpenAI's, its embeddings are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from tests.formats.test_openai_chat_response import ALMOST
from tests.support.codec_checks import CANARY, calm, target
from tests.support.each import each
from tests.support.thorough import examples
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.huggingface import CODEC
from unified_llm._providers import registry
from unified_llm.types import EmbeddingRequest, LLMRequest, Message, ModelsRequest

FIXTURES = Path(__file__).parent.parent / "fixtures" / "huggingface"
ROUTER = "https://router.huggingface.co"
WHERE = target("huggingface", "org/name:fastest")
TWO = EmbeddingRequest(("a", "b"))
ONE = EmbeddingRequest(("a",))


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return read


def test_chat_is_openai_s_with_the_model_as_it_was_named() -> None:
    wire = CODEC.encode(LLMRequest((Message.user("Hi"),)), WHERE)
    assert wire.url == f"{ROUTER}/v1/chat/completions"
    assert json.loads(wire.body)["model"] == "org/name:fastest"
    assert codec_for(registry.row("hf").format) is CODEC


class TestEmbeddings:
    def test_they_are_a_task_at_the_model_s_own_path(self) -> None:
        wire = CODEC.encode(TWO, WHERE)
        assert wire.url == f"{ROUTER}/hf-inference/models/org/name/pipeline/feature-extraction"
        assert dict(wire.headers)["authorization"] == f"Bearer {CANARY}"
        assert json.loads(wire.body) == {"inputs": ["a", "b"]}

    def test_the_user_s_own_fields_go_along(self) -> None:
        request = replace(TWO, dimensions=8, extra_body={"normalize": True})
        body = json.loads(CODEC.encode(request, replace(WHERE, extra_body={"truncate": True})).body)
        assert body == {"inputs": ["a", "b"], "dimensions": 8, "truncate": True, "normalize": True}

    def test_a_dedicated_endpoint_has_openai_s_path_and_answer(self) -> None:
        where = replace(WHERE, base_url="https://abc.eu-west-1.aws.endpoints.huggingface.cloud/v1")
        assert CODEC.encode(ONE, where).url == f"{where.base_url}/embeddings"
        end = CODEC.decode(ONE, where, {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}})
        assert isinstance(end, Done)
        assert end.value.vectors == [[0.5]]
        assert end.value.usage.prompt_tokens == 1

    def test_vectors_come_in_the_order_of_the_texts(self) -> None:
        case = fixture("embeddings")
        end = CODEC.decode(TWO, WHERE, case["body"])
        assert isinstance(end, Done)
        assert (end.value.vectors, end.value.model) == (case["expect"]["vectors"], "org/name:fastest")
        bare = CODEC.decode(ONE, WHERE, [0.5, 1])
        assert isinstance(bare, Done)
        assert bare.value.vectors == [[0.5, 1.0]]

    def test_a_vector_for_each_token_is_no_vector_of_the_text(self) -> None:
        end = CODEC.decode(ONE, WHERE, [[[0.5], [0.25]]])
        assert isinstance(end, Failure)
        assert (end.kind, end.detail) == (
            "malformed",
            "org/name:fastest gives a vector for each token, not for each text.",
        )

    @each("body", [[], [[0.5]], [[0.5], [0.5, 1]], [[0.5], None], {}, None, 3, "text", [[], []]])
    def test_anything_else_is_malformed(self, body: Any) -> None:
        assert CODEC.decode(TWO, WHERE, body) == Failure("malformed")

    @settings(calm, max_examples=examples(25))
    @given(ALMOST)
    def test_nothing_that_is_sent_raises(self, body: Any) -> None:
        for request in (ONE, TWO, ModelsRequest()):
            assert isinstance(CODEC.decode(request, WHERE, body), Done | Failure)
        CODEC.decode(ModelsRequest(), WHERE, {"data": [{"id": "a", "providers": body, "architecture": body}, body]})


class TestFailures:
    def test_an_error_has_the_kind_of_its_status_and_its_words(self) -> None:
        for case in fixture("errors")["cases"]:
            failure = CODEC.failure(case["status"], {}, json.dumps(case["body"]).encode(), WHERE)
            actual = {"kind": failure.kind, "code": failure.code, "retry_after": failure.retry_after}
            assert actual == {name: case[name] for name in actual}, case

    def test_an_error_at_status_200_is_one(self) -> None:
        for case in fixture("errors")["in_band"]:
            for request in (ONE, LLMRequest(())):
                end = CODEC.decode(request, WHERE, case["body"])
                assert isinstance(end, Failure)
                assert end.kind == case["kind"], case


def test_models_say_what_the_best_of_those_who_run_them_can_do() -> None:
    case = fixture("models")
    end = CODEC.decode(ModelsRequest(), WHERE, case["body"])
    assert isinstance(end, Done)
    models, cursor = end.value
    actual = [[m.id, m.context_window, None if m.features is None else sorted(m.features)] for m in models]
    assert (actual, cursor) == (case["expect"], None)


def test_its_responses_format_is_openai_s_without_embeddings() -> None:
    profile = registry.model_profile(registry.row("huggingface"), "org/name", "responses")
    assert profile.format == "openai_responses"
    assert "embeddings" not in profile.features
