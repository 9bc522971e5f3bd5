"""Health updates and model lists as small JSON values for Redis.

Instants travel by the clock of the Redis server, and every process converts them to its own. A value that is not
exactly as it is written here is ignored. Credentials appear only as fingerprints, as in the keys of the registry.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from unified_llm._lib import bounded_json
from unified_llm._policy.cooldowns import MAX_COOLDOWN
from unified_llm._policy.health_changes import LastFailure
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm._state.model_list_records import digest, read_models, write_models
from unified_llm.types.responses import ModelInfo

PREFIX: Final = "unified-llm:2:"
_VERSION: Final = 2
# The streams of updates, in the order in which they are read and written.
BREAKERS: Final = "breakers"
COOLDOWNS: Final = "cooldowns"
STREAMS: Final = (BREAKERS, COOLDOWNS)
# Seconds: a shorter update is over before others read it, and nothing holds for longer than an hour.
_SHORTEST: Final = 1.0
LONGEST: Final = 3600.0
# The longest value that is written or read, in bytes.
LONGEST_UPDATE: Final = 8_192
LONGEST_LIST: Final = 2**21
_LONGEST_TEXT: Final = 200
_LONGEST_NAME: Final = 64
_MOST: Final = 999  # failures, and how often a breaker opened: what is more has the same effect


@dataclass(frozen=True, slots=True)
class Clock:
    """Conversion between the clock of this process and that of the server.

    Attributes:
        now: The current instant of this process.
        server: The same instant of the server, in seconds.
    """

    now: float
    server: float


@dataclass(frozen=True, slots=True)
class Received:
    """An update as it was read.

    Attributes:
        update: Its instants are those of this process's clock.
        name: Its ``name_of``.
        sender: The process that sent it.
        since: The instant at which it happened, by this process's clock.
    """

    update: HealthUpdate
    name: str
    sender: str
    since: float


@dataclass(frozen=True, slots=True)
class Record:
    """A value with a key of its own.

    Attributes:
        key: Its key.
        value: JSON.
        seconds: Its time to live (what is left of it, where it was read).
    """

    key: str
    value: str | bytes
    seconds: float


def stream_of(update: HealthUpdate) -> str:
    """Return the stream that has updates of this type."""
    return COOLDOWNS if isinstance(update, CooldownStarted) else BREAKERS


def name_of(update: HealthUpdate) -> str | None:
    """Return a digest of what the update is about; None where it concerns this process alone."""
    return digest(update.key)


def write(update: HealthUpdate, sender: str, since: float, clock: Clock) -> str | None:
    """Write an update as JSON; None where it concerns this process alone, or is over too soon.

    Args:
        update: Its instants are those of this process's clock.
        sender: An identifier of this process.
        since: The instant at which it happened.
        clock: The current instant.
    """
    name = name_of(update)
    if name is None or min(update.until, since + LONGEST) - clock.now < _SHORTEST:
        return None
    value: dict[str, Any] = {
        "v": _VERSION,
        "sender": sender,
        "of": name,
        "key": update.key,
        "at": round((since - clock.now + clock.server) * 1000),
        "seconds": round(update.until - since, 3),
    }
    match update:
        case BreakerOpened():
            counts = {"trips": min(update.trips, _MOST), "failures": min(update.failures, _MOST)}
            lag = round(max(0.0, since - update.opened), 3)
            value |= {"is": "open", "name": update.name, **counts, "limit": update.limit, "lag": lag}
            if (last := update.last_failure) is not None:
                ago = round(max(0.0, since - last.at), 3)
                value["last"] = {"kind": last.kind, "status": last.status, "sentence": last.sentence, "ago": ago}
        case BreakerClosed():
            value |= {"is": "closed"}
        case CooldownStarted():
            value |= {"is": "cooldown", "reason": update.reason, "wait": update.wait}
    try:
        text = bounded_json.dump(value)
    except bounded_json.JSONError:  # a name or reason that UTF-8 cannot carry
        return None
    return text if len(text.encode()) <= LONGEST_UPDATE else None


def read(text: str | bytes, clock: Clock) -> Received | None:
    """Return the update; None where the text is malformed, or the update is over."""
    value = _parse(text)
    if value is None:
        return None
    name, sender, at, seconds = value.get("of"), value.get("sender"), value.get("at"), value.get("seconds")
    at, seconds = bounded_json.finite(at), bounded_json.finite(seconds)
    if at is None or seconds is None or not _is_name(name) or not _is_name(sender):
        return None
    age = max(0.0, clock.server - at / 1000)
    until = clock.now - age + min(seconds, MAX_COOLDOWN if value.get("is") == "cooldown" else LONGEST)
    update = _update(value, clock.now - age, until)
    # The digest tells servers on the loopback addresses of two machines apart.
    if update is None or until <= clock.now or name_of(update) != name:
        return None
    return Received(update, name, sender, clock.now - age)


def _update(value: dict[str, Any], since: float, until: float) -> HealthUpdate | None:
    match value:
        case {"is": "open", "name": str(name), "key": list(key)}:
            trips, failures = _count(value.get("trips")), _count(value.get("failures"))
            lag, limit = bounded_json.finite(value.get("lag")), bounded_json.finite(value.get("limit"))
            if trips is None or failures is None or lag is None or not 0 <= lag <= LONGEST:
                return None
            if "limit" not in value or (limit is None) != (value["limit"] is None) or (limit is not None and limit < 0):
                return None
            last = _last_failure(value.get("last"), since)
            return BreakerOpened(_frozen(key), since - lag, until, _printable(name), trips, failures, limit, last)
        case {"is": "closed", "key": list(key)}:
            return BreakerClosed(_frozen(key), until)
        case {"is": "cooldown", "reason": str(reason), "wait": bool(wait), "key": list(key)}:
            return CooldownStarted(_frozen(key), until, _printable(reason), wait)
        case _:
            return None


def _last_failure(value: Any, since: float) -> LastFailure | None:
    match value:
        case {"kind": str(kind), "status": status, "sentence": str(sentence), "ago": ago}:
            seconds = bounded_json.finite(ago)
            if seconds is None or not 0 <= seconds <= LONGEST or (status is not None and _count(status) is None):
                return None
            return LastFailure(_printable(kind), status, _printable(sentence), since - seconds, elsewhere=True)
        case _:
            return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 < value <= _MOST else None


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME


def list_key(key: Hashable) -> str | None:
    """Return the key of a model list; None where it concerns this process alone."""
    name = digest(key)
    return f"{PREFIX}models:{name}" if name else None


def write_list(key: Hashable, models: tuple[ModelInfo, ...], ttl: float) -> Record | None:
    """Write a model list that stays fresh for ``ttl`` seconds; None where that is too short, or the list too long."""
    name, seconds = list_key(key), min(LONGEST, ttl)
    if name is None or seconds < _SHORTEST:
        return None
    text = bounded_json.dump({"v": _VERSION, "seconds": seconds, "models": write_models(models)})
    return Record(name, text, seconds) if len(text.encode()) <= LONGEST_LIST else None


def read_list(record: Record) -> tuple[tuple[ModelInfo, ...], float] | None:
    """Return the list and its age in seconds; None where the record is malformed."""
    match _parse(record.value):
        case {"seconds": float() | int() as seconds, "models": plain} if 0 < record.seconds <= seconds:
            models = read_models(plain)
            return None if models is None else (models, float(seconds) - record.seconds)
        case _:
            return None


def _parse(text: str | bytes) -> dict[str, Any] | None:
    try:
        value = bounded_json.parse_object(text)
    except bounded_json.JSONError:
        return None
    return value if value.get("v") == _VERSION else None


def _printable(text: str) -> str:
    """Bound a text that will be logged."""
    return text[:_LONGEST_TEXT] if text.isprintable() else "?"


def _frozen(value: Any) -> Hashable:
    """Turn the lists of JSON back into the tuples that were written."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
