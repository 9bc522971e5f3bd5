"""Waiting times and load in an outage of three minutes. Run: ``python -m benchmarks.outage``.

The policy is the real one; targets and time are simulated (``tests/support/outage_simulation.py``, which describes the
ways to fail), so the figures do not depend on the machine. ``tests/policy/test_outage.py`` checks them against bounds.
"""

from __future__ import annotations

from tests.support.outage_simulation import DEFAULT_BREAKER, FALLBACK, NO_BREAKER, PRIMARY, Mode, Outage, simulate

MODES: tuple[Mode, ...] = ("refuse", "hang", "brown-out")
# Calls a second, and how many runs are taken together so that each row is made of a few hundred calls at least.
RATES = {0.05: 200, 1.0: 20, 10.0: 4}
FLAKY = (0.02, 0.05, 0.1, 0.2)
RUNS = 40


def main() -> None:
    """Print two tables."""
    print("the primary is down for 180 s; the fallback is well, but for 2 % of its requests")
    print("primary    calls/s  breaker    calls  answered  first chunk p50      p99  requests/call: primary  fallback")
    for mode in MODES:
        for rate, runs in RATES.items():
            for name, breaker in (("default", DEFAULT_BREAKER), ("none", NO_BREAKER)):
                traffic = simulate(Outage(mode, rate, breaker=breaker), *range(runs)).during
                print(
                    f"{mode:<10} {rate:7g}  {name:<8} {len(traffic.calls):7} {traffic.answered:9.2%}"
                    f" {traffic.waited(0.5):14.2f} s {traffic.waited(0.99):6.2f} s"
                    f" {traffic.asked(PRIMARY):23.3f} {traffic.asked(FALLBACK):9.3f}"
                )
    print()
    print("no outage: some requests fail at random on both targets; one call a second, for 15 minutes")
    print("failing  times that the primary's breaker opened  answered  requests/call: primary")
    for flaky in FLAKY:
        traffic = simulate(Outage("healthy", 1.0, begins=0.0, lasts=900.0, after=0.0, flaky=flaky), *range(RUNS))
        opened = traffic.opened.get(PRIMARY, 0) / RUNS
        print(f"{flaky:7.0%} {opened:41.2f} {traffic.answered:9.2%} {traffic.asked(PRIMARY):23.3f}")


if __name__ == "__main__":
    main()
