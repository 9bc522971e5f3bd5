"""``batch --engine ray`` with actors of this process in place of Ray's: who gets lines, and what ends the run."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.support.batch_files import HERE, answer, line, read_lines, write_lines
from tests.support.each import each

if TYPE_CHECKING:
    import pytest

LINES = 250


class ActorError(Exception):
    """Stands for Ray's error after the end of a worker."""


class Answers:
    """Stands for the generator of a worker: each value is read when it is asked for."""

    def __init__(self, values: Iterator[Any]) -> None:
        self._values = values

    def __next__(self) -> Callable[[], Any]:
        value = next(self._values)
        return lambda: value


class Actor:
    """A worker. One that never runs has no processor; one that dies once ends after some answers."""

    def __init__(self, make: Callable[[], Any], *, runs: bool, dies_after: int | None) -> None:
        self._worker, self.runs, self._left = make(), runs, dies_after
        self.lines = 0
        self.start = SimpleNamespace(remote=lambda: self.begin)
        self.answer = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._answer))

    def begin(self) -> None:
        assert self.runs
        self._worker.start()

    def _answer(self, lines: list[Any]) -> Answers:
        self.lines += len(lines)
        return Answers(self._values(lines))

    def _values(self, lines: list[Any]) -> Iterator[Any]:
        for value in self._worker.answer(lines):
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    self._left = None
                    raise ActorError
            yield value


class Cluster:
    """Stands for the module ``ray``."""

    exceptions = SimpleNamespace(RayActorError=ActorError, RayTaskError=ZeroDivisionError)

    def __init__(self, actors: list[Mapping[str, Any]]) -> None:
        self._coming, self.actors = deque(actors), list[Actor]()
        self.is_initialized = lambda: False
        self.shutdown = self.kill = lambda *_: None

    def init(self, **_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray takes it as well

    def remote(self, **_: object) -> Callable[[Any], Any]:
        def make(kind: Any) -> Any:
            return SimpleNamespace(remote=lambda *arguments: self._actor(lambda: kind(*arguments)))

        return make

    def _actor(self, make: Callable[[], Any]) -> Actor:
        how = self._coming.popleft()
        self.actors.append(Actor(make, runs=how.get("runs", True), dies_after=how.get("dies_after")))
        return self.actors[-1]

    def wait(self, references: list[Any], **_: object) -> tuple[list[Any], list[Any]]:
        waiting = {actor.begin for actor in self.actors if not actor.runs}
        return [next(reference for reference in references if reference not in waiting)], []

    def get(self, reference: Callable[[], Any]) -> Any:
        return reference()


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, actors: list[Mapping[str, Any]]) -> Cluster:
    cluster = Cluster(actors)
    monkeypatch.setitem(sys.modules, "ray", cluster)
    monkeypatch.setitem(sys.modules, "ray.exceptions", cluster.exceptions)
    monkeypatch.chdir(folder)
    source = write_lines(folder / "in.jsonl", [line(number) for number in range(LINES)])
    options = ("--engine", "ray", "--workers", str(len(actors)))
    ended, _ = answer(source, "out.jsonl", *HERE, *options)
    assert ended.code == 0, ended.err
    assert [made["custom_id"] for made in read_lines(folder / "out.jsonl")] == [f"q{number}" for number in range(LINES)]
    return cluster


def test_workers_without_a_processor_get_no_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = run(monkeypatch, tmp_path, [{"runs": False}, {}, {"runs": False}])
    assert [actor.lines for actor in cluster.actors] == [0, LINES, 0]


def test_the_lines_of_a_worker_that_ended_are_sent_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = run(monkeypatch, tmp_path, [{"dies_after": 30}, {}])
    assert sum(actor.lines for actor in cluster.actors) == LINES + 70


def test_ray_does_not_keep_the_signal_that_ends_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(monkeypatch, tmp_path, [{}])
    assert signal.getsignal(signal.SIGTERM) == before


@each("address", ["ray://head:10001", ""])
def test_an_address_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", Cluster([]))
    monkeypatch.setitem(sys.modules, "ray.exceptions", Cluster.exceptions)
    monkeypatch.chdir(tmp_path)
    source = write_lines(tmp_path / "in.jsonl", [line(1)])
    ended, sent = answer(source, "out.jsonl", *HERE, "--engine", "ray", "--address", address)
    assert (ended.code, sent) == (2, [])
    assert "name the head of the cluster" in ended.err
