"""``map`` and ``amap``: many prompts with limited concurrency, lazily, in order or as they come."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar, copy_context
from random import Random
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, GROQ, HAIKU
from tests.support.prompt_targets import PromptTargets
from unified_llm import AsyncMapRun, LLMClient, LLMRequest, MapResult, MapRun, MapTotals, Message
from unified_llm._client.queued_calls import is_queued
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import AuthenticationError, BadRequestError, LLMError, ValidationError
from unified_llm.types import LLMResponse

REFUSED = Failure("bad_request", 400)
TEXT = "a text that is nowhere to be seen"


@pytest.fixture
def client() -> LLMClient:
    return LLMClient(GPT)


def collect(client: LLMClient, way: str, prompts: Any, **options: Any) -> list[MapResult[LLMResponse]]:
    """Return all results of ``map`` or ``amap``."""
    if way == "map":
        return list(client.map(prompts, **options))

    async def results() -> list[MapResult[LLMResponse]]:
        return [result async for result in client.amap(prompts, **options)]

    return asyncio.run(results())


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("unified-llm-map")}


def texts(results: list[MapResult[LLMResponse]]) -> list[str]:
    return [result.text for result in results]


# Order and concurrency


@each("way, concurrency", [(way, number) for way in ("map", "amap") for number in (1, 3, 20)])
def test_results_come_in_the_order_of_the_prompts_whatever_they_take(way: str, concurrency: int) -> None:
    draw = Random(concurrency)  # noqa: S311 - no secret
    with PromptTargets(turns=lambda _: draw.randrange(10)).running() as targets:
        targets.holds = lambda _: targets.most < min(concurrency, 3)  # how many more there may be depends on the server
        results = collect(LLMClient(GPT), way, (f"p{number}" for number in range(100)), concurrency=concurrency)
    assert texts(results) == [f"P{number}" for number in range(100)]
    assert [result.index for result in results] == list(range(100))
    assert min(concurrency, 3) <= targets.most <= concurrency
    assert targets.in_flight == 0


@each("way", ["map", "amap"])
def test_results_come_as_they_are_ready_where_order_does_not_matter(way: str) -> None:
    with PromptTargets().running() as targets:
        targets.holds = lambda text: text == "p0" and len(targets.asked) < 30
        results = collect(LLMClient(GPT), way, [f"p{number}" for number in range(30)], ordered=False, concurrency=4)
    assert sorted(result.index for result in results) == list(range(30))
    assert [result.index for result in results].index(0) > 20


@each("way", ["map", "amap"])
def test_one_slow_prompt_holds_back_reading_at_some_point_in_order(way: str) -> None:
    read = 0

    def prompts() -> Iterator[str]:
        nonlocal read
        for number in range(200):
            read += 1
            yield f"p{number}"

    def answer(text: str) -> str:
        return str(read) if text == "p0" else text

    with PromptTargets(answer=answer, holds=lambda text: text == "p0" and read < 50).running():
        results = collect(LLMClient(GPT), way, prompts(), concurrency=5)
    assert int(results[0].text) == 50  # ten times the concurrency
    assert texts(results)[1:] == [f"p{number}" for number in range(1, 200)]


class Prompt(str):  # noqa: SLOT000 - a few of them
    """A prompt that counts how many of its kind there are."""

    alive = most = 0

    def __init__(self, _: str) -> None:
        Prompt.alive += 1
        Prompt.most = max(Prompt.most, Prompt.alive)

    def __del__(self) -> None:
        Prompt.alive -= 1


@each("way, number, ordered", [("map", 3000, True), ("amap", 3000, False), ("map", 300, False)])
def test_memory_does_not_grow_with_the_number_of_prompts(way: str, number: int, ordered: bool) -> None:  # noqa: FBT001
    """Thousands are refused before anything is sent, which takes the way of a result through the run."""
    Prompt.most = 0
    prompts = (Prompt("p" * (number < 1000)) for _ in range(number))

    async def count() -> int:
        return sum([1 async for _ in LLMClient(GPT).amap(prompts, ordered=ordered)])

    with PromptTargets(asked=deque(maxlen=1)).running():
        run = LLMClient(GPT).map(prompts, ordered=ordered)
        assert (sum(1 for _ in run) if way == "map" else asyncio.run(count())) == number
        del run
    gc.collect()
    assert Prompt.alive <= 1  # the last one that was asked
    assert 0 < Prompt.most <= 42


# Laziness


def test_nothing_is_read_or_sent_before_the_first_result_is_asked_for(client: LLMClient) -> None:
    read = []

    def prompts() -> Iterator[str]:
        read.append(True)
        yield "a"

    with PromptTargets().running() as targets:
        run = client.map(prompts())
        assert (read, targets.asked, threads()) == ([], [], set())
        run.close()
        assert list(client.map([])) == []
    assert (targets.asked, threads()) == ([], set())


def test_a_caller_who_stops_after_three_results_has_sent_little_and_leaves_nothing_behind(client: LLMClient) -> None:
    endless = (f"p{number}" for number in iter(int, 1))
    with PromptTargets().running() as targets:
        for number, result in enumerate(client.map(endless, concurrency=4)):
            assert result.ok
            if number == 2:
                break
        assert threads() == set()
        assert targets.in_flight == 0
        assert len(targets.asked) <= 3 + 2 * 4

        async def three() -> int:
            async with client.amap(endless, concurrency=4) as run:
                async for result in run:
                    if result.index == 2:
                        break
            return len(asyncio.all_tasks())

        assert asyncio.run(three()) == 1
        assert targets.in_flight == 0


def test_an_async_run_that_nobody_holds_any_more_ends(client: LLMClient) -> None:
    async def main() -> int:
        async for _ in client.amap((f"p{number}" for number in iter(int, 1)), concurrency=4):
            break
        gc.collect()
        await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    with PromptTargets(turns=lambda _: 3).running() as targets:
        assert asyncio.run(main()) == 1
    assert targets.in_flight == 0


def test_the_prompts_are_read_in_the_thread_of_the_caller(client: LLMClient) -> None:
    readers = set()

    def prompts() -> Iterator[str]:
        for number in range(50):
            readers.add(threading.get_ident())
            yield f"p{number}"

    with PromptTargets().running():
        assert len(list(client.map(prompts(), concurrency=5))) == 50
    assert readers == {threading.get_ident()}


def test_an_async_iterable_is_read_in_one_task_while_results_are_returned(client: LLMClient) -> None:
    """The next prompt of this one comes only after the result of the one before."""

    async def main() -> list[str]:
        returned, readers = asyncio.Event(), set()

        async def prompts() -> AsyncIterator[str]:
            for number in range(5):
                readers.add(asyncio.current_task())
                yield f"p{number}"
                await returned.wait()
                returned.clear()

        received = []
        async for result in client.amap(prompts()):
            received.append(result.text)
            returned.set()
        assert len(readers) == 1
        assert len(asyncio.all_tasks()) == 1
        return received

    with PromptTargets().running():
        assert asyncio.run(main()) == ["P0", "P1", "P2", "P3", "P4"]


# Failures


@each("way", ["map", "amap"])
def test_a_prompt_that_fails_has_its_error_as_a_value(way: str) -> None:
    def answer(text: str) -> str | Failure:
        return REFUSED if text.endswith("7") else text

    with PromptTargets(answer=answer).running():
        results = collect(LLMClient(GPT), way, (f"p{number}" for number in range(20)))
    failed = [result for result in results if not result.ok]
    assert [result.index for result in failed] == [7, 17]
    assert all(isinstance(result.error, BadRequestError) and result.response is None for result in failed)
    assert failed[0].error is not None
    assert failed[0].error.__traceback__ is None  # whose frames would hold the prompt
    with pytest.raises(BadRequestError):
        _ = failed[0].text


WRONG_PROMPTS: list[Any] = [
    "", 3, None, b"bytes", [], {"temperature": 1}, {"messages": "x", "temprature": 1}, ["a", "b"],
    {"messages": "x", "custom_id": 1}, {"messages": "x", "temperature": "hot"}, object(), [object()],
    {"messages": "x", "n": 0}, {"messages": "x", "custom_id": "\ud800"},
]  # fmt: skip


@each("way", ["map", "amap"])
def test_what_is_wrong_with_one_prompt_is_the_error_of_its_result(way: str) -> None:
    prompts = [prompt for wrong in WRONG_PROMPTS for prompt in (wrong, "right")]
    with PromptTargets().running():
        results = collect(LLMClient(GPT), way, prompts)
    assert [result.ok for result in results] == [False, True] * len(WRONG_PROMPTS)
    assert all(isinstance(result.error, ValidationError) for result in results[::2])


@each("way", ["map", "amap"])
def test_a_mistake_in_the_code_of_a_target_is_the_error_of_the_prompt(way: str) -> None:
    def answer(text: str) -> str:
        if text == "bad":
            raise KeyError(text)
        return text

    with PromptTargets(answer=answer).running():
        good, bad, good_again = collect(LLMClient(GPT), way, ["a", "bad", "b"])
    assert good.ok
    assert good_again.ok
    assert isinstance(bad.error, LLMError)
    assert isinstance(bad.error.__cause__, KeyError)
    assert "bad" not in str(bad.error)


@each("way", ["map", "amap"])
def test_the_first_failure_ends_a_run_whose_errors_are_raised(way: str) -> None:
    with PromptTargets(answer=lambda text: REFUSED if text == "p5" else text).running() as targets:
        with pytest.raises(BadRequestError):
            collect(LLMClient(GPT), way, (f"p{n}" for n in range(10**9)), on_error="raise", concurrency=2)
        assert len(targets.asked) <= 12
        assert (targets.in_flight, threads()) == (0, set())


@each("way", ["map", "amap"])
def test_a_run_in_which_every_prompt_fails_ends_early(way: str) -> None:
    with PromptTargets(answer=lambda _: Failure("auth", 401)).running() as targets:
        with pytest.raises(AuthenticationError) as raised:
            collect(LLMClient(GPT), way, (f"p{number}" for number in range(10**9)), max_failed=10)
        assert "max_failed=10" in str(raised.value.__notes__)
        assert (targets.in_flight, threads()) == (0, set())
        with pytest.raises(AuthenticationError):
            collect(LLMClient(GPT), way, ["x"], max_failed=0)


@each("way", ["map", "amap"])
def test_an_error_of_the_iterable_is_raised_after_the_results_of_what_was_read(way: str) -> None:
    received = []

    def prompts() -> Iterator[str]:
        yield from ("a", "b", "c")
        raise OSError("the disk")

    async def aprompts() -> AsyncIterator[str]:
        for prompt in ("a", "b", "c"):
            yield prompt
        raise OSError("the disk")

    def run(client: LLMClient) -> None:
        for result in client.map(prompts()):
            received.append(result.text)  # noqa: PERF401 - the results before the error count

    async def arun(client: LLMClient) -> None:
        async for result in client.amap(aprompts()):
            received.append(result.text)  # noqa: PERF401

    with PromptTargets(turns=lambda _: 5).running() as targets:
        with pytest.raises(OSError, match="the disk"):
            run(LLMClient(GPT)) if way == "map" else asyncio.run(arun(LLMClient(GPT)))
        assert received == ["A", "B", "C"]
        assert (targets.in_flight, threads()) == (0, set())


@each("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_an_async_iterable_that_was_cancelled_or_interrupted_has_not_come_to_its_end(
    client: LLMClient, error: type[BaseException]
) -> None:
    async def prompts() -> AsyncIterator[str]:
        yield "a"
        raise error

    async def read_all() -> None:
        async for _ in client.amap(prompts()):
            pass

    with PromptTargets().running(), pytest.raises(error):
        asyncio.run(read_all())


def test_an_interruption_in_the_iterable_ends_the_run_at_once(client: LLMClient) -> None:
    def prompts() -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    with PromptTargets(holds=lambda _: True).running() as targets:
        with pytest.raises(KeyboardInterrupt):
            next(client.map(prompts()))
        assert (targets.in_flight, threads()) == (0, set())


def test_a_cancelled_task_leaves_no_task_behind(client: LLMClient) -> None:
    async def main() -> int:
        async def consume() -> None:
            async for _ in client.amap(f"p{number}" for number in range(100)):
                raise AssertionError

        task = asyncio.create_task(consume())
        while targets.in_flight < 3:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    with PromptTargets(holds=lambda _: True).running() as targets:
        assert asyncio.run(main()) == 1
        assert targets.in_flight == 0


# Arguments


WRONG_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"prompts": "one prompt"}, r"write \[prompt\], or call generate\(prompt\)"),
    ({"prompts": {"messages": "x"}}, "takes many prompts"),
    ({"prompts": LLMRequest((Message.user("x"),))}, "takes many prompts"),
    ({"prompts": 3}, "takes an iterable of prompts; got int"),
    ({"concurrency": 0}, "concurrency must be a whole number"),
    ({"concurrency": None}, "concurrency must be a whole number"),
    ({"concurrency": 2.5}, "concurrency must be a whole number"),
    ({"max_failed": -1}, "max_failed must be a whole number"),
    ({"ordered": "yes"}, "ordered must be True or False"),
    ({"on_error": "skip"}, 'on_error is "value" or "raise"'),
    ({"progress": "bar"}, "progress is True, False, None"),
    ({"checkpoint": 3}, "checkpoint is the path of a file; got int"),
    ({"temprature": 1}, "temperature"),
    ({"temperature": "hot"}, "temperature must be a finite number"),
    ({"stream": True}, "stream"),
    ({"timeout": -1}, "timeout"),
]


@each("arguments, message", WRONG_ARGUMENTS)
def test_a_wrong_argument_is_refused_when_map_is_called(arguments: dict[str, Any], message: str) -> None:
    client = LLMClient(GPT)
    given = {"prompts": ["x"], **arguments}
    for method in (client.map, client.amap):
        with pytest.raises(ValidationError, match=message.replace("generate", "a?generate")):
            method(given["prompts"], **{name: value for name, value in given.items() if name != "prompts"})


def test_an_async_progress_function_is_refused(client: LLMClient) -> None:
    async def show(totals: MapTotals) -> None: ...

    with pytest.raises(ValidationError, match="a plain function"):
        client.map([], progress=show)
    with pytest.raises(ValidationError, match=r"call amap\(\) in async code"):
        client.map(_nothing())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def _nothing() -> AsyncIterator[str]:
    prompts: tuple[str, ...] = ()
    for prompt in prompts:
        yield prompt


def test_prompts_have_what_generate_takes_and_fields_of_their_own(client: LLMClient) -> None:
    prompts: list[Any] = [
        "text",
        [{"role": "system", "content": "s"}, {"role": "user", "content": "turn"}],
        LLMRequest((Message.user("request"),), temperature=0.1),
        {"messages": "mapping", "custom_id": "a", "model": HAIKU, "temperature": 0.2},
        {"messages": [{"role": "user", "content": "again"}], "custom_id": "a", "model": "gpt-4o-mini", "max_tokens": 5},
    ]
    with PromptTargets().running() as targets:
        results = list(client.map(prompts, concurrency=1, max_tokens=9))
    assert texts(results) == ["TEXT", "TURN", "REQUEST", "MAPPING", "AGAIN"]
    assert [result.custom_id for result in results] == [None, None, None, "a", "a"]
    assert targets.targets == [GPT, GPT, GPT, HAIKU, "openai/gpt-4o-mini"]
    assert prompts[3]["custom_id"] == "a"  # the caller's own is not changed


def test_the_calls_of_a_run_are_marked_as_those_of_a_batch_and_other_calls_are_not(client: LLMClient) -> None:
    marked = []

    def answer(text: str) -> str:
        marked.append((text, is_queued()))
        return text

    with PromptTargets(answer=answer).running():
        run = client.map(["a", "b"], concurrency=1)
        next(run)
        asyncio.run(client.agenerate("other"))
        list(run)
    assert sorted(marked) == [("a", True), ("b", True), ("other", False)]


def test_the_calls_of_a_run_see_the_context_of_the_caller() -> None:
    variable = ContextVar("variable", default="")
    seen = []
    client = LLMClient(GPT, on_attempt=lambda _: seen.append(variable.get()))

    async def main() -> None:
        variable.set("async")
        assert len([result async for result in client.amap(["a"] * 50, concurrency=2)]) == 50

    with PromptTargets().running():
        copy_context().run(lambda: (variable.set("sync"), list(client.map(["a"] * 50, concurrency=2))))
        asyncio.run(main())
    assert seen == ["sync"] * 50 + ["async"] * 50


@each("way, error", [(way, error) for way in ("map", "amap") for error in (SystemExit(3), asyncio.CancelledError())])
def test_what_no_code_may_catch_ends_the_run_where_it_is_waited_for(way: str, error: BaseException) -> None:
    def answer(text: str) -> str:
        if text == "b":
            raise error
        return text

    with PromptTargets(answer=answer).running() as targets:
        with pytest.raises(type(error)):
            collect(LLMClient(GPT), way, ["a", "b", "c"] * 10)
        assert (targets.in_flight, threads()) == (0, set())


# Totals, reprs


def test_totals_name_what_was_served_by_whom_and_what_failed() -> None:
    def answer(text: str) -> str | Failure:
        return {"refused": REFUSED, "limit": Failure("rate_limit", 429)}.get(text, text)

    client = LLMClient(GPT, fallbacks=[GROQ])
    with PromptTargets(answer=answer).running():
        run = client.map(["a", "b", "refused", "", "c"])
        assert run.totals == MapTotals()
        list(run)
    totals = run.totals
    assert (totals.done, totals.served, totals.from_checkpoint) == (5, 3, 0)
    assert totals.by_target == {GPT: 3}
    assert totals.failed == {"bad_request": 1, "ValidationError": 1}
    assert totals.retries == 1  # the refused one was sent to the fallback as well
    assert totals.usage is not None
    assert totals.usage.total_tokens == 30
    assert str(totals).splitlines()[1:] == [
        f"served by {GPT}: 3", "failed with ValidationError: 1, bad_request: 1", "1 retry, 21 + 9 tokens",
    ]  # fmt: skip
    assert str(totals).startswith("5 prompts in ")
    assert "3 served, 2 failed" in str(totals)
    assert str(MapTotals()) == "no prompts in 0 s: 0 served"


def test_no_repr_shows_a_prompt_an_answer_or_a_key(client: LLMClient) -> None:
    with PromptTargets(answer=lambda text: REFUSED if "fails" in text else f"{TEXT} {text}").running():
        run = client.map([f"{TEXT} one", f"{TEXT} fails", {"messages": f"{TEXT} two", "custom_id": "id-2"}])
        results = list(run)
    shown = [repr(result) for result in results] + [repr(run), str(run.totals), repr(run.totals), repr(client)]
    assert not any(TEXT in text for text in shown)
    assert shown[1] == "MapResult(1, BadRequestError)"
    assert shown[2].startswith("MapResult(2, custom_id='id-2', LLMResponse(openai/gpt-4o")
    assert repr(run) == "MapRun(3 done, 1 failed, ended)"


def test_progress_is_reported_to_a_function_whose_mistakes_end_nothing(
    client: LLMClient, caplog: pytest.LogCaptureFixture
) -> None:
    done = []

    def show(totals: MapTotals) -> None:
        done.append(totals.done)
        raise RuntimeError(CANARY)

    with PromptTargets().running():
        assert len(list(client.map([f"p{number}" for number in range(5)], progress=show))) == 5
    assert done == sorted(done)
    assert done[-1] == 5
    assert [record.getMessage() for record in caplog.records if "progress" in record.getMessage()] == [
        "The progress function of map() raised RuntimeError; the run goes on"
    ]


def test_nothing_is_printed_without_a_terminal_unless_it_is_asked_for(
    client: LLMClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with PromptTargets().running():
        list(client.map(["a"]))
        assert capsys.readouterr() == ("", "")
        list(client.map(["a", ""], progress=True))
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines()[-1] == "2 of 2 prompts, 1 failed"


# Life


def test_a_run_is_read_once_and_says_so(client: LLMClient) -> None:
    with PromptTargets().running():
        run = client.map(["a"])
        assert len(list(run)) == 1
        with pytest.raises(ValidationError, match="This run has ended"):
            list(run)
        assert next(run, None) is None
        begun = client.map(["a", "b"])
        first = next(iter(begun))
        assert [result.text for result in (first, *begun)] == ["A", "B"]  # a loop may go on with the rest


@each(
    "use, message",
    [
        (lambda run: run[0], r"A run is no list.*results = list\(client.map\(\.\.\.\)\)"),
        (lambda run: asyncio.run(_await(run)), r"map\(\) is not awaited: write `for result in client.map"),
        (lambda run: run.__aiter__(), r"async for result in client.amap"),
    ],
)
def test_a_run_in_code_of_the_other_kind_is_refused(use: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        use(LLMClient(GPT).map(["a"]))


async def _await(run: Any) -> None:
    await run


def test_an_async_run_in_sync_code_is_refused(client: LLMClient) -> None:
    run: Any = client.amap(["a"])
    with pytest.raises(TypeError, match=r"async for result in client.amap"):
        list(run)


def test_a_sync_run_works_inside_an_event_loop_and_inside_another_run(client: LLMClient) -> None:
    async def main() -> list[str]:
        outer = []
        async for result in client.amap(["a", "b"]):
            outer += [inner.text for inner in client.map([result.text + "1", result.text + "2"])]
        return outer

    with PromptTargets().running():
        assert asyncio.run(main()) == ["A1", "A2", "B1", "B2"]
        nested = client.map(result.text + "!" for result in client.map(["x", "y"]))
        assert [result.text for result in nested] == ["X!", "Y!"]
    assert threads() == set()


def test_one_client_runs_in_two_event_loops_and_a_run_belongs_to_one(client: LLMClient) -> None:
    with PromptTargets().running():
        run = client.amap(["a", "b"])

        async def first() -> str:
            return (await anext(run)).text

        assert asyncio.run(first()) == "A"
        with pytest.raises(ValidationError, match="belongs to the event loop"):
            asyncio.run(first())
        assert texts(collect(client, "amap", ["c"])) == ["C"]


def test_several_threads_may_share_the_results(client: LLMClient) -> None:
    received: list[str] = []
    with PromptTargets().running():
        run = client.map((f"p{number}" for number in range(100)), concurrency=5)
        workers = [threading.Thread(target=lambda: received.extend(result.text for result in run)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert sorted(received) == sorted(f"P{number}" for number in range(100))


def test_a_run_that_another_thread_closes_ends(client: LLMClient) -> None:
    with PromptTargets(holds=lambda _: True).running() as targets:
        run = client.map(["a"])
        closing = threading.Timer(0.02, run.close)
        closing.start()
        assert list(run) == []
        closing.join()
        assert (targets.in_flight, threads()) == (0, set())


def test_a_client_that_is_closed_during_a_run_goes_on(client: LLMClient) -> None:
    with PromptTargets().running(), client:
        run = client.map(f"p{number}" for number in range(100))
        next(run)
        client.close()
        assert len(list(run)) == 99


def test_runs_are_of_the_public_classes(client: LLMClient) -> None:
    assert isinstance(client.map([]), MapRun)
    assert isinstance(client.amap([]), AsyncMapRun)
