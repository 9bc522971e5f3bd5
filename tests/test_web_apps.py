"""The status codes of docs/web-frameworks.md: every exception has one, and no response names a provider.

integration_tests/test_web_frameworks.py runs the applications of that page in real servers.
"""

from __future__ import annotations

import inspect
import re
import runpy
from typing import Final

from tests.support.doc_pages import ROOT
from tests.support.each import each
from unified_llm import Attempt, exceptions
from unified_llm.exceptions import AllTargetsFailedError, LLMError, RateLimitError, ServiceUnavailableError

PAGE: Final = ROOT / "docs" / "web-frameworks.md"
problem_of = runpy.run_path(str(ROOT / "examples" / "web" / "web_responses.py"), run_name="web_responses")["problem_of"]
LIMITED: Final = Attempt("openai/gpt-5-mini", "rate_limit", 429, retry_after=16.2)
OVERLOADED: Final = Attempt("ollama/llama3.2", "server", 503, retry_after=90)


def failed_with(*errors: LLMError) -> LLMError:
    return AllTargetsFailedError("all", errors=errors, attempts=[OVERLOADED, LIMITED])


def test_every_exception_has_the_status_of_the_table() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Errors as status codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| (\d{3}) \|", section, re.MULTILINE)
    documented = {name: int(status) for names, status in rows for name in re.findall(r"`(\w+)`", names)}
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        nearest = next((base.__name__ for base in inspect.getmro(kind) if base.__name__ in documented), None)
        expected = 503 if kind is AllTargetsFailedError else documented[nearest] if nearest else 500
        assert problem_of(kind("openai/gpt-5-mini: it failed.")).status == expected, name


def test_a_visitor_learns_no_name_and_no_address() -> None:
    for name in exceptions.__all__:
        problem = problem_of(
            getattr(exceptions, name)("openai/gpt-5-mini: no connection to 10.0.0.8:443.", detail=name)
        )
        assert not re.search(r"openai|10\.0|Error", problem.message)


@each(
    ("error", "status", "headers"),
    [
        (RateLimitError("a", attempts=[LIMITED]), 429, {"Retry-After": "17"}),
        (RateLimitError("a"), 429, {}),
        (ServiceUnavailableError("b", attempts=[OVERLOADED]), 503, {"Retry-After": "90"}),
        (exceptions.TimeoutError("c", attempts=[LIMITED]), 504, {}),
        (failed_with(RateLimitError("a"), RateLimitError("a")), 429, {"Retry-After": "17"}),
        (failed_with(RateLimitError("a"), ServiceUnavailableError("b")), 503, {"Retry-After": "17"}),
    ],
)
def test_a_pause_that_a_provider_asked_for_is_passed_on(error: LLMError, status: int, headers: dict[str, str]) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.headers) == (status, headers)
