from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from tests.support.mlx_calls import TIMEOUT, AskModel, Submit, collect, prompt
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, Output, Prompt, TextChunk

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))

QUESTIONS = (
    "What is failover?",
    "What is a token?",
    "What is the capital of France?",
    "What is 3 + 4?",
    "What is a vector store?",
    "What is LangChain?",
    "Who are you?",
    "What is the capital of Atlantis?",
)


def test_an_answer_comes_in_pieces_that_make_up_the_whole(ask: AskModel) -> None:
    answer = ask("What is a fallback?")
    assert len(answer.chunks) > 5
    assert all(answer.chunks)
    assert answer.text.startswith("A fallback")
    assert answer.end.finish_reason == "stop"


def test_the_first_piece_arrives_while_the_rest_is_not_yet_written(demo: Engine) -> None:
    release, first = threading.Event(), threading.Event()
    outputs: SimpleQueue[Output] = SimpleQueue()

    def put(output: Output) -> None:
        outputs.put(output)
        first.set()
        release.wait(TIMEOUT)  # the engine cannot write on before this returns

    demo.submit(prompt("What is a token?"), put)
    assert first.wait(TIMEOUT)
    assert outputs.qsize() == 1
    assert isinstance(outputs.get(), TextChunk)
    release.set()
    assert collect(outputs).end.finish_reason == "stop"


def test_eight_requests_at_once_are_answered_as_if_each_were_alone(submit: Submit, ask: AskModel) -> None:
    alone = [ask(question).text for question in QUESTIONS]
    together = [submit(question) for question in QUESTIONS]
    assert [collect(outputs).text for outputs in together] == alone
    assert len(set(alone)) == len(QUESTIONS)


def test_a_request_joins_the_batch_while_another_is_answered(demo: Engine) -> None:
    order: SimpleQueue[str] = SimpleQueue()
    ends: SimpleQueue[str] = SimpleQueue()
    joined = threading.Event()

    def put_long(output: Output) -> None:
        if isinstance(output, TextChunk) and not joined.is_set():
            joined.set()
            demo.submit(prompt("What is 3 + 4?"), put_short)
        order.put("long")
        if not isinstance(output, TextChunk):
            ends.put("long")

    def put_short(output: Output) -> None:
        order.put("short")
        if not isinstance(output, TextChunk):
            ends.put("short")

    demo.submit(prompt("What is RAG?"), put_long)
    assert [ends.get(timeout=TIMEOUT) for _ in range(2)] == ["short", "long"]
    seen = [order.get() for _ in range(order.qsize())]
    assert seen.index("short") < len(seen) - seen[::-1].index("long") - 1


