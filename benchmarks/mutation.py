"""Do the tests notice when the policy is changed? Run: ``make mutation`` (ten minutes and more on one core).

mutmut makes small changes to ``_policy/``, one at a time, and runs the tests that reach the changed function. A change
that no test notices is printed: either a test is missing, or the change makes no difference (``docs/mutation.md`` says
which those are). Exits with 1 when fewer than 95 % are noticed. ``[tool.mutmut]`` in ``pyproject.toml`` configures it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENOUGH = 0.95
NOTICED = ("killed", "timeout")  # a change that makes the policy turn in circles is noticed too


def mutmut(*arguments: str) -> str:
    """What a command of mutmut prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own


def outcomes() -> dict[str, str]:
    """What became of each change, by its name."""
    lines = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines())
    return {name: outcome for name, _, outcome in lines if name.startswith("unified_llm.")}


def main() -> None:
    """Make the changes, and print what was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=1, help="how many processes")
    options = parser.parse_args()
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # or results for older tests would stay
    mutmut("run", "--max-children", str(options.at_once))
    results = outcomes()
    files = {name: name.split(".")[2] for name in results}
    made, noticed = (
        Counter(files.values()),
        Counter(files[name] for name, each in results.items() if each in NOTICED),
    )
    for name, outcome in results.items():
        if outcome not in NOTICED:
            change = [
                line for line in mutmut("show", name).splitlines() if line[:1] in "+-" and line[:3] not in "+++---"
            ]
            print(f"{name}: {outcome}", *change, "", sep="\n")
    for file in sorted(made):
        print(f"{file:<14}{noticed[file]:5} of {made[file]:5}  {noticed[file] / made[file]:7.1%}")
    share = noticed.total() / made.total()
    print(f"{'together':<14}{noticed.total():5} of {made.total():5}  {share:7.1%}")
    raise SystemExit(share < ENOUGH)


if __name__ == "__main__":
    main()
