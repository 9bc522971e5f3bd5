"""``outage``: a ``with`` block in which chosen targets fail, and the record of its attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn, Self

from unified_llm._core import runtime
from unified_llm._core.target import Target
from unified_llm._lib.close_names import closest
from unified_llm._state import model_list_cache, process_health
from unified_llm.exceptions import ConfigurationError
from unified_llm.testing._clock import Clock
from unified_llm.testing._faults import FaultKind, make_fault
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
    allow_unused: bool = False,
) -> Outage:
    """Make targets fail until the block ends, in every client, model and agent of this process.

    No request is sent to a failing target, and no wait takes time: backoff, ``Retry-After`` and timeouts pass at once.
    The block starts with empty health records and restores the previous ones at its end. Blocks can be nested: targets
    of any block fail, and the innermost ``reply`` is used.

    A block in which nothing failed proves nothing, so its end raises an ``AssertionError``, unless an exception leaves
    the block anyway: where no request went to any of the targets, or where one of several patterns matches no target
    of the block's calls.

    Args:
        targets: The targets that fail: a provider (``openai``), a target (``openai/gpt-5-mini``, or the ``name=`` of
            one), an address (``https://eu.example``), a host (``eu.example``), or ``*`` for all but models in this
            process (name ``mlx`` for these); or several of these. A wrapped model object of a framework matches its
            provider's name.
        kind: How they fail: no connection (``refused``, ``dns``, ``tls``); no response (``hang``), a part of one
            (``cut``, ``truncated``), or an unusable one (``empty``, ``malformed``); an error (``auth``, ``quota``,
            ``rate_limit``, ``context``, ``filter``), or an HTTP status from ``400`` to ``529``.
        reply: The answer of all other targets, so that no network is needed: a text, an ``LLMResponse`` (for tool
            calls), a list of these for one turn after another, or a function that makes one from the ``LLMRequest``.
            Embeddings and media are made up. None: other targets get real requests.
        times: The number of attempts that fail on each target; then it is up. None: all attempts fail.
        after: The number of chunks of a stream before it breaks (1 for ``cut`` and ``truncated``, else 0).
        retry_after: The server's ``Retry-After``, in seconds.
        allow_unused: Permit a block in which nothing failed.

    Returns:
        A context manager, which records the attempts.

    Raises:
        ConfigurationError: The kind is unknown, no target can have such a name, or another argument is invalid.
    """
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ConfigurationError("times= must be a number of attempts: 1, 2 ...")
    replies = None if reply is None else Replies(reply)
    script = Script(TargetPatterns(targets), make_fault(kind, after, retry_after), replies, times)
    return Outage(script, allow_unused=allow_unused)


class Outage:
    """Context manager made by ``outage``, for one ``with``.

    Attributes:
        attempts: Every attempt of the calls that began in the block, in the order in which they ended, skipped targets
            included.
    """

    def __init__(self, script: Script, *, allow_unused: bool = False) -> None:
        self.attempts: list[Attempt] = []
        self._script = script
        self._allow_unused = allow_unused
        self._chains: dict[str, Target] = {}  # all targets of the calls in the block, by name
        self._stack = ExitStack()
        self._clock: Clock | None = None
        self._started = 0.0
        self._ended: float | None = None

    @property
    def asked(self) -> list[str]:
        """The targets that got a request, attempt by attempt."""
        return [attempt.target for attempt in self.attempts if attempt.outcome != "skipped"]

    @property
    def seconds(self) -> float:
        """Return the seconds that the block would have taken, or would have taken so far, with real waits."""
        if self._ended is not None:
            return self._ended
        return self._clock.now() - self._started if self._clock else 0.0

    def __repr__(self) -> str:
        """Show the failing targets and the number of attempts."""
        return f"<Outage of {self._script.targets}: {len(self.asked)} attempts>"

    def __enter__(self) -> Self:
        """Start the outage.

        Raises:
            ConfigurationError: It was started before.
        """
        if self._clock is not None:
            raise ConfigurationError("An outage can be used in one `with` only: make another with outage(...).")
        backends = self._stack.enter_context(SimulatedBackends(runtime.current(), self._script))
        self._stack.enter_context(process_health.apart())
        self._stack.enter_context(model_list_cache.apart())
        self._stack.enter_context(runtime.use(backends.runtime(self.attempts.append, self._add_chain)))
        self._clock, self._started = backends.clock, backends.clock.now()
        return self

    if not TYPE_CHECKING:

        def __aenter__(self) -> NoReturn:
            """Refuse ``async with outage(...)``."""
            raise TypeError("outage() has a plain `with`, in async code too: write `with outage(...):`")

        def __aexit__(self, *_: object) -> NoReturn:
            """Exist, so that ``async with`` gets as far as ``__aenter__``."""
            raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the outage and restore the health records and the runtime.

        Raises:
            AssertionError: Nothing failed in the block, or a pattern matches no target of its calls.
        """
        self._ended = self.seconds
        self._stack.close()
        if kind is None and not self._allow_unused and (problem := self._unused()):
            raise AssertionError(f"{problem} Permit it with outage(..., allow_unused=True).")

    def _add_chain(self, targets: Sequence[Target]) -> None:
        self._chains.update((target.name, target) for target in targets)

    def _unused(self) -> str | None:
        """Say which patterns matched no target, or that no request went to those that they matched; else None."""
        if not self._chains:
            return f"No call was made in the outage of {self._script.targets}."
        if unmatched := self._script.targets.without_targets(self._chains.values()):
            near = closest(unmatched[0], self._chains)
            hint = f" Did you mean {near!r}?" if near else ""
            names = ", ".join(map(repr, unmatched))
            return f"outage() got {names}, but the calls in it had other targets: {', '.join(self._chains)}.{hint}"
        if not self._script.matched:
            return f"Nothing failed in the outage of {self._script.targets}: its targets got no request."
        return None
