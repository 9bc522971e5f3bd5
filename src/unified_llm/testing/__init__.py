"""For the tests of whoever uses this package: make providers fail, and see what becomes of an application.

    with outage("openai", "503", reply="I am still here.") as seen:
        answer = agent.invoke(question)
    assert seen.asked[-1] == "anthropic/claude-haiku-4-5"

No network is needed, no time passes, and nothing is left behind. It must not be used outside of tests: the switch is
one for the whole process.
"""

from __future__ import annotations

from unified_llm.testing._outage import Outage, outage

__all__ = ["Outage", "outage"]
