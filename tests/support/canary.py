"""Detects keys that a test shows, in every test.

Keys in tests begin with ``sk-canary``, in any case, and the environment has one for each provider. While a test runs,
the detector searches what is logged, printed, raised, warned of and created; a key that it detects fails the test at
its end. So does a line of the package that formats a response or a chunk: its ``str()`` is what the model wrote. Both
folders of tests take part: their ``conftest.py`` registers this module as a plugin.

A provider's own text (``detail``, ``response_body``, ``partial``, ``raw`` of an error ...) is shown only to code that
reads these attributes, and may contain anything.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import wraps
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any, Final
from weakref import ref

import pytest

import unified_llm
from tests.support.causes import error_and_causes
from tests.support.thorough import THOROUGH
from unified_llm._providers.registry import ROWS
from unified_llm.exceptions import LLMError
from unified_llm.types import LLMChunk, LLMResponse

MARK: Final = "sk-canary"
# What the addresses of rows are made of.
_URL_PARTS: Final = {"AWS_REGION": "us-east-1", "GOOGLE_CLOUD_PROJECT": "a-project"}
KEYS: Final = {name: f"sk-CANARY-of-{name}" for row in ROWS for name in row.key_env}
PACKAGE: Final = str(Path(unified_llm.__file__).parent)
LOGGING: Final = Path(logging.__file__).parent
LOGGERS: Final = ("unified_llm", "httpx", "httpcore")
# What logging itself writes into a record. The rest is what a call gave: its message, arguments and extra fields.
OF_LOGGING: Final = vars(logging.makeLogRecord({})).keys() - {"msg", "args", "stack_info"}
PROVIDER_FIELDS: Final = {"detail", "response_body", "response_headers", "body", "response", "partial", "raw"}

# Classes whose objects are searched, by module; a module is looked up once it has been loaded.
WATCHED: Final = {
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
THIRD_PARTY: Final = {"langchain_core.messages.ai", "llama_index.core.base.llms.types"}  # their repr is not ours
# Their ``str()`` is the text of a model, for users alone: a call of it by the package is a leak.
WITH_TEXT: Final = (LLMResponse, LLMChunk)
# Pickling one of these removes from the object what cannot be pickled, so the test could not go on with it.
NOT_PICKLED: Final = {"UnifiedLLM", "UnifiedEmbedding"}
MAX_KEPT: Final = 200  # objects that are kept at most: a test may be about memory
MAX_OF_A_CLASS: Final = 1 << 30 if THOROUGH else 4  # objects of a class searched in a test, with all its cases
MAX_FILE_SIZE: Final = 1 << 20  # bytes of a file that a test leaves; larger files are weights of models


def clear_environment() -> None:
    """Remove the settings of the machine's environment, and set every key to a canary."""
    ours = {name for row in ROWS for name in (*row.key_env, *row.address_env)} | {"MLX_MODEL_PATH"}
    for name in [name for name in os.environ if name in ours or name.startswith("UNIFIED_LLM_")]:
        del os.environ[name]
    os.environ["XDG_CONFIG_HOME"] = str(Path(__file__).parent / "no-configuration")  # which does not exist
    os.environ.update(KEYS | _URL_PARTS)


def register_plugin(config: pytest.Config) -> None:
    """Register this module as a plugin, from the ``conftest.py`` of a folder; a second call does nothing."""
    if not config.pluginmanager.has_plugin("canary"):
        config.pluginmanager.register(sys.modules[__name__], "canary")


