"""Plays the suite and prints the scores, as Markdown.

Without an argument it tries the three that the documentation compares; with ``my_package.my_module:Mine``, one of your
own in the environment that it runs in. ``--reasons`` adds why each test failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.llama_index.suite import SECTIONS

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "conformance.txt"
ENVIRONMENT = ROOT / ".venv-conformance"
_HERE = "conformance.llama_index.contenders"
OURS = f"{_HERE}.unified:Unified"
OTHERS = (f"{_HERE}.openai_like:OpenAILike", f"{_HERE}.litellm:LiteLLM")
_LIMIT = 1800.0  # seconds for the whole suite


def main() -> int:
    """Play, print, and say by the exit status whether everything passed."""
    parser = argparse.ArgumentParser(description="Score LLMs of LlamaIndex's.")
    parser.add_argument("contenders", nargs="*", help="package.module:Class")
    parser.add_argument("--reasons", action="store_true", help="say of each test why it failed")
    given = parser.parse_args()
    if given.contenders:
        scores = [_play(sys.executable, spec) for spec in given.contenders]
    else:
        scores = [_play(sys.executable, OURS), *(_play(_environment(), spec) for spec in OTHERS)]
    print("\n".join(_report(scores, reasons=given.reasons)))
    return 1 if _failed(scores[0]) else 0


def _play(python: str, spec: str) -> dict[str, Any]:
    """In a process of its own: what one contender imports or patches is no business of the next."""
    print(f"Playing {spec} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "played.json"
        command = [python, "-m", "conformance.llama_index.playing", spec, str(out)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        ended = subprocess.run(  # noqa: S603 - this package's own module
            command, check=False, timeout=_LIMIT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        if not out.exists():
            raise SystemExit(f"{spec} could not be played:\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}")
        played: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return played


def _environment() -> str:
    """The interpreter of an environment with the others in it, made if it is not there: LiteLLM is large."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    marker = ENVIRONMENT / "made-from"
    if not marker.exists() or marker.read_text(encoding="utf-8") != wanted:
        print(f"Installing {REQUIREMENTS.name} into {ENVIRONMENT.name} (once)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)  # noqa: S603
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-compile"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)  # noqa: S603
        marker.write_text(wanted, encoding="utf-8")
    return str(python)


def _failed(score: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in score["played"] if each["reason"] is not None]


def _report(scores: Sequence[dict[str, Any]], *, reasons: bool) -> list[str]:
    day = datetime.now(tz=UTC).date().isoformat()
    lines = [f"Played on {day} with Python {platform.python_version()}.", ""]
    lines += [f"- {each['name']}: {', '.join(map(' '.join, each['versions'].items()))}" for each in scores]
    lines += ["", "| | " + " | ".join(each["name"] for each in scores) + " |", "|---|" + "---:|" * len(scores)]
    for section, classes in SECTIONS.items():
        groups = {each.__name__ for each in classes}
        lines.append(f"| {section} | " + " | ".join(_count(each["played"], groups) for each in scores) + " |")
    lines.append("| **All** | " + " | ".join(f"**{_count(each['played'])}**" for each in scores) + " |")
    for each in scores:
        if _failed(each):
            lines += ["", f"What {each['name']} does not do:", "", *_failures(each, reasons=reasons)]
    return lines


def _count(played: Sequence[dict[str, Any]], groups: set[str] | None = None) -> str:
    counted = [each for each in played if groups is None or each["group"] in groups]
    return f"{sum(each['reason'] is None for each in counted)} / {len(counted)}"


def _failures(score: dict[str, Any], *, reasons: bool) -> list[str]:
    """One line for each behaviour, with the cases in which it is missing where that is not all of them."""
    lines: list[str] = []
    for section, classes in SECTIONS.items():
        groups = {each.__name__ for each in classes}
        tests = dict.fromkeys((each["group"], each["test"]) for each in _failed(score) if each["group"] in groups)
        for group, test in tests:
            cases = [each for each in score["played"] if (each["group"], each["test"]) == (group, test)]
            missing = [each for each in cases if each["reason"] is not None]
            some = f" ({', '.join(each['case'] for each in missing)})" if len(missing) < len(cases) else ""
            lines.append(f"- {section}: {test.removeprefix('test_').replace('_', ' ')}{some}")
            lines += [f"  - {each['case'] or 'so'}: {each['reason']}" for each in missing] if reasons else []
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
