"""Command line of the suite: run it and print the scores as Markdown.

Without an argument it scores the contenders that the documentation compares, where MLX runs ours with a model in this
process too; with ``my_package.my_module:Mine``, that one, in the current environment. ``--reasons`` adds why each test
failed.
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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from conformance.llama_index.suite import SECTIONS

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "conformance.txt"
ENVIRONMENT = ROOT / ".venv-conformance"
_CONTENDERS = "conformance.llama_index.contenders"
OURS = f"{_CONTENDERS}.unified:Unified"
OURS_IN_PROCESS = f"{_CONTENDERS}.mlx:UnifiedMLX"
OTHERS = (f"{_CONTENDERS}.openai_like:OpenAILike", f"{_CONTENDERS}.litellm:LiteLLM")
_SUITE_TIMEOUT = 1800.0  # seconds for the whole suite


def main() -> int:
    """Run the suite and print the scores; return 0 if the LLMs of this environment passed what they should, else 1."""
    parser = argparse.ArgumentParser(description="Score LlamaIndex LLMs.")
    parser.add_argument("contenders", nargs="*", help="package.module:Class")
    parser.add_argument("--reasons", action="store_true", help="print why each test failed")
    arguments = parser.parse_args()
    specs = arguments.contenders or [OURS, *([OURS_IN_PROCESS] if find_spec("mlx") else [])]
    scores = [_run_suite(sys.executable, spec) for spec in specs]
    unexpected = any(_name(case) not in score["unmet"] for score in scores for case in _failed(score))
    if not arguments.contenders:
        scores += [_run_suite(_other_python(), spec) for spec in OTHERS]
    print("\n".join(_report(scores, reasons=arguments.reasons)))
    return int(unexpected)


def _run_suite(python: str, spec: str) -> dict[str, Any]:
    """Run the suite in its own process, so that imports and patches of one contender do not affect the next."""
    print(f"Running {spec} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.json"
        command = [python, "-m", "conformance.llama_index.harness", spec, str(out)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.run(  # noqa: S603 - this package's own module
            command,
            check=False,
            timeout=_SUITE_TIMEOUT,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        if not out.exists():
            raise SystemExit(f"{spec} could not be run:\n{process.stdout[-2000:]}\n{process.stderr[-2000:]}")
        results: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return results


def _other_python() -> str:
    """Return the Python of an environment with the other LLMs; create it on first use, since LiteLLM is large."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    marker = ENVIRONMENT / "made-from"
    if not marker.exists() or marker.read_text(encoding="utf-8") != digest:
        print(f"Installing {REQUIREMENTS.name} into {ENVIRONMENT.name} (once)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)  # noqa: S603
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-compile"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)  # noqa: S603
        marker.write_text(digest, encoding="utf-8")
    return str(python)


def _failed(score: dict[str, Any]) -> list[dict[str, Any]]:
    return [case for case in score["results"] if case["reason"] is not None]


def _name(case: dict[str, Any]) -> str:
    return f"{case['group']}.{case['test']}"


def _report(scores: Sequence[dict[str, Any]], *, reasons: bool) -> list[str]:
    day = datetime.now(tz=UTC).date().isoformat()
    lines = [f"Run on {day} with Python {platform.python_version()}.", ""]
    lines += [f"- {score['name']}: {', '.join(map(' '.join, score['versions'].items()))}" for score in scores]
    lines += ["", "| | " + " | ".join(score["name"] for score in scores) + " |", "|---|" + "---:|" * len(scores)]
    for section, classes in SECTIONS.items():
        groups = {cls.__name__ for cls in classes}
        lines.append(f"| {section} | " + " | ".join(_count(score["results"], groups) for score in scores) + " |")
    lines.append("| **All** | " + " | ".join(f"**{_count(score['results'])}**" for score in scores) + " |")
    for score in scores:
        if _failed(score):
            lines += ["", f"What {score['name']} does not do:", "", *_failures(score, reasons=reasons)]
    return lines


def _count(results: Sequence[dict[str, Any]], groups: set[str] | None = None) -> str:
    counted = [case for case in results if groups is None or case["group"] in groups]
    return f"{sum(case['reason'] is None for case in counted)} / {len(counted)}"


def _failures(score: dict[str, Any], *, reasons: bool) -> list[str]:
    """Return a line for each behaviour that is missing, with the failed cases if not all of them failed."""
    lines: list[str] = []
    for section, classes in SECTIONS.items():
        groups = {cls.__name__ for cls in classes}
        tests = dict.fromkeys((case["group"], case["test"]) for case in _failed(score) if case["group"] in groups)
        for group, test in tests:
            cases = [case for case in score["results"] if (case["group"], case["test"]) == (group, test)]
            missing = [case for case in cases if case["reason"] is not None]
            some = f" ({', '.join(case['case'] for case in missing)})" if len(missing) < len(cases) else ""
            reason = f": {why}" if (why := score["unmet"].get(f"{group}.{test}")) else ""
            lines.append(f"- {section}: {test.removeprefix('test_').replace('_', ' ')}{some}{reason}")
            lines += [f"  - {case['case'] or 'failed'}: {case['reason']}" for case in missing] if reasons else []
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
