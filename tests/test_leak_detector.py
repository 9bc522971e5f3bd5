"""The leak detector of the tests: every way in which a test could show a key is tried, and detected."""

from __future__ import annotations

import gc
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from tests.support.canary import DETECTOR, KEYS, search_files
from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig
from unified_llm._client import read_request
from unified_llm._core.target import Target
from unified_llm._policy import health
from unified_llm.exceptions import AllTargetsFailedError, ConfigurationError, LLMError
from unified_llm.types import EmbeddingResponse, LLMResponse

LEAK = "sk-CANARY-on-purpose"
Leak = Callable[[], object]


def leaks_from(leak: Leak) -> str:
    """Return what the detector has after a leak; it forgets it, so that this test does not fail for it."""
    kept = leak()
    leaks = "; ".join(DETECTOR.take_leaks())
    del kept
    return leaks


def log() -> None:
    logging.getLogger("unified_llm").debug("the key is %s", LEAK)


def log_a_field() -> None:
    logging.getLogger("httpcore.http11").debug("sent", extra={"header": LEAK.lower()})


def log_an_error() -> None:
    logging.getLogger("somebody.else").error("failed", exc_info=KeyError(LEAK))


def log_elsewhere() -> None:
    logging.getLogger("asyncio").warning(LEAK)


def raise_it() -> None:
    with pytest.raises(LLMError):
        raise LLMError(LEAK)


def raise_it_in_a_field() -> None:
    with suppress(LLMError):
        raise LLMError("refused", code=LEAK)


def raise_it_in_a_cause() -> None:
    with pytest.raises(ValueError, match="refused"):
        raise ValueError("refused") from KeyError(LEAK)


def raise_it_in_a_context() -> None:
    problem = ValueError("refused")
    problem.__context__, problem.__suppress_context__ = KeyError(LEAK), True
    with pytest.raises(ValueError, match="refused"):
        raise problem


def raise_it_in_a_group() -> None:
    with pytest.raises(ExceptionGroup):
        raise ExceptionGroup("refused", [ValueError(LEAK)])


def raise_it_in_one_of_many() -> None:
    with suppress(LLMError):
        raise AllTargetsFailedError("None answered.", errors=[LLMError("no"), LLMError(LEAK)])


def add_it_as_a_note() -> None:
    problem = LLMError("refused")
    problem.add_note(LEAK)


def keep_it_in_a_variable() -> None:
    with suppress(LLMError):
        read_request.chat(LEAK, {"modle": "openai/m"})


def keep_it_in_a_variable_of_what_pytest_catches() -> None:
    with pytest.raises(ConfigurationError):
        LLMConfig.read(5, LEAK)  # type: ignore[arg-type]


def raise_it_in_a_cycle() -> LLMError:
    problem = LLMError(LEAK)
    vars(problem)["itself"] = problem
    return problem


def make_a_target() -> Target:
    return Target("openai", "m", "scripted", headers={"x": LEAK}, base_url=LEAK)


def make_a_client() -> LLMClient:
    return LLMClient("openai/m", base_url=f"https://{LEAK}.example", api_key="x")


def make_a_configuration() -> None:
    LLMConfig(model="openai/m", seed=None, stop=LEAK)


def make_an_answer() -> LLMResponse:
    return LLMResponse("Hello", raw={"echo": LEAK})


def make_vectors() -> EmbeddingResponse:
    return EmbeddingResponse([[1.0]], model=LEAK)


def make_a_message_of_langchain() -> AIMessage:
    return AIMessage("Hello", response_metadata={"request": LEAK})


def make_a_chunk_of_langchain() -> AIMessage:
    return AIMessageChunk(content="Hello", additional_kwargs={"request": LEAK})


def warn() -> None:
    with pytest.warns(UserWarning, match="sk"):
        warnings.warn(LEAK, stacklevel=1)


def print_it_in_another_process() -> None:
    subprocess.run([sys.executable, "-S", "-c", f"print({LEAK!r})"], capture_output=True, check=True)