class LeakDetector(logging.Handler):
    """Searches text, log records, objects and errors, and records where a canary was."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaks: list[str] = []
        self.plain: list[object] = []
        self._references: list[ref[object]] = []
        self._raised: dict[int, ref[BaseException]] = {}
        self._watched = Counter[type]()

    def search(self, where: str, text: str | bytes) -> None:
        """Record a leak if the text has a canary."""
        if MARK in text.lower() if isinstance(text, str) else MARK.encode() in text.lower():
            self.leaks.append(where)

    def emit(self, record: logging.LogRecord) -> None:
        where = f"a log record of {record.name}, {record.funcName}"
        given = [value for name, value in vars(record).items() if name not in OF_LOGGING]
        self.search(where, f"{record.getMessage()} {given!r}")
        if record.exc_info and record.exc_info[1]:
            self.search_error(record.exc_info[1])

    def search_object(self, thing: object) -> None:
        """Search the repr, the text and the pickle of an object."""
        kind = type(thing).__name__
        if type(thing).__module__ not in THIRD_PARTY:
            is_same = type(thing).__str__ is object.__str__ or isinstance(thing, WITH_TEXT)
            self.search(f"the repr of {kind}", repr(thing) if is_same else f"{thing!r} {thing}")
        if kind not in NOT_PICKLED:
            self.search(f"a pickle of {kind}", _pickled(thing))

    def search_error(self, raised_error: BaseException) -> None:
        """Search an error, its causes, and the variables of our calls in its traceback."""
        shown: dict[int, object] = {}  # a client is in most frames, and kept here, so that no other has its address
        for error in error_and_causes(raised_error):
            self._raised.pop(id(error), None)
            self._search_one(error, shown)

    def _search_one(self, error: BaseException, shown: dict[int, object]) -> None:
        kind = type(error).__name__
        fields = {name: value for name, value in vars(error).items() if name not in PROVIDER_FIELDS}
        self.search(f"what {kind} says", f"{error!r} {error} {_shown(fields)}")
        if isinstance(error, LLMError):
            self.search(f"a pickle of {kind}", _pickled(error))
        for frame, line in walk_tb(error.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                for name, value in dict(frame.f_locals).items():
                    if id(value) not in shown:
                        shown[id(value)] = value
                        self.search(f"{name} in {frame.f_code.co_filename}:{line}", _shown(value))

    def check_who_formats(self, frame: FrameType | None) -> None:
        """Record a leak if the package formats the text of a response: by itself, or through a logger."""
        while frame is not None and Path(frame.f_code.co_filename).parent == LOGGING:
            frame = frame.f_back
        if frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            self.leaks.append(f"{frame.f_code.co_filename}:{frame.f_lineno}, which formats a response")

    def watch(self, thing: object) -> None:
        """Search an object when the test has ended, and at once if it may be deleted before."""
        self._watched[type(thing)] += 1
        if self._watched[type(thing)] > MAX_OF_A_CLASS:
            return
        try:
            self._references.append(ref(thing))
        except TypeError:  # has slots, so it is plain data, and a strong reference changes nothing
            self.plain.append(thing)
            if len(self.plain) >= MAX_KEPT:
                self._search_plain()
        else:
            self.search_object(thing)

    def watch_error(self, error: BaseException) -> None:
        """Search an error when it is deleted, or when the test has ended: by then it has its traceback."""
        self._raised[id(error)] = ref(error)

    def search_deleted(self, error: BaseException) -> None:
        """Search an error that is being deleted, unless it has been searched."""
        if id(error) in self._raised:
            self.search_error(error)

    def _search_plain(self) -> None:
        kept, self.plain = self.plain, []
        for thing in kept:
            self.search_object(thing)

    def take_leaks(self) -> list[str]:
        """Search what has not been searched yet; return the leaks and forget them."""
        self._search_plain()
        references, self._references = self._references, []
        for reference in references:
            if (thing := reference()) is not None:
                self.search_object(thing)
        for raised in [*self._raised.values()]:
            if (error := raised()) is not None:
                self.search_error(error)
        self._raised.clear()
        self._watched.clear()
        self.search("health_snapshot()", repr(unified_llm.health_snapshot()))
        leaks, self.leaks = self.leaks, []
        return sorted({*leaks})


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a variable of a call that failed may be incomplete
        return ""


def _pickled(thing: object) -> bytes:
    try:
        return pickle.dumps(thing)
    except Exception:  # noqa: BLE001 - what cannot be pickled shows nothing in a pickle
        return b""


DETECTOR: Final = LeakDetector()
_patch: Final = pytest.MonkeyPatch()
_unwatched: Final = dict(WATCHED)
PRINTED: Final = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Keep the output of a test for ``no_key_anywhere``."""
    report = yield
    if call.when == "call":
        item.stash[PRINTED] = "".join(text for name, text in report.sections if "log" not in name)
    return report


