"""Log probabilities of a real model: what they are, and that they keep step with the text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.tiny_models import make_model
from unified_llm import ChatCompletion, LLMClient, LLMConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engines import close_engines
from unified_llm.langchain import ChatUnified
from unified_llm.types import LLMChunk, TokenLogprob

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

GREEDY: dict[str, Any] = {"logprobs": True, "top_logprobs": 3, "max_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield make_model(tmp_path_factory.mktemp("tiny"))
    close_engines()


@pytest.fixture
def client(folder: Path) -> LLMClient:
    return LLMClient(f"mlx/{folder}")


def test_the_likeliest_token_has_the_log_probability_at_the_head_of_its_list(client: LLMClient) -> None:
    response = client.generate("Hello", **GREEDY)
    assert response.usage is not None
    assert len(response.logprobs) == response.usage.completion_tokens
    for entry in response.logprobs:
        assert entry.top[0][0] == entry.token
        assert entry.top[0][1] == pytest.approx(entry.logprob)
        assert len(entry.top) == 3
        assert entry.top[0][1] >= entry.top[1][1] >= entry.top[2][1]
        assert math.exp(entry.logprob) <= 1
    assert all(entry.top == () for entry in client.generate("Hello", logprobs=True, max_tokens=3).logprobs)
    assert client.generate("Hello", max_tokens=3).logprobs == ()


def test_chunks_have_the_tokens_that_begin_in_their_text(client: LLMClient) -> None:
    whole = client.generate("Hello", **{**GREEDY, "max_tokens": 60}, temperature=1.0, seed=4)
    chunks: list[LLMChunk] = list(client.stream("Hello", **{**GREEDY, "max_tokens": 60}, temperature=1.0, seed=4))
    assert [entry for chunk in chunks for entry in chunk.logprobs] == list(whole.logprobs)
    text, tokens = "", ""
    for chunk in chunks:
        text += chunk.content + chunk.reasoning
        tokens += "".join(entry.token for entry in chunk.logprobs)
        assert len(text) <= len(tokens)


def test_a_stop_string_ends_the_tokens_where_it_ends_the_text(client: LLMClient) -> None:
    options: dict[str, Any] = {**GREEDY, "extra_body": {"guided_regex": "one two three four"}, "max_tokens": 40}
    whole = client.generate("Hello", **options)
    assert "".join(entry.token for entry in whole.logprobs) == whole.content == "one two three four"
    stopped = client.generate("Hello", **options, stop="wo th")
    assert stopped.content == "one t"
    tokens = [entry.token for entry in stopped.logprobs]
    assert "".join(tokens[:-1]) in stopped.content
    assert "".join(tokens).startswith(stopped.content)
    assert list(stopped.logprobs) == list(whole.logprobs[: len(tokens)])


def test_a_token_that_is_certain_has_a_log_probability_of_zero_and_no_alternatives(client: LLMClient) -> None:
    response = client.generate("Hello", **GREEDY, extra_body={"guided_regex": "é"})
    assert response.content == "é"
    assert [entry.logprob for entry in response.logprobs] == [pytest.approx(0, abs=1e-6)] * len(response.logprobs)
    assert all(len(entry.top) == 1 for entry in response.logprobs[1:])


def test_the_distribution_is_that_before_the_temperature_and_after_a_bias(client: LLMClient) -> None:
    def first(**options: Any) -> TokenLogprob:
        return client.generate("Hello", logprobs=True, max_tokens=1, **options).logprobs[0]

    plain = first()
    assert first(temperature=1.5, seed=1, top_p=1e-6) == plain
    biased = client.generate("Hello", logprobs=True, max_tokens=1, extra_body={"logit_bias": {"70": 50}}).logprobs[0]
    assert biased.logprob > -1e-6
    assert biased.token != plain.token


def test_every_surface_has_them(folder: Path) -> None:
    chat = ChatUnified(model=f"mlx/{folder}", max_tokens=4, model_kwargs={"logprobs": True, "top_logprobs": 2})
    content = chat.invoke("Hello").response_metadata["logprobs"]["content"]
    assert [len(entry["top_logprobs"]) for entry in content] == [2, 2, 2, 2]
    made = ChatCompletion.create(
        model=f"mlx/{folder}",
        messages=[{"role": "user", "content": "Hello"}],
        logprobs=True,
        top_logprobs=2,
        max_tokens=4,
    )
    logprobs = made.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [entry["token"] for entry in content] == [entry.token for entry in logprobs.content]
    configured = LLMClient(LLMConfig(model=f"mlx/{folder}", max_tokens=4, extra_body={"top_logprobs": 2}))
    assert [entry.token for entry in configured.generate("Hello").logprobs] == [entry["token"] for entry in content]
