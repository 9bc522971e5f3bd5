"""Facts and model lists as what is stored: a key of ours, a small JSON value, and the seconds that it stays.

Instants become the time to live, so that no two clocks are compared. What is read is judged as a stranger's: whatever
is not exactly as it is written here is ignored. A key in it is the registry's own, which knows credentials by their
fingerprint alone.
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
# Seconds: less is over before others read it, and nothing stays for longer than an hour.
_SHORTEST: Final = 1.0
_LONGEST: Final = 3600.0
# The longest value that is written or read, in bytes.
LONGEST_FACT: Final = 8_192
LONGEST_LIST: Final = 2**21
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored.

    Attributes:
        key: Under which key.
        value: JSON.
        seconds: How long it stays (still, where it was read).
    """

    key: str
    value: str | bytes
    seconds: float


def key_of(fact: HealthUpdate) -> str | None:
    """The key under which a fact is stored; None where it concerns this process alone."""
    return _name("hold" if isinstance(fact, CooldownStarted) else "breaker", fact.key)


def write(fact: HealthUpdate, identifier: str, now: float) -> Record | None:
    """A fact as a record; None where it concerns this process alone, or is over too soon."""
    key, seconds = key_of(fact), min(_LONGEST, fact.until - now)
    if key is None or seconds < _SHORTEST:
        return None
    value: dict[str, Any] = {"v": _VERSION, "id": identifier, "key": fact.key}
    match fact:
        case BreakerOpened():
            value |= {"is": "open", "name": fact.name, "trips": fact.trips}
        case BreakerClosed():
            value |= {"is": "closed"}
        case CooldownStarted():
            value |= {"is": "held", "reason": fact.reason, "wait": fact.wait}
    text = bounded_json.dump(value)
    return Record(key, text, seconds) if len(text.encode()) <= LONGEST_FACT else None


def read(record: Record, now: float) -> tuple[HealthUpdate, str] | None:
    """The fact and its identifier; None where the record is not one of ours."""
    value = _parse(record)
    if value is None or not 0 < record.seconds <= _LONGEST:
        return None
    until = now + record.seconds
    fact: HealthUpdate
    match value:
        case {"is": "open", "name": str(name), "trips": int(trips), "key": list(key)} if 0 < trips < 1000:
            fact = BreakerOpened(_frozen(key), until, _shown(name), trips)
        case {"is": "closed", "key": list(key)}:
            fact = BreakerClosed(_frozen(key), until)
        case {"is": "held", "reason": str(reason), "wait": bool(wait), "key": list(key)}:
            fact = CooldownStarted(_frozen(key), until, _shown(reason), wait)
        case _:
            return None
    identifier = value.get("id")
    # The key is a digest of what stands inside, so that nobody can speak of one target under the name of another.
    return (fact, identifier) if isinstance(identifier, str) and key_of(fact) == record.key else None


def list_key(key: Hashable) -> str | None:
    """The key under which a model list is stored; None where it concerns this process alone."""
    return _name("models", key)


def write_list(key: Hashable, models: tuple[ModelInfo, ...], ttl: float) -> Record | None:
    """A model list that stays fresh for ``ttl`` seconds; None where that is too short, or the list too long."""
    name, seconds = list_key(key), min(_LONGEST, ttl)
    if name is None or seconds < _SHORTEST:
        return None
    plain = [{name: value for name, value in asdict(each).items() if value is not None} for each in models]
    text = bounded_json.dump({"v": _VERSION, "seconds": seconds, "models": plain})
    return Record(name, text, seconds) if len(text.encode()) <= LONGEST_LIST else None


def read_list(record: Record) -> tuple[tuple[ModelInfo, ...], float] | None:
    """The list and its age in seconds; None where the record is not one of ours."""
    match _parse(record):
        case {"seconds": float() | int() as seconds, "models": list(plain)} if 0 < record.seconds <= seconds:
            models = tuple(_model(each) for each in plain)
        case _:
            return None
    whole = tuple(each for each in models if each is not None)
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
    """A key of the store: readable up to the kind, then a digest."""
    place = _place(key)
    if not place or not all(isinstance(leaf, str | None) for leaf in _leaves(key)):
        return None  # a model in this process (MLX), or an object of it (a framework's own model)
    try:
        text = bounded_json.dump(key)
        if base_url.is_loopback(place):
            text += socket.gethostname()  # 127.0.0.1 is another server on another machine
    except ValueError:  # nothing that JSON can hold, or a malformed address
        return None
    return f"{PREFIX}{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _place(key: Hashable) -> str:
    """Where a target is: the address in its health key, or the fingerprint of its key."""
    match key:
        case (_, str(place), *_):
            return place
        case (_, tuple(inner), *_):
            return _place(inner)
        case _:
            return ""


def _leaves(key: Hashable) -> Iterator[object]:
    if isinstance(key, tuple):
        for each in key:
            yield from _leaves(each)
    else:
        yield key


def _shown(text: str) -> str:
    """A text that will stand in a log."""
    return text[:_LONGEST_TEXT] if text.isprintable() else "?"


def _frozen(value: Any) -> Hashable:
    """Lists, which JSON has, as the tuples that were written."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