@pytest.fixture(autouse=True)
def no_key_anywhere(request: pytest.FixtureRequest, _detector: None) -> Iterator[None]:
    """Fail the test whose objects, errors, records, output or files show a key."""
    watch_loaded_classes()
    yield
    _enable_logging()
    DETECTOR.search("what the test printed", request.node.stash.get(PRINTED, ""))
    if folder := getattr(request.node, "funcargs", {}).get("tmp_path"):
        search_files(folder)
    if leaks := DETECTOR.take_leaks():
        pytest.fail(f"A key or the text of a response was shown by {'; '.join(leaks)}", pytrace=False)


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all keys from the environment, for tests about keys that are missing."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def _on_deletion(error: LLMError) -> None:
    DETECTOR.search_deleted(error)


def search_files(folder: Path) -> None:
    """Search the names and the content of the files that a test has left."""
    for path in folder.rglob("*"):
        DETECTOR.search("the name of a file", path.name)
        if path.is_file() and path.stat().st_size <= MAX_FILE_SIZE:
            DETECTOR.search(f"the file {path.name}", path.read_bytes())


def _enable_logging() -> None:
    """Enable all log records, also after a test that changed a logger."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = True
        if logger.level != logging.DEBUG:
            logger.setLevel(logging.DEBUG)


@pytest.fixture(scope="session")
def _detector() -> Iterator[None]:
    """Install the detector, once for all tests."""
    root = logging.getLogger()
    root.addHandler(DETECTOR)
    _enable_logging()
    _install_hooks()
    yield
    _patch.undo()
    root.removeHandler(DETECTOR)


def _install_hooks() -> None:
    """Search what passes through pytest, and errors of ours, which not every test catches with pytest."""

    def search_all(where: str, texts: Iterable[Any]) -> None:
        for text in texts:
            DETECTOR.search(where, text if isinstance(text, (str, bytes)) else str(text or ""))

    def search_raised(_: object, arguments: tuple[Any, ...], __: object) -> None:
        if arguments[1] is not None:
            DETECTOR.search_error(arguments[1])

    _after(LLMError, "__init__", lambda error, *_: DETECTOR.watch_error(error))
    _patch.setattr(LLMError, "__del__", _on_deletion, raising=False)
    for kind in WITH_TEXT:
        _after(kind, "__str__", lambda *_: DETECTOR.check_who_formats(sys._getframe(2)))
    _after(pytest.RaisesExc, "__exit__", search_raised)
    _after(pytest.WarningsRecorder, "__exit__", lambda recorder, *_: search_all("a warning", recorder.list))
    _after(pytest.CaptureFixture, "readouterr", lambda _, __, out: search_all("what a test read of its output", out))
    _after(subprocess.Popen, "communicate", lambda _, __, out: search_all("what a process printed", out))


def watch_loaded_classes() -> None:
    """Search objects of the classes in ``WATCHED`` whose modules have been loaded."""
    for module in [module for module in _unwatched if module in sys.modules]:
        for kind in (getattr(sys.modules[module], name, None) for name in _unwatched.pop(module)):
            if kind is not None:
                _after(kind, "__init__", lambda thing, *_: DETECTOR.watch(thing))


def _after(kind: type[Any], name: str, search: Callable[[Any, tuple[Any, ...], Any], object]) -> None:
    """Call ``search`` with the object, the arguments and the result after each call of the method."""
    method = getattr(kind, name)

    @wraps(method)
    def searched(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = method(self, *arguments, **keywords)
        search(self, arguments, result)
        return result

    _patch.setattr(kind, name, searched)
