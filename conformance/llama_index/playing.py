"""Plays the suite against one contender in this process, and writes down how each test went.

``python -m conformance.llama_index.playing my_package.my_module:Mine results.json``; further options are pytest's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import pytest

from conformance.llama_index.contender import Contender

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Seconds for a test. What takes longest is to wait between retries: twice ten seconds, as LiteLLM has it.
LIMIT = 45.0


@dataclass
class Played:
    """How one test went.

    Attributes:
        group: The class that it belongs to.
        test: Its name.
        case: Its parameters; empty where it has none.
        reason: Why it failed; None if it passed.
    """

    group: str
    test: str
    case: str
    reason: str | None = None


class Scoring:
    """A plugin for pytest: brings the contender, and takes down the results."""

    def __init__(self, contender: Contender) -> None:
        """Nothing has been played yet."""
        self._contender = contender
        self.played: dict[str, Played] = {}

    @pytest.fixture(scope="session")
    def contender(self) -> Contender:
        """Who is tried."""
        return self._contender

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Take down what there is."""
        for item in items:
            name, _, case = item.name.partition("[")
            self.played[item.nodeid] = Played(item.nodeid.split("::")[1], name, case.removesuffix("]"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """A test that hangs has failed."""
        if not hasattr(signal, "SIGALRM"):
            return (yield)
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down what went wrong; what a test leaves behind counts as well."""
        if report.failed and self.played[report.nodeid].reason is None:
            self.played[report.nodeid].reason = _first_line(report)


def _give_up(*_: object) -> NoReturn:
    raise TimeoutError(f"nothing came of it in {LIMIT:.0f} seconds")


def load(spec: str) -> Contender:
    """A contender by the place of its class: ``package.module:Class``."""
    module, _, name = spec.partition(":")
    made = getattr(import_module(module), name)()
    if not isinstance(made, Contender):
        raise TypeError(f"{spec} is no Contender.")
    return made


def play(contender: Contender, *options: str) -> dict[str, Any]:
    """Play the suite; options are pytest's."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    scoring = Scoring(contender)
    # Nothing of this repository's own settings. Native tracebacks: pytest's own can fail while threads run, on 3.11.
    settings = f"-q -c {os.devnull} --import-mode=importlib --tb=native -p no:cacheprovider -W ignore".split()
    ended = pytest.main([str(HERE / "suite.py"), "--rootdir", str(ROOT), *settings, *options], plugins=[scoring])
    if ended not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise RuntimeError(f"pytest could not play the suite: {ended!r}")
    packages = (*contender.packages, "llama-index-core")
    return {
        "name": contender.name,
        "versions": {each: version(each) for each in packages},
        "played": [asdict(each) for each in scoring.played.values()],
    }


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).partition("\n")[0][:300]


if __name__ == "__main__":
    spec, out, *rest = sys.argv[1:]
    Path(out).write_text(json.dumps(play(load(spec), *rest)), encoding="utf-8")
