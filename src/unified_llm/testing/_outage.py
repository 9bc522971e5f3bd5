"""``outage``: the block in which named targets fail, and what was tried in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Self

from unified_llm._core import runtime
from unified_llm._state import process_health
from unified_llm.exceptions import ConfigurationError
from unified_llm.testing._clock import Clock
from unified_llm.testing._faults import FaultKind, fault
from unified_llm.testing._scripted_replies import Replies, Reply
from unified_llm.testing._simulated_backends import Script, SimulatedBackends
from unified_llm.testing._target_patterns import TargetPatterns
from unified_llm.types.records import Attempt
from unified_llm.types.requests import LLMRequest


def outage(
    targets: str | Iterable[str],
    kind: FaultKind = "503",
    *,
    reply: Reply | Sequence[Reply] | Callable[[LLMRequest], Reply] | None = None,
    times: int | None = None,
    after: int | None = None,
    retry_after: float | None = None,
) -> Outage:
    """Make targets fail until the block ends, in every client, model and agent of this process.

    Nothing of what fails is sent, and no wait takes time: back-off, ``Retry-After`` and time-outs pass at once. The
    block knows nothing of earlier failures and leaves nothing behind. Blocks can be nested: what any of them names
    fails, and the innermost ``reply`` answers.

    Args:
        targets: Who fails: a provider (``openai``), a target (``openai/gpt-5-mini``), an address
            (``https://eu.example``), or ``*`` for all but models in this process (``mlx``, which can be named); or
            several of these. Model objects of a framework go by the provider's name too.
        kind: How: no connection (``refused``, ``dns``, ``tls``); no answer (``hang``), or half of one (``cut``,
            ``truncated``), or none that could be used (``empty``, ``malformed``); a refusal (``auth``, ``quota``,
            ``rate_limit``, ``context``, ``filter``), or an HTTP status from ``400`` to ``529``.
        reply: What all other targets answer, so that no network is needed: a text, an ``LLMResponse`` (for tool calls),
            a list of these for one turn after another, or a function that makes one of the ``LLMRequest``. Embeddings
            are made up. None: they are asked for real.
        times: So many attempts on each target fail, and then it is up. None: all of them.
        after: So many chunks of a stream come before it breaks (1 for ``cut`` and ``truncated``, else 0).
        retry_after: Seconds that the server asks to be left alone for.

    Returns:
        What to use in ``with``. It tells what was tried.

    Raises:
        ConfigurationError: The kind is unknown, or something is not as described here.
    """
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ConfigurationError("times= is a number of attempts: 1, 2 ...")
    replies = None if reply is None else Replies(reply)
    return Outage(Script(TargetPatterns(targets), fault(kind, after, retry_after), replies, times))


class Outage:
    """An outage, made by ``outage``, for one ``with``.

    Attributes:
        attempts: Every attempt of the calls that began in the block, in the order in which they ended; targets that
            were skipped are among them.
    """

    def __init__(self, script: Script) -> None:
        """Nothing fails before the block."""
        self.attempts: list[Attempt] = []
        self._script = script
        self._stack = ExitStack()
        self._clock: Clock | None = None
        self._started = 0.0
        self._ended: float | None = None

    @property
    def asked(self) -> list[str]:
        """The targets that were asked, attempt by attempt."""
        return [attempt.target for attempt in self.attempts if attempt.outcome != "skipped"]

    @property
    def seconds(self) -> float:
        """How long the block would have taken, or has taken so far, had every wait been waited for."""
        if self._ended is not None:
            return self._ended
        return self._clock.now() - self._started if self._clock else 0.0

    def __repr__(self) -> str:
        """Who fails, and how often somebody was asked."""
        return f"<Outage of {self._script.names}: {len(self.asked)} attempts>"

    def __enter__(self) -> Self:
        """Begin to fail.

        Raises:
            ConfigurationError: It has begun before.
        """
        if self._clock is not None:
            raise ConfigurationError("An outage is for one `with`: make another with outage(...).")
        world = self._stack.enter_context(SimulatedBackends(runtime.current(), self._script))
        self._stack.enter_context(process_health.apart())
        self._stack.enter_context(runtime.use(world.runtime(self.attempts.append)))
        self._clock, self._started = world.clock, world.clock.now()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave everything as it was."""
        self._ended = self.seconds
        self._stack.close()
