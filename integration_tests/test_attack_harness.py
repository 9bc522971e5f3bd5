"""The harness of the attacks: what makes a line red, and that nothing hangs or exhausts memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.attacks import __main__ as command
from integration_tests.attacks import catalogue, report
from integration_tests.attacks.catalogue import Attack, Figure, all_of, at_most, none_of, seconds
from integration_tests.attacks.measure import Growth
from integration_tests.attacks.runner import Result, run_all
from integration_tests.attacks.servers import OK, Peer, answering_apart, hostile
from integration_tests.support.waiting import PATIENCE
from unified_llm import LLMClient
from unified_llm.exceptions import LLMError


def within() -> Iterator[Figure]:
    yield seconds(0.1, 1.0)
    yield none_of("lost", 0)
    yield all_of("answered", 10, 10)


def beyond() -> Iterator[Figure]:
    yield at_most("commands", 51, 50)


def hang() -> Iterator[Figure]:
    yield seconds(0.1, 1.0)
    os.fork()  # a server of the attack hangs as well
    time.sleep(10 * PATIENCE)


def exhaust() -> Iterator[Figure]:
    kept = [bytearray(50 << 20) for _ in range(100)]
    yield seconds(len(kept), 1.0)


def raises() -> Iterator[Figure]:
    yield seconds(0.1, 1.0)
    raise RuntimeError("no")


def nothing() -> Iterator[Figure]:
    yield from ()


def dies() -> Iterator[Figure]:
    yield seconds(0.1, 1.0)
    os.kill(os.getpid(), 9)


def run_one(run: catalogue.Run, *, parallel: bool = False, kill_after: float = PATIENCE) -> Result:
    (result,) = run_all([Attack("answers", "test", run, memory=400, kill_after=kill_after, parallel=parallel)])
    return result


def test_figures_within_their_bounds_are_a_green_line() -> None:
    result = run_one(within)
    assert result.ok
    cells = report.cells(result)
    assert cells == (
        "answers", "test", "0.10 s, lost 0, answered 10", "<= 1.00 s, <= 0, >= 10", "ok",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (beyond, ""),
        (hang, "killed after 4 s"),
        (exhaust, "more than 400 MB"),
        (raises, "RuntimeError: no"),
        (nothing, ""),
        (dies, "ended by signal 9"),
    ],
)
@pytest.mark.parametrize("parallel", [False, True])
def test_a_figure_beyond_its_bound_a_hang_a_crash_and_no_figure_are_red(
    run: catalogue.Run, problem: str, *, parallel: bool
) -> None:
    result = run_one(run, parallel=parallel, kill_after=4.0 if run is hang else PATIENCE)
    assert not result.ok
    assert result.problem == problem
    assert report.cells(result)[-1] == "RED"


def slow_once() -> Iterator[Figure]:
    """Be too slow in the first of two processes."""
    path = Path(os.environ["SLOW_ONCE"])
    yield seconds(0.1 if path.exists() else 5.0, 1.0)
    path.touch()


def slow() -> Iterator[Figure]:
    yield seconds(5.0, 1.0)


def test_an_attack_that_was_only_too_slow_is_run_once_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLOW_ONCE", str(tmp_path / "ran"))
    assert run_one(slow_once).ok
    assert not run_one(slow).ok


def test_a_nan_is_never_within_a_bound() -> None:
    assert not seconds(float("nan"), 1.0).ok
    assert not all_of("answered", float("nan"), 1.0).ok


@pytest.mark.parametrize(("run", "status"), [(within, 0), (beyond, 1), (raises, 1)])
def test_the_command_exits_with_one_if_a_line_is_red(
    run: catalogue.Run, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attacks = [Attack("answers", "one", within), Attack("answers", "two", run)]
    monkeypatch.setattr(catalogue, "all_attacks", lambda: attacks)
    assert command.main() == status
    assert f"2 attacks: {2 - status} ok, {status} red" in capsys.readouterr().out
    assert command.main("--only", "one") == 0
    assert command.main("--only", "nothing of that name") == 1


def test_every_attack_has_a_title_of_its_own() -> None:
    attacks = catalogue.all_attacks()
    assert len({attack.title for attack in attacks}) == len(attacks) > 150
    assert {attack.area for attack in attacks} == set(catalogue.AREAS)


def test_memory_that_was_freed_again_counts_as_growth() -> None:
    growth = Growth()
    data = bytearray(60 << 20)
    data[:] = b"x" * len(data)
    del data
    assert growth.peak > 50
    assert growth.now < 30


def test_the_servers_are_processes_that_end_with_their_block() -> None:
    def silent(peer: Peer) -> None:
        peer.hang()

    with hostile(silent) as url, answering_apart(OK) as good:
        assert LLMClient("openai-compatible/m", base_url=good, api_key="k").generate("x").content == "hi"
        with pytest.raises(LLMError):
            LLMClient("openai-compatible/m", base_url=url, api_key="k", deadline=0.2).generate("x")
    for gone in (url, good):
        with pytest.raises(LLMError):
            LLMClient("openai-compatible/m", base_url=gone, api_key="k", max_retries=0).generate("x")
