"""MiniLM in this process: known similarities, and the same network in NumPy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from integration_tests.support import minilm
from tests.support import tiny_bert
from unified_llm import LLMClient
from unified_llm.exceptions import UnsupportedOperationError

SENTENCES = (
    "A man is eating food.",
    "A man eats a piece of bread.",
    "Someone is having a meal.",
    "The girl is carrying a baby.",
    "Quantum computers use qubits.",
)
# What other implementations of this model give (sentence-transformers, mlx-embeddings), to three places.
SIMILARITIES = (1.0, 0.737, 0.689, -0.105, -0.032)


pytestmark = pytest.mark.proves("mlx", "embeddings", against="MiniLM, and the same network computed otherwise")


@pytest.fixture(scope="module")
def client() -> Iterator[LLMClient]:
    with LLMClient(f"mlx/{minilm.folder()}") as client:
        yield client


def test_similarities_are_those_that_the_model_is_known_for(client: LLMClient) -> None:
    vectors = np.array(client.embed(SENTENCES).vectors)
    assert vectors.shape == (5, 384)
    assert vectors @ vectors[0] == pytest.approx(SIMILARITIES, abs=5e-4)


def test_vectors_are_those_of_the_network_computed_otherwise(client: LLMClient) -> None:
    folder = minilm.folder()
    tokenizer = Tokenizer.from_file(f"{folder / 'tokenizer.json'}")
    tokenizer.no_padding()
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    long = "Every breaker belongs to one target. " * 5
    for text, vector in zip((SENTENCES[0], long), client.embed((SENTENCES[0], long)).vectors, strict=True):
        tokenizer.no_truncation()
        expected = tiny_bert.mean(tiny_bert.hidden(weights, tokenizer.encode(text).ids, config))
        assert vector == pytest.approx(expected.tolist(), abs=2e-6)


def test_what_is_beyond_256_tokens_is_not_read(client: LLMClient) -> None:
    answer = client.embed("failover " * 1000)
    assert answer.usage
    assert answer.usage.prompt_tokens == 256


async def test_questions_at_once_are_answered_as_if_each_were_alone(client: LLMClient) -> None:
    alone = [(await client.aembed(sentence)).vectors[0] for sentence in SENTENCES]
    answers = await asyncio.gather(*(client.aembed(sentence) for sentence in SENTENCES))
    assert [answer.vectors[0] for answer in answers] == alone


async def test_a_task_that_is_given_up_leaves_the_model_to_others(client: LLMClient) -> None:
    task = asyncio.create_task(client.aembed(["failover " * 1000] * 200))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        assert len((await client.aembed("a question")).vectors) == 1


def test_it_is_no_chat_model_and_a_chain_skips_it(client: LLMClient) -> None:
    with pytest.raises(UnsupportedOperationError, match="makes embeddings and writes no text"):
        client.generate("What is failover?")
    chain = LLMClient(f"mlx/{minilm.folder()}", fallbacks=["mlx/demo"])
    assert chain.generate("What is failover?").content.startswith("Failover")
