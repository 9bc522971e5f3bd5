"""Run a test for many small cases in one item of pytest: an item costs more than such a case does.

``each`` is written as ``pytest.mark.parametrize`` is; a failure names its case. A test whose cases are slow, or depend
on a fixture that is new for each of them, stays with ``parametrize``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeVar

from tests.support.process_state import reset_process_state

Test = TypeVar("Test", bound=Callable[..., Any])


def each(names: str | Sequence[str], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Call the test with each case as the arguments of these names, with fresh health and default settings for each."""
    arguments_of = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    is_single = isinstance(names, str) and len(arguments_of) == 1
    rows = [(case,) if is_single else tuple(case) for case in cases]
    assert rows, "no cases"
    assert not any(hasattr(value, "marks") for row in rows for value in row), "pytest.param needs parametrize"

    def decorate(test: Test) -> Test:
        assert not inspect.iscoroutinefunction(test), "an asynchronous test needs parametrize"
        signature = inspect.signature(test)

        @wraps(test)
        def run(*instance: Any, **fixtures: Any) -> None:
            for number, row in enumerate(rows):
                if number:
                    reset_process_state()
                case = dict(zip(arguments_of, row, strict=True))
                try:
                    test(*instance, **case, **fixtures)
                except BaseException as error:
                    error.add_note(f"Case {number + 1} of {len(rows)}: {case!r}")
                    raise

        others = [parameter for name, parameter in signature.parameters.items() if name not in arguments_of]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run  # type: ignore[return-value]

    return decorate
