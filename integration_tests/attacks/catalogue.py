"""What an attack is: a function that attacks one thing and yields figures, each with its bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

AREAS: Final = (
    "answers", "drips", "concurrency", "interruptions", "processes", "policy", "accounts", "configuration", "logs",
    "keys", "shared_state", "tenants", "fuzz", "names", "moved_names", "connecting", "connections", "workers",
    "environments",
)  # fmt: skip
"""The modules of this folder that contain attacks, in the order of the table. A line for a bar of the report on
deployments is an attack with ``bar=`` in any of them."""


@dataclass(frozen=True)
class Figure:
    """One measured value, and the most (with ``least``: the least) that it may be."""

    label: str
    value: float
    bound: float
    unit: str = ""
    least: bool = False

    @property
    def ok(self) -> bool:
        """Whether the value is within its bound; NaN never is."""
        return self.value >= self.bound if self.least else self.value <= self.bound

    @property
    def value_text(self) -> str:
        """The value as it is printed."""
        return f"{self.label} {_number(self.value, self.unit)}".strip()

    @property
    def bound_text(self) -> str:
        """The bound as it is printed."""
        return f"{'>=' if self.least else '<='} {_number(self.bound, self.unit)}"


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.2f} s"
    if unit == "MB":
        return f"{value:.0f} MB"
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.2f}"
    return f"{text} {unit}".strip()


def seconds(value: float, bound: float, label: str = "") -> Figure:
    """Make a figure in seconds."""
    return Figure(label, value, bound, "s")


def pause(value: float) -> Figure:
    """Make the figure of the longest pause of another task of the event loop; every attack has the same bound."""
    return Figure("pause", value, 0.5, "s")


def megabytes(value: float, bound: float) -> Figure:
    """Make a figure of growth of memory."""
    return Figure("", value, bound, "MB")


def none_of(label: str, value: float) -> Figure:
    """Make a figure that must be zero: how many were lost, wrong, left over."""
    return Figure(label, value, 0)


def all_of(label: str, value: float, whole: float) -> Figure:
    """Make a figure that must be the whole: how many were answered."""
    return Figure(label, value, whole, least=True)


def at_most(label: str, value: float, bound: float, unit: str = "") -> Figure:
    """Make a figure that is a count or a rate."""
    return Figure(label, value, bound, unit)


Run = Callable[[], Iterable[Figure]]


@dataclass(frozen=True)
class Attack:
    """One line of the table.

    Attributes:
        area: The module.
        title: What is attacked, and how; begins with the bar, if there is one.
        run: Attacks and yields figures; what it raises makes the line red.
        memory: Megabytes of address space that it may use beyond that of the runner.
        kill_after: Seconds after which it is killed, which makes the line red.
        parallel: Another attack may run at the same time: this one waits most of its time, or asserts no time.
        bar: The bar of the report on deployments that it measures (``D1``), empty if none.
    """

    area: str
    title: str
    run: Run
    memory: int = 3000
    kill_after: float = 40.0
    parallel: bool = False
    bar: str = ""


_ATTACKS: Final[list[Attack]] = []
FULL: Final[set[str]] = set()
"""Contains ``--full`` if the heavy variants are to run."""

OPTIONS: Final[dict[str, int | None]] = {"responses": None, "seed": None}
"""Options of the command for the fuzzer; None is its default."""


def register(attack: Attack) -> None:
    """Add a line."""
    _ATTACKS.append(attack)


def attack(
    title: str, *, memory: int = 3000, kill_after: float = 40.0, parallel: bool = False, bar: str = ""
) -> Callable[[Run], Run]:
    """Register the decorated function as an attack of its module."""

    def decorate(run: Run) -> Run:
        area = run.__module__.rpartition(".")[2]
        register(Attack(area, f"{bar}: {title}" if bar else title, run, memory, kill_after, parallel, bar))
        return run

    return decorate


def scale(small: int, full: int) -> int:
    """Return the number of repetitions: ``full`` with ``--full``, else ``small``."""
    return full if FULL else small


def all_attacks() -> list[Attack]:
    """Import every module of attacks; return their attacks in the order of the table."""
    for area in AREAS:
        import_module(f"integration_tests.attacks.{area}")
    return sorted(_ATTACKS, key=lambda attack: AREAS.index(attack.area))
