"""What stands for an argument that was not given, where None is a value of its own."""

from __future__ import annotations

from typing import Any, Final, Literal


class NotGiven:
    """The type of ``NOT_GIVEN``: the argument is left out."""

    def __bool__(self) -> Literal[False]:
        """Count as false."""
        return False

    def __repr__(self) -> str:
        """Return the name."""
        return "NOT_GIVEN"


class Omit:
    """The type of ``omit``: the argument is left out; as the value of a header, the header is."""

    def __bool__(self) -> Literal[False]:
        """Count as false."""
        return False

    def __repr__(self) -> str:
        """Return the name."""
        return "omit"


NOT_GIVEN: Final = NotGiven()
not_given: Final = NOT_GIVEN  # as newer versions of the SDK write it
omit: Final = Omit()

_NAMES: Final = frozenset({"NotGiven", "Omit"})


def is_omitted(value: Any) -> bool:
    """Return whether a value stands for an argument that was not given: ours, or that of OpenAI's SDK."""
    return type(value).__name__ in _NAMES and type(value).__module__.partition(".")[0] in {"unified_llm", "openai"}
