"""Keys in arguments, headers and messages: which values may be keys, and their removal from what a server says."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from unified_llm._core.api_key import OmittedKey, Secret, unwrapped
from unified_llm._core.headers import is_per_request
from unified_llm._core.hidden import Hidden, HiddenText
from unified_llm._core.key_callable import KeyCallable, refuse_awaitable
from unified_llm._lib.read_only import ReadOnlyDict
from unified_llm._lib.short_repr import printable

# How providers' keys begin, and from what length on a single word with digits is more likely a key than a name.
_KEY_PREFIX: Final = re.compile(r"(sk|pk|rk|gsk|csk|hf|xai|nvapi|pplx|r8|AIza|AKIA|ghp|key|tgp|fw)[-_]?[\w-]{12,}|AIza")
_KEY_LENGTH: Final = 28
_LONGEST_NAME: Final = 80
# Header names that suggest a key. (LLMConfig refuses Authorization.)
_KEYISH: Final = re.compile("key|token|secret|auth|cookie", re.IGNORECASE)
# Fields that APIs document, whose texts are no keys although their names suggest it.
_NO_KEYS: Final = frozenset({"prompt_cache_key", "prompt_cache_isolation_key", "tokenizer"})


def may_be_a_key(header: str) -> bool:
    """Check whether the name of a header suggests that its value is a key."""
    return _KEYISH.search(header) is not None


class Headers(ReadOnlyDict):
    """Headers by name, read-only; the repr hides the values of those that may be keys."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain dict to be made headers again."""
        return Headers, (dict(self),)

    def __deepcopy__(self, memo: object) -> Headers:
        """Return itself: values of headers cannot be changed."""
        return self

    def __repr__(self) -> str:
        """Hide the values that may be keys."""
        return repr({name: HiddenText(value) if may_be_a_key(name) else value for name, value in self.items()})


def hide_keys(fields: dict[str, Any]) -> None:
    """Put a ``Secret`` or a ``KeyCallable`` in place of ``api_key`` among keyword arguments, in place.

    Raises:
        ConfigurationError: The key is malformed. It is then no longer among the arguments.
    """
    if not isinstance(fields.get("api_key"), (Secret, KeyCallable, OmittedKey, type(None))):
        fields["api_key"] = _read_key(Hidden(fields.pop("api_key")))


def _read_key(given: Hidden[Any]) -> Secret | KeyCallable:
    if callable(given.value):
        return KeyCallable(given.value)
    refuse_awaitable(given.value)
    return Secret(unwrapped(given.value), "api_key=")


def begins_like_a_key(text: str) -> bool:
    """Check whether a text begins as providers' keys do."""
    return _KEY_PREFIX.match(text) is not None


def looks_like_a_key(text: str) -> bool:
    """Check whether a text in the place of a name is more likely a key."""
    start, *rest = text.replace(":", "/").split("/")
    if begins_like_a_key(text) or (len(start) >= _KEY_LENGTH and any(map(str.isdigit, start))):
        return True
    return any(len(part) >= _KEY_LENGTH and any(map(str.isdigit, part)) and begins_like_a_key(part) for part in rest)


def hide_misplaced_keys(shown: Iterable[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """Yield names and values for a repr; a text that looks like a key in the place of a name is hidden."""
    for name, value in shown:
        yield name, HiddenText(value) if isinstance(value, str) and looks_like_a_key(value) else value


def show_chain(names: Iterable[str]) -> str:
    """Return the names of targets for a repr, in order; one that holds what begins like a key is hidden."""
    return " -> ".join(MASK if any(map(_KEY_PREFIX.match, name.split("/"))) else printable(name) for name in names)


def quoted(text: str, otherwise: str = "that name") -> str:
    """Quote a name for a message; return the other words where it could be a key in the wrong place."""
    if looks_like_a_key(text) or len(text) > _LONGEST_NAME or not text.isprintable():
        return otherwise
    return repr(text)


# Echoes of keys. A server that refuses a request may repeat any part of it, in any field of its response.

MASK: Final = "***"
_SHORTEST_KEY: Final = 8
"""Shorter keys are placeholders (``EMPTY``, ``none``), or words that mean something in a message."""
_DEEPEST: Final = 8
# A key is not masked within a longer word; an underscore separates words, since codes are written so. The escape
# before a key may end in a letter or a digit: %20, \n, \u0022.
_BEGINS: Final = r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<=\\u00[0-9A-Fa-f]{2}))"
_ENDS: Final = r"(?![^\W_])"


def mask(text: str, keys: Sequence[str]) -> str:
    """Replace keys by ``***``: as they are, URL-encoded, escaped as in JSON or HTML, in base64, or cut off at the end.

    Args:
        text: What a server said.
        keys: The keys that were sent to it; those of less than 8 characters are ignored.
    """
    for key in keys:
        if len(key) < _SHORTEST_KEY:
            continue
        for form in _forms(key):
            if form in text:
                text = re.sub(_pattern(form), MASK, text)
        if key[:_SHORTEST_KEY] in text[-len(key) :]:
            text = _mask_beginning_at_end(text, key)
    return text


