"""The demo model on held-out questions, whose wording it was never trained on."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from tests.support.mlx_calls import AskModel, Submit, collect
from training.corpus import REFUSAL, Corpus, answer, answers, held_out, normalise
from unified_llm._backends.mlx import demo_folder


@pytest.fixture(scope="module")
def answers_by_question() -> dict[str, str]:
    """The model's answers so far, by question."""
    return {}


@pytest.fixture
def replies(submit: Submit, answers_by_question: dict[str, str]) -> dict[str, str]:
    """The model's answer to every question of the list, all submitted at once."""
    if not answers_by_question:
        waiting = {ask: submit(ask) for ask, _ in held_out()}
        answers_by_question.update({ask: collect(outputs).text for ask, outputs in waiting.items()})
    return answers_by_question


def test_the_list_is_long_enough_to_judge_by() -> None:
    questions = held_out()
    assert len({normalise(ask) for ask, _ in questions}) == len(questions) >= 60
    assert sum(expected == REFUSAL for _, expected in questions) >= 12


def test_four_answers_in_five_are_right(replies: dict[str, str]) -> None:
    wrong = {ask: replies[ask] for ask, expected in held_out() if replies[ask] != expected}
    assert len(wrong) <= len(replies) * 0.2, wrong


def test_no_reply_is_outside_the_corpus(replies: dict[str, str]) -> None:
    assert {reply for reply in replies.values() if reply not in answers()} == set()


def test_most_of_what_it_cannot_know_is_refused(replies: dict[str, str]) -> None:
    unknown = [ask for ask, expected in held_out() if expected == REFUSAL]
    answered = {ask: replies[ask] for ask in unknown if replies[ask] != REFUSAL}
    assert len(answered) <= len(unknown) * 0.2, answered


@pytest.mark.parametrize(
    ("prompt", "key"),
    [
        ("Answer in one sentence: What is failover?", "failover"),
        ("You are a helpful assistant.\n\nQuestion: What is an embedding?\nAnswer:", "embedding"),
        ("Context: Paris is the capital of France.\n\nQuestion: What is the capital of France?", "capital: France"),
        ("WHAT IS STREAMING?", "streaming"),
        ("What’s a fallback?", "fallback"),
        ("Explain LangChain in one sentence.", "langchain"),
        ("What is 2 + 2?", "sum: 2 + 2"),
        ("Hello!", "greeting"),
        ("Who are you?", "identity"),
    ],
)
def test_prompts_such_as_a_chain_sends_are_answered(ask: AskModel, prompt: str, key: str) -> None:
    assert ask(prompt).text == answer(key)


def test_the_refusal_says_that_this_is_a_demo_model() -> None:
    assert "demo model" in REFUSAL
    assert REFUSAL.count(".") == 1


def test_the_corpus_never_asks_what_is_held_out_and_answers_only_from_its_list() -> None:
    forbidden, allowed = {normalise(ask) for ask, _ in held_out()}, answers()
    for conversation in islice(Corpus(1).conversations(), 5000):
        for message in conversation:
            if message["role"] == "assistant":
                assert message["content"] in allowed
            else:
                assert normalise(message["content"]) not in forbidden


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    first, second, other = (list(islice(Corpus(seed).conversations(), 20)) for seed in (1, 1, 2))
    assert first == second != other


def test_the_model_is_small_enough_for_the_wheel() -> None:
    sizes = {path.name: path.stat().st_size for path in demo_folder().iterdir() if not path.name.startswith("__")}
    assert sorted(sizes) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sizes["model.safetensors"] <= 3_000_000
    assert json.loads((demo_folder() / "config.json").read_text())["model_type"] == "llama"
