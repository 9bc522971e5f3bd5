"""Mutation tests of the policy. Run: ``make mutation`` (ten minutes and more on one core).

mutmut makes small changes to ``_policy/``, one at a time, and runs the tests that reach the changed function. A change
that no test detects is printed: either a test is missing, or the change makes no difference (those are listed in
``docs/contributing/mutation.md``). Exits with 1 if fewer than 95 % are detected. ``[tool.mutmut]`` in
``pyproject.toml`` configures it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIRED_SHARE = 0.95
DETECTED = ("killed", "timeout")  # a change that causes an endless loop is detected too


def mutmut(*arguments: str) -> str:
    """Run a command of mutmut; return its output."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own


def outcomes() -> dict[str, str]:
    """Return the outcome of each change, by its name."""
    lines = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines())
    return {name: outcome for name, _, outcome in lines if name.startswith("unified_llm.")}


def main() -> None:
    """Run the mutation tests, and print the undetected changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=1, help="the number of processes")
    options = parser.parse_args()
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # otherwise results of older tests would remain
    mutmut("run", "--max-children", str(options.at_once))
    results = outcomes()
    files = {name: name.split(".")[2] for name in results}
    made, detected = (
        Counter(files.values()),
        Counter(files[name] for name, each in results.items() if each in DETECTED),
    )
    for name, outcome in results.items():
        if outcome not in DETECTED:
            change = [
                line for line in mutmut("show", name).splitlines() if line[:1] in "+-" and line[:3] not in "+++---"
            ]
            print(f"{name}: {outcome}", *change, "", sep="\n")
    for file in sorted(made):
        print(f"{file:<14}{detected[file]:5} of {made[file]:5}  {detected[file] / made[file]:7.1%}")
    share = detected.total() / made.total()
    print(f"{'together':<14}{detected.total():5} of {made.total():5}  {share:7.1%}")
    raise SystemExit(share < REQUIRED_SHARE)


if __name__ == "__main__":
    main()
