"""Locks and imports across a fork."""

from __future__ import annotations

import ast
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.sources import FILES, ROOT, nodes_of
from unified_llm._lib import fork_safe

LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier", "allocate_lock", "register_at_fork"}

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")


def test_every_lock_of_the_package_is_made_by_this_module() -> None:
    made = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for path in FILES
        if path.name != "fork_safe.py"
        for node in nodes_of(path)
        if (isinstance(node, ast.Attribute) and node.attr in LOCKS and not _is_annotation_in(path, node))
        or (isinstance(node, ast.ImportFrom) and node.module != "asyncio" and {a.name for a in node.names} & LOCKS)
    ]
    assert made == []


def _is_annotation_in(path: Path, node: ast.AST) -> bool:
    """A type, such as ``lock: threading.RLock``, or an attribute of asyncio, whose locks no thread shares."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio":
        return True
    return any(isinstance(other, ast.AnnAssign) and other.annotation is node for other in nodes_of(path))


def run_in_fork(check: Callable[[], bool]) -> int:
    """Fork; return the exit status of the child, 0 if ``check`` was true there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer interpreters warn of forks beside threads, which these tests are about
        child = os.fork()
    if child == 0:
        signal.alarm(10)  # a child that hangs is killed
        passed = False
        try:
            passed = check()
        finally:
            os._exit(0 if passed else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def held_by_another_thread(lock: threading.RLock) -> Callable[[], None]:
    """Let another thread hold a lock; return what releases it."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)

    def end() -> None:
        release.set()
        thread.join()

    return end


@forks
def test_a_lock_that_another_thread_holds_is_free_in_the_child() -> None:
    lock = fork_safe.make_lock()
    end = held_by_another_thread(lock)
    assert run_in_fork(lambda: lock.acquire(timeout=60)) == 0
    assert not lock.acquire(blocking=False)  # in the parent it is still held
    end()


@forks
def test_a_lock_that_the_forking_thread_holds_stays_its_own() -> None:
    lock = fork_safe.make_lock()

    def release() -> bool:
        lock.release()
        return True

    with lock:
        assert run_in_fork(release) == 0


@forks
def test_it_is_free_in_the_child_of_a_child_as_well() -> None:
    lock = fork_safe.make_lock()

    def hold_and_fork() -> bool:
        end = held_by_another_thread(lock)
        status = run_in_fork(lambda: lock.acquire(timeout=60))
        end()
        return status == 0

    assert run_in_fork(hold_and_fork) == 0


@forks
def test_a_fork_in_a_thread_is_like_any_other() -> None:
    lock = fork_safe.make_lock()
    statuses: list[int] = []
    end = held_by_another_thread(lock)
    thread = threading.Thread(target=lambda: statuses.append(run_in_fork(lambda: lock.acquire(timeout=60))))
    thread.start()
    thread.join()
    end()
    assert statuses == [0]


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The module ``slow_to_import``, which another thread has begun to import; the import ends with the event."""
    (tmp_path / "slow_to_import.py").write_text("import sys\nsys.slow_import()\nFINISHED = True\n")
    begun, end = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        end.wait(60)

    monkeypatch.setattr(sys, "slow_import", wait, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    thread = threading.Thread(target=import_module, args=("slow_to_import",))
    thread.start()
    assert begun.wait(60)
    yield end
    end.set()
    thread.join()
    del sys.modules["slow_to_import"]


def is_imported() -> bool:
    return bool(import_module("slow_to_import").FINISHED)


@forks
def test_a_fork_waits_for_an_import_of_another_thread(
    slow_module: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(_seconds: float) -> None:
        slow_module.set()

    monkeypatch.setattr(fork_safe, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    assert run_in_fork(is_imported) == 0


@forks
def test_it_does_not_wait_for_ever(slow_module: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_MAX_STALL", "_MAX_WAIT"):
        with monkeypatch.context() as patch:
            patch.setattr(fork_safe, limit, 0.01)
            assert run_in_fork(lambda: not slow_module.is_set()) == 0


def test_it_waits_as_long_as_imports_make_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, each of many modules takes seconds: here 4 s in fake time."""
    held = [{"a"}, {"a", "a.b"}, {"a"}, {"a", "a.c"}, set[str]()]
    clock = SimpleNamespace(now=0.0)

    def sleep(_: float) -> None:
        clock.now += 0.5

    monkeypatch.setattr(fork_safe, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(fork_safe, "threading", SimpleNamespace(active_count=lambda: 2))
    monkeypatch.setattr(fork_safe, "_imported_by_others", lambda: held[int(clock.now // 4.0)])
    fork_safe._wait_for_imports()
    assert clock.now == 16.0
    held[:] = [{"a"}] * 10
    clock.now = 0.0
    fork_safe._wait_for_imports()
    assert clock.now == 5.5, "nothing has changed for 5 s"


@forks
def test_a_fork_within_an_import_does_not_wait_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_safe, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pytest.fail))
    monkeypatch.setattr(sys, "fork_here", lambda: statuses.append(run_in_fork(lambda: True)), raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "forks_on_import.py").write_text("import sys\nsys.fork_here()\n")
    statuses: list[int] = []
    idle = threading.Event()
    thread = threading.Thread(target=idle.wait)
    thread.start()  # with one thread, there is nothing to wait for
    import_module("forks_on_import")
    idle.set()
    thread.join()
    assert statuses == [0]


@forks
def test_what_a_module_registers_runs_in_the_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    monkeypatch.setattr(fork_safe, "_in_child", [lambda: ran.append(os.getpid())])
    assert run_in_fork(lambda: ran == [os.getpid()]) == 0
    assert ran == []