class SentKeys:
    """The keys that are sent with one request. Nothing is prepared before there is something to mask.

    Args:
        key: The target's key.
        headers: The request's headers, that of the key among them.
        url: The request's URL.
        bodies: Fields of its body that the user set: gateways take keys there.
    """

    __slots__ = ("_bodies", "_headers", "_key", "_keys", "_url")

    def __init__(
        self, key: Secret | None, headers: Sequence[tuple[str, str]], url: str = "", *bodies: Mapping[str, Any]
    ) -> None:
        self._key, self._headers, self._url, self._bodies = key, headers, url, bodies
        self._keys: tuple[str, ...] | None = None

    def mask(self, text: str) -> str:
        """Replace the keys in a text by ``***``."""
        return mask(text, self.all())

    def may_be_in(self, text: str) -> bool:
        """Return whether a text has a key or the beginning of one; much quicker than ``mask``."""
        keys = (key for key in self.all() if len(key) >= _SHORTEST_KEY)
        return any(beginning in text for key in keys for beginning in _beginnings(key))

    def all(self) -> tuple[str, ...]:
        """Return the keys, each once."""
        if self._keys is None:
            self._keys = tuple(dict.fromkeys(self._read()))
        return self._keys

    def _read(self) -> Iterator[str]:
        if self._key is not None:
            yield self._key.reveal()
        in_query = parse_qsl(self._url.partition("?")[2]) if "?" in self._url else ()
        for name, value in (*self._headers, *in_query):
            if may_be_a_key(name):
                yield from _parts(value)
        for body in self._bodies:
            yield from _keys_within(body)


def without_keys(fields: Any, depth: int = 0) -> Any:
    """Return fields of a body without the texts whose names suggest a key, at any depth: gateways take keys there."""
    if depth > _DEEPEST:
        return None
    if isinstance(fields, Mapping):
        return {
            name: without_keys(value, depth + 1)
            for name, value in fields.items()
            if name in _NO_KEYS or not (isinstance(value, str) and may_be_a_key(str(name)))
        }
    if type(fields) in {list, tuple}:
        return type(fields)(without_keys(item, depth + 1) for item in fields)
    return fields


def has_key(headers: Mapping[str, str], body: Mapping[str, Any]) -> bool:
    """Return whether headers or fields of a body are likely to hold an API key, as gateways take them."""
    kept = [(name, value) for name, value in headers.items() if not is_per_request(name)]
    return bool(SentKeys(None, kept, "", body).all())


def keys_of_object(owner: object) -> SentKeys:
    """Return the keys that a model object keeps: its attributes whose names suggest a key, or that hide their value."""
    attributes = getattr(owner, "__dict__", {})
    keys = [(name, value) for name, value in attributes.items() if isinstance(value, str)]
    hidden = [unwrapped(value) for value in attributes.values() if hasattr(value, "get_secret_value")]
    return SentKeys(None, [*keys, *(("key", value) for value in hidden if isinstance(value, str))])


def _parts(value: str) -> Iterator[str]:
    """Yield the keys within a header's value: after ``Bearer``, of Basic authorization, in the pairs of a cookie."""
    scheme, _, credentials = value.partition(" ")
    yield credentials.strip() or value
    if scheme.lower() == "basic":
        try:
            user_and_password = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield user_and_password
        yield user_and_password.partition(":")[2]
    elif "=" in value:
        yield from (pair.partition("=")[2] for pair in re.split(r"[;,&]\s*", value) if "=" in pair)


def _keys_within(fields: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts whose names suggest a key, at any depth."""
    if depth > _DEEPEST:
        return
    if isinstance(fields, Mapping):
        for name, value in fields.items():
            if isinstance(value, str):
                if may_be_a_key(str(name)):
                    yield from _parts(value)
            else:
                yield from _keys_within(value, depth + 1)
    elif isinstance(fields, (list, tuple)):
        for item in fields:
            yield from _keys_within(item, depth + 1)


def _forms(key: str) -> Iterator[str]:
    """Yield a key as servers may repeat it."""
    in_json, in_url, in_base64 = json.dumps(key)[1:-1], quote(key, safe=""), base64.b64encode(key.encode()).decode()
    yield from dict.fromkeys((
        key, in_json, in_json.replace("/", "\\/"), html.escape(key), in_url, in_url.lower(), quote(key),
        in_base64, in_base64.rstrip("="), in_base64.translate(str.maketrans("+/", "-_")),
    ))  # fmt: skip


def _beginnings(key: str) -> Iterator[str]:
    """Yield the beginnings of all forms of a key."""
    yield (begins := key[:_SHORTEST_KEY])
    yield base64.b64encode(key[:6].encode()).decode()  # 6 bytes are 8 characters
    if not begins.replace("-", "").isalnum():
        yield from (form[:_SHORTEST_KEY] for form in _forms(begins))


def _pattern(form: str) -> str:
    before, after = _BEGINS if form[0].isalnum() else "", _ENDS if form[-1].isalnum() else ""
    return f"{before}{re.escape(form)}{after}"


def _mask_beginning_at_end(text: str, key: str) -> str:
    """Mask the beginning of a key with which a text ends: messages are cut at a certain length."""
    for length in range(min(len(key) - 1, len(text)), _SHORTEST_KEY - 1, -1):
        if text.endswith(key[:length]):
            return re.sub(f"{_pattern(key[:length])}$", MASK, text)
    return text