@pytest.mark.case(70)
def test_requests_from_two_threads_are_both_answered(ask: AskModel) -> None:
    answers: dict[str, str] = {}

    def work(question: str) -> None:
        for _ in range(3):
            answers[question] = ask(question).text

    threads = [threading.Thread(target=work, args=(question,)) for question in QUESTIONS[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert answers == {question: ask(question).text for question in QUESTIONS[:2]}


def test_the_answer_ends_before_a_stop_string(ask: AskModel) -> None:
    whole = ask("What is failover?").text
    stopped = ask("What is failover?", stop=("quest to", "nowhere in it"))  # begins and ends within a token
    assert stopped.text == whole[: whole.index("quest to")]
    assert stopped.end.finish_reason == "stop"
    assert stopped.end.completion_tokens < ask("What is failover?").end.completion_tokens


def test_a_stop_string_at_the_very_start_leaves_no_text(ask: AskModel) -> None:
    answer = ask("What is failover?", stop=("F",))
    assert answer.chunks == ()
    assert answer.end.finish_reason == "stop"


def test_the_answer_ends_at_the_limit_of_tokens(ask: AskModel) -> None:
    answer = ask("What is failover?", max_tokens=5)
    assert answer.end.finish_reason == "length"
    assert answer.end.completion_tokens == 5
    assert ask("What is failover?").text.startswith(answer.text)


def test_tokens_are_counted_without_the_one_that_ends_the_turn(ask: AskModel) -> None:
    answer = ask("What is 3 + 4?")
    assert ask("What is 3 + 4?", max_tokens=answer.end.completion_tokens).text == answer.text
    assert answer.end.prompt_tokens > 5


def test_the_same_seed_draws_the_same_answer_beside_other_requests(submit: Submit, ask: AskModel) -> None:
    options: dict[str, Any] = {"temperature": 10.0, "top_p": 0.99, "max_tokens": 12}
    alone = ask("Tell me about tokens", seed=7, **options).text
    batch = [submit("Tell me about tokens", seed=seed, **options) for seed in (7, 8, 9, -1, None)]
    drawn = [collect(outputs).text for outputs in batch]
    assert drawn[0] == alone
    assert len(set(drawn)) > 1


def test_a_tiny_top_p_draws_the_likeliest_token(ask: AskModel) -> None:
    assert ask("What is RAG?", temperature=2.0, top_p=1e-6).text == ask("What is RAG?").text


def hold(engine: Engine) -> threading.Event:
    """Keep the engine thread busy until the event is set."""
    release, busy = threading.Event(), threading.Event()

    def put(_: Output) -> None:
        busy.set()
        release.wait(TIMEOUT)

    engine.submit(prompt("What is 1 + 1?"), put)
    assert busy.wait(TIMEOUT)
    return release


def test_a_cancelled_request_has_no_further_output(demo: Engine, ask: AskModel) -> None:
    outputs: SimpleQueue[Output] = SimpleQueue()
    cancelled = threading.Event()

    def put(output: Output) -> None:
        outputs.put(output)
        request.cancel()
        cancelled.set()

    release = hold(demo)  # until `ticket` is bound
    request = demo.submit(prompt("What is RAG?"), put)
    release.set()
    assert cancelled.wait(TIMEOUT)
    ask("What is RAG?")  # as long as the cancelled one would have been
    assert outputs.qsize() == 1


def test_a_request_that_is_cancelled_before_it_began_is_not_begun(demo: Engine, ask: AskModel) -> None:
    release = hold(demo)
    outputs: SimpleQueue[Output] = SimpleQueue()
    demo.submit(prompt("What is RAG?"), outputs.put).cancel()
    release.set()
    ask("What is RAG?")
    with pytest.raises(Empty):
        outputs.get_nowait()


def test_a_callback_that_raises_ends_its_own_request_alone(demo: Engine, ask: AskModel) -> None:
    calls = []

    def put(output: Output) -> None:
        calls.append(output)
        raise RuntimeError

    demo.submit(prompt("What is RAG?"), put)
    assert ask("What is a token?").text.startswith("A token")
    ask("What is RAG?")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"max_tokens": 0}, "bad_request"),
        ({"temperature": "warm"}, "bad_request"),
        ({"question": "why " * 2000}, "context"),
    ],
)
@pytest.mark.case(70)
def test_a_request_that_cannot_be_run_fails_alone(ask: AskModel, options: dict[str, Any], kind: str) -> None:
    with pytest.raises(EngineError) as failure:
        ask(**{"question": "What is RAG?", **options})
    assert failure.value.kind == kind
    assert ask("What is a token?").text.startswith("A token")


@pytest.mark.case(70)
def test_messages_that_the_template_refuses_fail_alone(demo: Engine, ask: AskModel) -> None:
    outputs: SimpleQueue[Output] = SimpleQueue()
    demo.submit(Prompt(({"role": "assistant", "content": 7},)), outputs.put)
    with pytest.raises(EngineError, match=r"chat template .* refused the messages") as failure:
        collect(outputs)
    assert failure.value.kind == "unsupported"
    assert ask("What is a token?").text.startswith("A token")


@pytest.mark.case(70)
def test_a_step_that_fails_ends_the_running_requests_and_not_the_engine(
    ask: AskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlx_lm.generate import BatchGenerator

    def out_of_memory(_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(BatchGenerator, "next", out_of_memory)
        with pytest.raises(EngineError, match=r"failed \(MemoryError\)") as failure:
            ask("What is RAG?")
    assert failure.value.kind == "server"
    assert ask("What is a token?").text.startswith("A token")


def test_an_answer_that_cannot_be_decoded_ends_its_own_request_alone(
    submit: Submit, ask: AskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer

    finalize = BPEStreamingDetokenizer.finalize

    def choke(detokenizer: BPEStreamingDetokenizer) -> None:
        if "RAG" in detokenizer.text:
            raise KeyError
        finalize(detokenizer)  # type: ignore[no-untyped-call]

    expected = ask("What is a token?").text
    monkeypatch.setattr(BPEStreamingDetokenizer, "finalize", choke)
    bad, good = submit("What is RAG?"), submit("What is a token?")
    with pytest.raises(EngineError, match=r"failed \(KeyError\)"):
        collect(bad)
    assert collect(good).text == expected
