"""Health updates and model lists as Redis records: a key, a small JSON value, and its time to live.

Instants become the time to live, so that no two clocks are compared. A value that is not exactly as it is written here
is ignored. Credentials appear only as fingerprints, as in the keys of the registry.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Hashable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from unified_llm._core import base_url
from unified_llm._lib import bounded_json
from unified_llm._policy.health_updates import BreakerClosed, BreakerOpened, CooldownStarted, HealthUpdate
from unified_llm.types.responses import ModelInfo

PREFIX: Final = "unified-llm:1:"
_VERSION: Final = 1
# Seconds: a shorter update is over before others read it, and no record lives for longer than an hour.
_SHORTEST: Final = 1.0
_LONGEST: Final = 3600.0
# The longest value that is written or read, in bytes.
LONGEST_UPDATE: Final = 8_192
LONGEST_LIST: Final = 2**21
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        key: Its key.
        value: JSON.
        seconds: Its time to live (what is left of it, where it was read).
    """

    key: str
    value: str | bytes
    seconds: float


def key_of(update: HealthUpdate) -> str | None:
    """Return the key of an update; None where it concerns this process alone."""
    return _name("cooldown" if isinstance(update, CooldownStarted) else "breaker", update.key)


def write(update: HealthUpdate, identifier: str, now: float) -> Record | None:
    """Write an update as a record; None where it concerns this process alone, or is over too soon."""
    key, seconds = key_of(update), min(_LONGEST, update.until - now)
    if key is None or seconds < _SHORTEST:
        return None
    value: dict[str, Any] = {"v": _VERSION, "id": identifier, "key": update.key}
    match update:
        case BreakerOpened():
            value |= {"is": "open", "name": update.name, "trips": update.trips}
        case BreakerClosed():
            value |= {"is": "closed"}
        case CooldownStarted():
            value |= {"is": "cooldown", "reason": update.reason, "wait": update.wait}
    text = bounded_json.dump(value)
    return Record(key, text, seconds) if len(text.encode()) <= LONGEST_UPDATE else None


def read(record: Record, now: float) -> tuple[HealthUpdate, str] | None:
    """Return the update and its identifier; None where the record is malformed."""
    value = _parse(record)
    if value is None or not 0 < record.seconds <= _LONGEST:
        return None
    until = now + record.seconds
    update: HealthUpdate
    match value:
        case {"is": "open", "name": str(name), "trips": int(trips), "key": list(key)} if 0 < trips < 1000:
            update = BreakerOpened(_frozen(key), until, _printable(name), trips)
        case {"is": "closed", "key": list(key)}:
            update = BreakerClosed(_frozen(key), until)
        case {"is": "cooldown", "reason": str(reason), "wait": bool(wait), "key": list(key)}:
            update = CooldownStarted(_frozen(key), until, _printable(reason), wait)
        case _:
            return None
    identifier = value.get("id")
    # The key is a digest of the content, so that a record about one target cannot be stored under another's key.
    return (update, identifier) if isinstance(identifier, str) and key_of(update) == record.key else None


def list_key(key: Hashable) -> str | None:
    """Return the key of a model list; None where it concerns this process alone."""
    return _name("models", key)


def write_list(key: Hashable, models: tuple[ModelInfo, ...], ttl: float) -> Record | None:
    """Write a model list that stays fresh for ``ttl`` seconds; None where that is too short, or the list too long."""
    name, seconds = list_key(key), min(_LONGEST, ttl)
    if name is None or seconds < _SHORTEST:
        return None
    plain = [{name: value for name, value in asdict(info).items() if value is not None} for info in models]
    text = bounded_json.dump({"v": _VERSION, "seconds": seconds, "models": plain})
    return Record(name, text, seconds) if len(text.encode()) <= LONGEST_LIST else None


def read_list(record: Record) -> tuple[tuple[ModelInfo, ...], float] | None:
    """Return the list and its age in seconds; None where the record is malformed."""
    match _parse(record):
        case {"seconds": float() | int() as seconds, "models": list(plain)} if 0 < record.seconds <= seconds:
            models = tuple(_model(item) for item in plain)
        case _:
            return None
    whole = tuple(info for info in models if info is not None)
    return (whole, float(seconds) - record.seconds) if len(whole) == len(models) else None


def _model(plain: Any) -> ModelInfo | None:
    optional = {"owned_by": str, "created": int, "context_window": int}
    match plain:
        case {"id": str(), "provider": str(), **rest} if all(
            name in optional and type(value) is optional[name] for name, value in rest.items()
        ):
            return ModelInfo(**plain)
        case _:
            return None


def _parse(record: Record) -> dict[str, Any] | None:
    try:
        value = bounded_json.parse_object(record.value)
    except bounded_json.JSONError:
        return None
    return value if value.get("v") == _VERSION else None


def _name(kind: str, key: Hashable) -> str | None:
    """Return a record's key: readable up to the kind, then a digest."""
    origin = _origin(key)
    if not origin or not all(isinstance(leaf, str | None) for leaf in _leaves(key)):
        return None  # a model in this process: MLX, or a wrapped model object
    try:
        text = bounded_json.dump(key)
        if base_url.is_loopback(origin):
            text += socket.gethostname()  # 127.0.0.1 is another server on another machine
    except ValueError:  # it has no JSON form, or the address is malformed
        return None
    return f"{PREFIX}{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _origin(key: Hashable) -> str:
    """Return the address in a health key, or the fingerprint of its credentials."""
    match key:
        case (_, str(origin), *_):
            return origin
        case (_, tuple(inner), *_):
            return _origin(inner)
        case _:
            return ""


def _leaves(key: Hashable) -> Iterator[object]:
    if isinstance(key, tuple):
        for part in key:
            yield from _leaves(part)
    else:
        yield key


def _printable(text: str) -> str:
    """Bound a text that will be logged."""
    return text[:_LONGEST_TEXT] if text.isprintable() else "?"


def _frozen(value: Any) -> Hashable:
    """Turn the lists of JSON back into the tuples that were written."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
