"""Attack the client, and print what each attack costs: ``python -m integration_tests.attacks [--only TEXT] [--full]``.

Exits with 1 if a figure is over its bound, or an attack hangs, is killed or raises. The bounds are five times those
of the unit tests or more, since this is the only place where time is measured on a machine that may be busy.
"""

from __future__ import annotations

import argparse
import sys
import time

from integration_tests.attacks import catalogue, report
from integration_tests.attacks.runner import Result, run_all


def main(*arguments: str) -> int:
    """Run the attacks and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m integration_tests.attacks", description=__doc__.partition(":")[0])
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="an area, or a part of a title")
    parser.add_argument(
        "--bars", action="store_true", help="only the bars of the report on deployments, in their order"
    )
    parser.add_argument("--full", action="store_true", help="the heavy variants: many more runs, minutes to hours")
    parser.add_argument("--responses", type=int, metavar="N", help="how many random HTTP responses")
    parser.add_argument("--seed", type=int, metavar="N", help="the first seed of the random HTTP responses")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--list", action="store_true", help="print the attacks and run none")
    options = parser.parse_args(arguments)
    if options.full:
        catalogue.FULL.add("--full")
    catalogue.OPTIONS.update(responses=options.responses, seed=options.seed)
    attacks = [
        attack
        for attack in catalogue.all_attacks()
        if not options.only or any(text == attack.area or text in attack.title for text in options.only)
    ]
    if options.bars:
        attacks = sorted((attack for attack in attacks if attack.bar), key=lambda attack: int(attack.bar[1:]))
    if options.list or not attacks:
        sys.stdout.write(
            "".join(f"{attack.area}: {attack.title}\n" for attack in attacks) or "There is no such attack.\n"
        )
        return int(not attacks)
    started, results = time.monotonic(), list[Result]()
    sys.stdout.write(report.header(markdown=options.markdown) + "\n")
    for result in run_all(attacks):
        results.append(result)
        if not options.markdown:
            sys.stdout.write(report.line(report.cells(result)) + "\n")
            sys.stdout.flush()
    if options.markdown:  # in the order of the catalogue, rather than as they finish
        results.sort(key=lambda result: attacks.index(result.attack))
        sys.stdout.write("".join(f"{report.line(report.cells(result), markdown=True)}\n" for result in results))
    sys.stdout.write(f"\n{report.summary(results, time.monotonic() - started)}\n")
    return int(not all(result.ok for result in results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
