"""Locks and imports across a fork."""

from __future__ import annotations

import ast
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import unified_llm
from unified_llm._lib import fork_safe

ROOT = Path(unified_llm.__file__).parent
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "fork_safe.py"
}
LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier", "allocate_lock", "register_at_fork"}

# Imports inside functions that need no ``importing``, and why.
ASYNCIO = "async callers have imported it"
EXEMPT = {
    ("_backends/objects/finalize.py", "asyncio"): ASYNCIO,
    ("_client/drivers.py", "asyncio"): ASYNCIO,
    ("_client/model_lists.py", "asyncio"): ASYNCIO,
    ("_core/runtime.py", "asyncio"): ASYNCIO,
    ("_observe/otel.py", "opentelemetry.trace"): "instruments() has imported it",
    ("_observe/otel.py", "opentelemetry.context"): "opentelemetry.trace imports it",
    ("exceptions.py", "unified_llm._lib"): "a small module, for notebooks",
    ("types/responses.py", "unified_llm._lib"): "a small module, for notebooks",
    ("__init__.py", "importlib"): "it is always there",
    ("__init__.py", "unified_llm._lib.fork_safe"): "this module",
    ("langchain/__init__.py", "importlib"): "it is always there",
    ("langchain/__init__.py", "unified_llm._lib.fork_safe"): "this module",
    ("langchain/__init__.py", "unified_llm.exceptions"): "for an error, where LangChain is not installed",
    ("llama_index/__init__.py", "importlib"): "it is always there",
    ("llama_index/__init__.py", "unified_llm._lib.fork_safe"): "this module",
    ("llama_index/__init__.py", "unified_llm.exceptions"): "for an error, where LlamaIndex is not installed",
}

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")


def test_every_lock_of_the_package_is_made_by_this_module() -> None:
    made = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in LOCKS and not _is_annotation_of(tree, node))
        or (isinstance(node, ast.ImportFrom) and node.module != "asyncio" and {a.name for a in node.names} & LOCKS)
    ]
    assert made == []


def _is_annotation_of(tree: ast.AST, node: ast.AST) -> bool:
    """A type, such as ``lock: threading.RLock``, or an attribute of asyncio, whose locks no thread shares."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio":
        return True
    return any(isinstance(other, ast.AnnAssign) and other.annotation is node for other in ast.walk(tree))


def _imports(body: list[ast.stmt], *, guarded: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a function that are not inside ``with importing``."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if not guarded:
                yield node
            continue
        is_guard = isinstance(node, ast.With) and ast.unparse(node.items[0].context_expr).endswith("importing")
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.ExceptHandler))]
        for child in inner:
            statements = child.body if isinstance(child, ast.ExceptHandler) else [child]
            yield from _imports(statements, guarded=guarded or is_guard)


def test_a_function_imports_under_the_lock_that_a_fork_waits_for() -> None:
    unguarded = set[tuple[str, str]]()
    for name, tree in TREES.items():
        if "/mlx/" in name:  # MLX does not survive a fork
            continue
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in _imports(function.body, guarded=False):
                    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                    unguarded.update((name, module) for module in modules)
    assert unguarded == set(EXEMPT)


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
    assert held.wait(10)

    def end() -> None:
        release.set()
        thread.join()

    return end


@forks
def test_a_lock_that_another_thread_holds_is_free_in_the_child() -> None:
    lock = fork_safe.make_lock()
    end = held_by_another_thread(lock)
    assert run_in_fork(lambda: lock.acquire(timeout=5)) == 0
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
        status = run_in_fork(lambda: lock.acquire(timeout=5))
        end()
        return status == 0

    assert run_in_fork(hold_and_fork) == 0


@forks
def test_a_fork_in_a_thread_is_like_any_other() -> None:
    lock = fork_safe.make_lock()
    statuses: list[int] = []
    end = held_by_another_thread(lock)
    thread = threading.Thread(target=lambda: statuses.append(run_in_fork(lambda: lock.acquire(timeout=5))))
    thread.start()
    thread.join()
    end()
    assert statuses == [0]


@forks
def test_a_fork_waits_for_an_import_of_another_thread() -> None:
    done: list[str] = []
    end = held_by_another_thread(fork_safe.importing)

    forking = threading.Event()
    os.register_at_fork(before=forking.set)  # these run before those that were registered earlier

    def finish() -> None:
        forking.wait(10)
        done.append("imported")
        end()

    thread = threading.Thread(target=finish)
    thread.start()
    assert run_in_fork(lambda: done == ["imported"] and fork_safe.importing.acquire(timeout=5)) == 0
    thread.join()
    with fork_safe.importing:
        pass


@forks
def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_safe, "_MAX_WAIT", 0.01)
    end = held_by_another_thread(fork_safe.importing)
    assert run_in_fork(lambda: fork_safe.importing.acquire(timeout=5)) == 0
    end()
    assert fork_safe.importing.acquire(blocking=False)
    fork_safe.importing.release()


@forks
def test_a_fork_within_an_import_leaves_the_lock_with_its_thread() -> None:
    def leave() -> bool:
        fork_safe.importing.release()
        return not fork_safe.importing._is_owned()

    with fork_safe.importing:
        assert run_in_fork(leave) == 0


@forks
def test_what_a_module_registers_runs_in_the_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    monkeypatch.setattr(fork_safe, "_in_child", [lambda: ran.append(os.getpid())])
    assert run_in_fork(lambda: ran == [os.getpid()]) == 0
    assert ran == []
