"""Waiting for the model of a target that is not in memory: whether a call waits, and until when.

    Load                               Open               first chunk
     |---- its model is loaded -------->|---------------------->|
     |  <= the deadline of the call     |  <= limit of the attempt

    a target whose model has to be loaded      another target is ready          none is ready
    with standby="warm"                        skipped, with the reason         Load
    any other, in its turn                     Load, as long as an attempt      Load
                                               may take; then as with standby

With standby, loading is begun in the background, by what happens to the primary (``_state.standby``): no call waits for
it that another target could serve. Without, the order is the user's, and a call that has come to a target waits for it
as it would for a slow response. A wait while no target is ready ends, too, when another may be ready again (its
cooldown is over, or its breaker admits a probe); loading goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from unified_llm._core.model_loading import ModelState
from unified_llm._core.outcome import Failure
from unified_llm._policy.call_state import CallState, TargetState
from unified_llm._policy.cooldowns import Refusal
from unified_llm._policy.effects import Effect, Load
from unified_llm._policy.target_health import Permit

REASONS: Final[Mapping[ModelState, str]] = {
    "loading": "its model is being loaded",
    "unloaded": "its model is not loaded",
}
"""Reasons for which a target is skipped while another is ready."""

_NOT_IN_TIME: Final = "its model was still being loaded when the deadline of the call passed"
_ADVICE: Final = "raise deadline=, or load the model before the first call"


@dataclass(frozen=True, slots=True)
class LoadStep:
    """Next step of a call: load the model of a target, and wait for that until an instant."""

    state: TargetState
    until: float


@dataclass(frozen=True, slots=True)
class Unloaded(Refusal):
    """The model of a target has to be loaded before it gets a request."""


def admit(call: CallState, state: TargetState, now: float) -> Permit | Refusal | LoadStep:
    """Return a permit for an attempt on a target, why it gets none now, or that its model has to be loaded first."""
    target = state.target
    model = call.missing_model(state)
    if model is None or not call.health.ready(target, now, streaming=call.streaming):
        return call.health.admit(target, now, streaming=call.streaming, despite_breaker=state.insists)
    if target.standby is None and not state.load_waited:
        return LoadStep(state, _end_of_turn(call, state, now))
    return Unloaded(now, REASONS[model], wait=False)


def _end_of_turn(call: CallState, state: TargetState, now: float) -> float:
    """Return the instant until which a call waits for the model of a target in its turn.

    While another target is ready, that is as long as an attempt may take, and each untried one keeps its share.
    """
    if call.no_other_ready(state, now):
        return call.deadline
    limit = call.limit_of(state, now)
    return min(call.share_of_time(state, now, limit), now + limit)


def find_step(
    call: CallState, refused: Sequence[tuple[TargetState, Refusal]], waits: Sequence[float], now: float
) -> LoadStep | None:
    """Return which model a call waits for where no target is ready, and until when; None where there is none."""
    state = next((state for state, refusal in refused if isinstance(refusal, Unloaded)), None)
    if state is None:
        return None
    ready = [*waits, *(refusal.until for _, refusal in refused)]
    return LoadStep(state, min([call.deadline, *(instant for instant in ready if instant > now)]))


def wait_for_model(call: CallState, step: LoadStep, now: float) -> Generator[Effect, Any, None]:
    """Load the model of a target; add the wait to the call's waiting time, and record one that took it all."""
    state = step.state
    ended = yield Load(state.target, step.until)
    after = call.now()
    call.waited += after - now
    state.load_waited += after - now
    state.load_ended = ended
    if not ended and after >= call.deadline:
        call.record_incapable(state.position, after)
        call.trace.record_load(state.target, REASONS["loading"], state.load_waited, after)
        state.failure = Failure("loading", reason=_NOT_IN_TIME, advice=_ADVICE)
