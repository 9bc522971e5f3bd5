"""A thousand tenants on one event loop, half of them with wrong keys; the figures are in docs/tenants.md."""

from __future__ import annotations

from integration_tests.support import tenants


def test_a_thousand_tenants_get_their_own_answers_and_nothing_of_one_another() -> None:
    figures = tenants.measure(1000)
    assert (figures.answered, figures.refused, figures.wrong) == (1500, 1500, 0), figures
    assert figures.megabytes < 20, figures
    # 100 is the bar on an idle machine (docs/tenants.md). On a busy one, more await their close by the event loop.
    assert figures.sockets <= 200, figures
    assert figures.left == 0, figures
