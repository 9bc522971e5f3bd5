"""Every test is also a test of silence: nothing that comes of it may show a key.

Keys in tests begin with ``sk-canary``, in any case, and the environment holds one for every provider. While a test
runs, a net looks at what is logged, printed, raised, warned of and made; what it caught fails the test at its end. Both
folders of tests take part by what their ``conftest.py`` imports from here.

The providers' own words (``detail``, ``partial``, ``raw`` of an error) are for those who ask, and may quote anything.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import wraps
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final
from weakref import ref

import pytest

import unified_llm
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import AllTargetsFailedError, LLMError

MARK: Final = "sk-canary"
KEYS: Final = {name: f"sk-CANARY-of-{name}" for row in ROWS for name in row.key_env}
PACKAGE: Final = str(Path(unified_llm.__file__).parent)
LOGGERS: Final = ("unified_llm", "httpx", "httpcore")
FOR_THOSE_WHO_ASK: Final = {"detail", "partial", "raw"}

# What is looked at when it has been made; of modules that are not there, or not loaded yet, nothing is made.
MADE: Final = {
    "unified_llm._client.client": ("LLMClient",),
    "unified_llm._config.llm_config": ("LLMConfig",),
    "unified_llm._core.target": ("Target",),
    "unified_llm.types.responses": ("LLMResponse", "EmbeddingResponse", "ModelInfo"),
    "unified_llm._client.stream": ("Stream", "AsyncStream"),
    "unified_llm.langchain.chat_model": ("ChatUnified",),
    "unified_llm.langchain.embeddings": ("UnifiedEmbeddings",),
    "unified_llm.llama_index.llm": ("UnifiedLLM",),
    "unified_llm.llama_index.embedding": ("UnifiedEmbedding",),
    "langchain_core.messages.ai": ("AIMessage",),
    "llama_index.core.base.llms.types": ("ChatResponse", "CompletionResponse"),
}
THEIRS: Final = {"langchain_core.messages.ai", "llama_index.core.base.llms.types"}  # nothing of their repr is ours
# LlamaIndex takes from an object what cannot be pickled, when that is tried; whoever made it then has to do without.
UNPICKLED: Final = {"UnifiedLLM", "UnifiedEmbedding"}
AT_ONCE: Final = 200  # so many objects are kept at most: a test may be about memory
LONGEST: Final = 1 << 20  # of a file that a test leaves, in bytes; longer ones are weights of models


def clear_environment() -> None:
    """Take what whoever runs the tests has set, and put a canary in place of every key."""
    ours = {name for row in ROWS for name in (*row.key_env, *row.base_url_env)} | {"MLX_MODEL_PATH"}
    for name in [each for each in os.environ if each in ours or each.startswith("UNIFIED_LLM_")]:
        if name not in {"UNIFIED_LLM_NO_SKIP", "UNIFIED_LLM_THOROUGH"}:  # switches of the tests themselves
            del os.environ[name]
    os.environ.update(KEYS)


def take_part(config: pytest.Config) -> None:
    """Search the tests of a folder, from its ``conftest.py``; more than one may ask for it."""
    if not config.pluginmanager.has_plugin("canary"):
        config.pluginmanager.register(sys.modules[__name__], "canary")


class Net(logging.Handler):
    """Looks at everything that passes, and remembers where a canary was."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.caught: list[str] = []
        self.plain: list[object] = []
        self._living: list[ref[object]] = []
        self._raised: dict[int, ref[BaseException]] = {}

    def search(self, where: str, told: str | bytes) -> None:
        found = MARK in told.lower() if isinstance(told, str) else MARK.encode() in told.lower()
        if found:
            self.caught.append(where)

    def emit(self, record: logging.LogRecord) -> None:
        where = f"a log record of {record.name}, {record.funcName}"
        self.search(where, f"{record.getMessage()} {vars(record)!r}")
        if record.exc_info and record.exc_info[1]:
            self.search_error(record.exc_info[1])

    def search_object(self, thing: object) -> None:
        """Its representation, its text, its pickle."""
        kind = type(thing).__name__
        if type(thing).__module__ not in THEIRS:
            self.search(f"the repr of {kind}", f"{thing!r} {thing}")
        if kind not in UNPICKLED:
            self.search(f"a pickle of {kind}", _pickled(thing))

    def search_error(self, problem: BaseException) -> None:
        """What it says, all that led to it, and the variables of our calls, which error trackers collect."""
        seen: set[int] = set()
        waiting: list[BaseException | None] = [problem]
        while waiting:
            error = waiting.pop()
            if error is None or id(error) in seen:
                continue
            seen.add(id(error))
            self._raised.pop(id(error), None)
            self._search_one(error)
            waiting += [error.__cause__, error.__context__]
            if isinstance(error, BaseExceptionGroup):
                waiting += error.exceptions
            elif isinstance(error, AllTargetsFailedError):
                waiting += error.errors

    def _search_one(self, error: BaseException) -> None:
        kind = type(error).__name__
        told = {name: value for name, value in vars(error).items() if name not in FOR_THOSE_WHO_ASK}
        self.search(f"what {kind} says", f"{error!r} {error} {_shown(told)}")
        if isinstance(error, LLMError):
            self.search(f"a pickle of {kind}", _pickled(error))
        for frame, line in walk_tb(error.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                for name, value in dict(frame.f_locals).items():
                    self.search(f"{name} in {frame.f_code.co_filename}:{line}", _shown(value))

    def keep(self, thing: object) -> None:
        """Look at an object when the test has ended; now as well, if that needs it to be held until then."""
        try:
            self._living.append(ref(thing))
        except TypeError:  # plain data, with slots: holding it changes nothing
            self.plain.append(thing)
            if len(self.plain) >= AT_ONCE:
                self._search_plain()
        else:
            self.search_object(thing)

    def keep_error(self, error: BaseException) -> None:
        """Look at an error when it goes, or when the test has ended: it has its traceback then."""
        self._raised[id(error)] = ref(error)

    def last_look(self, error: BaseException) -> None:
        if id(error) in self._raised:
            self.search_error(error)

    def _search_plain(self) -> None:
        kept, self.plain = self.plain, []
        for thing in kept:
            self.search_object(thing)

    def haul(self) -> list[str]:
        """What was caught; the net is empty then."""
        self._search_plain()
        living, self._living = self._living, []
        for thing in living:
            if (found := thing()) is not None:
                self.search_object(found)
        for each in [*self._raised.values()]:
            if (error := each()) is not None:
                self.search_error(error)
        self._raised.clear()
        self.search("health_snapshot()", repr(unified_llm.health_snapshot()))
        caught, self.caught = self.caught, []
        return sorted({*caught})


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a variable of a call that failed may be half made
        return ""


def _pickled(thing: object) -> bytes:
    try:
        return pickle.dumps(thing)
    except Exception:  # noqa: BLE001 - what cannot be pickled shows nothing in a pickle
        return b""


NET: Final = Net()
_patch: Final = pytest.MonkeyPatch()
_unspread: Final = dict(MADE)
PRINTED: Final = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Keep what a test has printed, for ``no_key_anywhere``."""
    report = yield
    if call.when == "call":
        item.stash[PRINTED] = "".join(text for name, text in report.sections if "log" not in name)
    return report


@pytest.fixture(autouse=True)
def no_key_anywhere(request: pytest.FixtureRequest, _net: None) -> Iterator[None]:
    """Fail the test whose objects, errors, records, output or files show a key."""
    look_at_what_is_made()
    yield
    _listen()
    NET.search("what the test printed", request.node.stash.get(PRINTED, ""))
    if folder := getattr(request.node, "funcargs", {}).get("tmp_path"):
        look_for_files(folder)
    if caught := NET.haul():
        pytest.fail(f"A key was shown by {'; '.join(caught)}", pytrace=False)


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about keys that are missing."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def _go(error: LLMError) -> None:
    NET.last_look(error)


def look_for_files(folder: Path) -> None:
    """Search the files that a test has left."""
    for path in folder.rglob("*"):
        NET.search("the name of a file", path.name)
        if path.is_file() and path.stat().st_size <= LONGEST:
            NET.search(f"the file {path.name}", path.read_bytes())


def _listen() -> None:
    """Hear everything that is logged, also after a test that turned something down."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = True
        if logger.level != logging.DEBUG:
            logger.setLevel(logging.DEBUG)


@pytest.fixture(scope="session")
def _net() -> Iterator[None]:
    """Spread the net, once for all tests."""
    root = logging.getLogger()
    root.addHandler(NET)
    _listen()
    _spread()
    yield
    _patch.undo()
    root.removeHandler(NET)


def _spread() -> None:
    """Look at what passes through pytest, and at errors of ours, which not every test catches with pytest."""

    def look_at_all(what: str, found: Iterable[Any]) -> None:
        for each in found:
            NET.search(what, each if isinstance(each, (str, bytes)) else str(each or ""))

    def look_at_raised(_: object, given: tuple[Any, ...], __: object) -> None:
        if given[1] is not None:
            NET.search_error(given[1])

    _after(LLMError, "__init__", lambda error, *_: NET.keep_error(error))
    _patch.setattr(LLMError, "__del__", _go, raising=False)
    _after(pytest.RaisesExc, "__exit__", look_at_raised)
    _after(pytest.WarningsRecorder, "__exit__", lambda caught, *_: look_at_all("a warning", caught.list))
    _after(pytest.CaptureFixture, "readouterr", lambda _, __, out: look_at_all("what a test read of its output", out))
    _after(subprocess.Popen, "communicate", lambda _, __, out: look_at_all("what a process printed", out))


def look_at_what_is_made() -> None:
    """Look at objects of the classes in ``MADE`` whose modules have been loaded."""
    for name in [each for each in _unspread if each in sys.modules]:
        for kind in (getattr(sys.modules[name], each, None) for each in _unspread.pop(name)):
            if kind is not None:
                _after(kind, "__init__", lambda thing, *_: NET.keep(thing))


def _after(kind: type[Any], name: str, look: Callable[[Any, tuple[Any, ...], Any], object]) -> None:
    """Call ``look`` with the object, the arguments and the result, whenever the method has been called."""
    method = getattr(kind, name)

    @wraps(method)
    def looked_at(self: Any, *given: Any, **named: Any) -> Any:
        result = method(self, *given, **named)
        look(self, given, result)
        return result

    _patch.setattr(kind, name, looked_at)
