"""Simulated outages, for the tests of an application: make providers fail and check how it reacts.

    with outage("openai", "503", reply="I am still here.") as seen:
        answer = agent.invoke(question)
    assert seen.asked[-1] == "anthropic/claude-haiku-4-5"

No network is needed, no time passes, and nothing is left behind. Do not use it outside of tests: an outage is
process-wide.
"""

from __future__ import annotations

from typing import Any

from unified_llm.testing._outage import Outage, outage

__all__ = ["Outage", "outage"]

for _public in (Outage, outage):
    _public.__module__ = __name__  # where users import them from


def __getattr__(name: str) -> Any:
    """Say where a name is that this module does not have."""
    if name.startswith("__"):  # Python looks for some of these with every import
        raise AttributeError(name)
    from unified_llm._lib.missing_names import missing_name

    raise missing_name(__name__, name, __all__)
