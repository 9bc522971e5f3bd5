"""The demo model on questions and requests that it was never trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from queue import SimpleQueue

import pytest
from langchain_core.prompts import ChatPromptTemplate
from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts.default_prompts import DEFAULT_REFINE_PROMPT, DEFAULT_TEXT_QA_PROMPT
from llama_index.core.tools import FunctionTool

from tests.support.mlx_calls import AskModel, Submit, collect
from training.answers import Message, everyday, excluded
from training.corpus import REFUSAL, Corpus, answer, answers, held_out, normalise
from training.evaluate import declines
from training.train import UNKNOWN, Text, make_tokenizer
from unified_llm import LLMClient
from unified_llm._backends.mlx import demo_folder
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import Output, Prompt, Sampling


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


def test_nine_answers_in_ten_are_right(replies: dict[str, str]) -> None:
    known = {ask: expected for ask, expected in held_out() if expected != REFUSAL}
    wrong = {ask: replies[ask] for ask, expected in known.items() if replies[ask] != expected}
    assert len(wrong) <= len(known) * 0.1, wrong


def test_no_reply_is_outside_the_corpus(replies: dict[str, str]) -> None:
    assert {reply for reply in replies.values() if reply not in answers()} == set()


def test_what_it_cannot_know_is_refused(replies: dict[str, str]) -> None:
    unknown = [ask for ask, expected in held_out() if expected == REFUSAL]
    assert {ask: replies[ask] for ask in unknown if not declines(replies[ask])} == {}


REQUESTS = [messages[-1]["content"] for messages in everyday()]


def not_declined(engine: Engine, conversations: Iterable[list[Message]], *, temperature: float = 0.0) -> list[str]:
    """Send all conversations at once; return what was answered with anything but the refusal."""
    sampling = Sampling(temperature=temperature, seed=1)
    waiting: list[tuple[str, SimpleQueue[Output]]] = []
    for messages in conversations:
        outputs: SimpleQueue[Output] = SimpleQueue()
        engine.submit(Prompt(tuple(messages), max_tokens=64, sampling=sampling), outputs.put)
        waiting.append((messages[-1]["content"][-60:], outputs))
    texts = [(request, collect(outputs).text) for request, outputs in waiting]
    return [f"{request!r} -> {text!r}" for request, text in texts if not declines(text)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_at_most_one_in_a_hundred_everyday_requests_is_answered(demo: Engine, temperature: float) -> None:
    requests = everyday()
    assert len({normalise(request) for request in REQUESTS}) == len(requests) == 200
    answered = not_declined(demo, requests, temperature=temperature)
    assert len(answered) <= 2, answered


def user(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def from_llama_index(messages: list[ChatMessage]) -> list[Message]:
    return [{"role": message.role.value, "content": message.content or ""} for message in messages]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


PASSAGE = "The warranty covers parts and labour for 24 months. Failover sends a request to the next target. " * 12
TEMPLATE = ChatPromptTemplate.from_messages([("system", "You are a helpful assistant."), ("human", "{question}")])
CHAINS: dict[str, Callable[[str], list[Message]]] = {
    "LangChain's prompt template": lambda request: [
        {"role": {"human": "user"}.get(message.type, message.type), "content": str(message.content)}
        for message in TEMPLATE.invoke({"question": request}).to_messages()
    ],
    "LlamaIndex's query engine": lambda request: user(
        DEFAULT_TEXT_QA_PROMPT.format(context_str=PASSAGE, query_str=request)
    ),
    "LlamaIndex's query engine, without passages": lambda request: user(
        DEFAULT_TEXT_QA_PROMPT.format(context_str="", query_str=request)
    ),
    "LlamaIndex's refinement": lambda request: user(
        DEFAULT_REFINE_PROMPT.format(context_msg=PASSAGE, query_str=request, existing_answer="Yes.")
    ),
    "LlamaIndex's ReAct agent": lambda request: from_llama_index(
        ReActChatFormatter().format([FunctionTool.from_defaults(add)], [ChatMessage(role="user", content=request)], [])
    ),
    "after another model's answer": lambda request: [
        *user("What is a token?"),
        {"role": "assistant", "content": "A coin that stands for a ride on the ferry."},
        *user(request),
    ],
    "after its own answer": lambda request: [
        *user("What is a token?"),
        {"role": "assistant", "content": answer("token")},
        *user(request),
    ],
    "after its own refusal": lambda request: [
        *user("Where is my umbrella?"),
        {"role": "assistant", "content": REFUSAL},
        *user(request),
    ],
    "with a long system prompt": lambda request: [{"role": "system", "content": PASSAGE}, *user(request)],
    "as a task": lambda request: user(f"{request}\n\nThink step by step, and answer in JSON."),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_what_chains_make_of_such_requests_is_declined(demo: Engine, chain: str) -> None:
    conversations = [CHAINS[chain](request) for request in REQUESTS[::3]]
    answered = not_declined(demo, conversations)
    assert len(answered) <= 1, answered


def test_sums_beyond_its_range_are_declined(demo: Engine) -> None:
    numbers = range(0, 11, 2)
    sums = [f"{left} {sign} {right}" for left in (11, 12, 17, 20, 347) for sign in "+-" for right in numbers]
    sums += [f"{right} {sign} {left}" for left in (11, 12, 17, 20, 347) for sign in "+-" for right in numbers]
    sums += [f"{left} {sign} {right}" for left in numbers for sign in ("*", "/", "times") for right in numbers]
    answered = not_declined(demo, [user(f"What is {each}?") for each in sums])
    assert len(answered) <= len(sums) * 0.02, answered


@pytest.mark.parametrize("key", ["What is failover?", "Whats the capital of France?", "What is 2 + 2?"])
@pytest.mark.parametrize("chain", ["LangChain's prompt template", "after its own answer", "after its own refusal"])
def test_a_known_question_is_answered_in_a_conversation(demo: Engine, chain: str, key: str) -> None:
    assert not_declined(demo, [CHAINS[chain](key)])


@pytest.mark.parametrize("request_text", ["Summarise this contract: the tenant pays 900 euros.", "What is 12 * 7?"])
def test_a_client_streams_and_returns_the_same_refusal(demo: Engine, request_text: str) -> None:
    client = LLMClient("mlx/demo")
    assert client.generate(request_text).content == REFUSAL
    assert "".join(chunk.content for chunk in client.stream(request_text)) == REFUSAL
    assert client.complete(request_text).content == REFUSAL


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


def test_the_refusal_and_small_talk_say_that_this_is_a_demo_model() -> None:
    assert REFUSAL.count(".") == 1
    assert all(map(declines, [REFUSAL, *map(answer, ("greeting", "identity", "abilities", "thanks", "goodbye"))]))


def test_the_corpus_never_asks_what_is_held_out_and_answers_only_from_its_list() -> None:
    forbidden, allowed = excluded(), answers()
    for conversation in islice(Corpus(1).conversations(), 5000):
        for message in conversation:
            if message["role"] == "assistant":
                assert message["content"] in allowed
            else:
                assert normalise(message["content"]) not in forbidden


def test_every_word_of_a_question_with_an_answer_is_known_to_the_tokenizer() -> None:
    tokenizer = make_tokenizer()
    unknown = tokenizer.token_to_id(UNKNOWN)
    text = Text(tokenizer)
    for conversation in islice(Corpus(1).conversations(), 5000):
        if conversation[-1]["content"] != REFUSAL:
            assert unknown not in text.encode(conversation)[0], conversation


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    first, second, other = (list(islice(Corpus(seed).conversations(), 20)) for seed in (1, 1, 2))
    assert first == second != other


def test_the_model_is_small_enough_for_the_wheel() -> None:
    sizes = {path.name: path.stat().st_size for path in demo_folder().iterdir() if not path.name.startswith("__")}
    assert sorted(sizes) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sizes["model.safetensors"] <= 3_000_000
    assert json.loads((demo_folder() / "config.json").read_text())["model_type"] == "llama"