LEAKS: dict[Leak, str] = {
    log: "a log record of unified_llm, log",
    log_a_field: "a log record of httpcore.http11, log_a_field",
    log_an_error: "what KeyError says",
    log_elsewhere: "a log record of asyncio",
    raise_it: "what LLMError says",
    raise_it_in_a_field: "what LLMError says",
    raise_it_in_a_cause: "what KeyError says",
    raise_it_in_a_context: "what KeyError says",
    raise_it_in_a_group: "what ValueError says",
    raise_it_in_one_of_many: "what LLMError says",
    add_it_as_a_note: "what LLMError says",
    keep_it_in_a_variable: "read_request.py:",
    keep_it_in_a_variable_of_what_pytest_catches: "fields in ",
    raise_it_in_a_cycle: "what LLMError says",
    make_a_target: "the repr of Target",
    make_a_client: "a pickle of LLMClient",
    make_a_configuration: "the repr of LLMConfig",
    make_an_answer: "a pickle of LLMResponse",
    make_vectors: "the repr of EmbeddingResponse",
    make_a_message_of_langchain: "a pickle of AIMessage",
    make_a_chunk_of_langchain: "a pickle of AIMessageChunk",
    warn: "a warning",
    print_it_in_another_process: "what a process printed",
}


@each("leak", LEAKS)
def test_a_key_that_is_shown_is_caught(leak: Leak) -> None:
    assert LEAKS[leak] in leaks_from(leak)
    assert DETECTOR.take_leaks() == []


def test_a_key_in_the_output_of_a_test_is_caught(capsys: pytest.CaptureFixture[str]) -> None:
    print(LEAK)  # noqa: T201 - the leak
    assert "what a test read of its output" in leaks_from(capsys.readouterr)


def test_a_key_in_a_file_or_its_name_is_caught(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    file, named = tmp_path / "cache" / "models.json", tmp_path / LEAK
    file.write_text(LEAK)
    named.touch()
    assert leaks_from(lambda: search_files(tmp_path)) == "the file models.json; the name of a file"
    file.unlink()  # or this test fails because of it
    named.unlink()


def test_a_key_in_the_registry_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.Health, "snapshot", lambda *_, **__: [{"target": LEAK}])
    assert leaks_from(dict) == "health_snapshot()"
    monkeypatch.undo()


def test_an_error_that_is_gone_before_the_end_was_looked_at_when_it_went() -> None:
    with suppress(LLMError):
        raise LLMError(LEAK)
    assert "what LLMError says" in DETECTOR.leaks
    DETECTOR.take_leaks()


def test_an_error_in_a_cycle_is_looked_at_when_it_is_collected() -> None:
    raise_it_in_a_cycle()
    gc.collect()
    assert "what LLMError says" in DETECTOR.leaks
    DETECTOR.take_leaks()


def test_no_more_than_some_objects_are_kept() -> None:
    for _ in range(1000):
        Target("openai", "m", "scripted")
    assert len(DETECTOR.plain) < 200


def test_nothing_is_caught_where_nothing_is_shown() -> None:
    targets = ScriptedTargets({"openai/m": [say("Hello", raw={"a": 1})]})
    with targets.running():
        client = LLMClient("openai/m", fallbacks=[{"base_url": "https://h.example", "api_key": LEAK}])
        client.generate("Hello?")
    assert [target.key.reveal() for target in client.targets if target.key] == [KEYS["OPENAI_API_KEY"], LEAK]
    with pytest.raises(ConfigurationError):
        LLMClient({"model": "openai/m", "api_key": LEAK, "modle": 1})
    with pytest.raises(ConfigurationError):
        LLMClient("openai/m", fallbacks=[{"model": "openai/m", "api_key": f"{LEAK}\n"}])
    assert DETECTOR.take_leaks() == []


@pytest.mark.thorough
def test_a_test_that_shows_a_key_fails(tmp_path: Path) -> None:
    (tmp_path / "test_of_another_suite.py").write_text(
        "import logging\n\nKEY = '-'.join(['sk', 'canary'])\n\n"
        "def test_silent(): pass\n\n"
        "def test_printing(): print(KEY)\n\n"
        "def test_logging(): logging.getLogger('unified_llm').debug(KEY)\n\n"
        "def test_writing(tmp_path): (tmp_path / 'cache').write_text(KEY)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rE", "-p", "tests.support.canary", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "--tb=no", f"--basetemp={tmp_path / 'base'}", f"--rootdir={tmp_path}", tmp_path],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "base" / "test_writing0" / "cache").unlink()
    assert "4 passed, 3 errors" in run.stdout
    for name, where in {
        "printing": "what the test printed",
        "logging": "a log record",
        "writing": "the file cache",
    }.items():
        assert re.search(rf"::test_{name} - Failed: A key or the text of a response was shown by .*{where}", run.stdout)
