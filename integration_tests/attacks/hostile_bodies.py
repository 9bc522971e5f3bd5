"""Hostile answers in JSON: bodies without end, deep, huge, or of strange values."""

from __future__ import annotations

from typing import Any, Final

from integration_tests.attacks.hostile_answer import HostileAnswer, Kind
from integration_tests.attacks.servers import Peer, chat, head, ok, reply
from unified_llm.exceptions import LLMError


def _then(first: bytes, again: bytes) -> Kind:
    def script(peer: Peer) -> None:
        peer.send(first)
        peer.repeat(again)

    return script


def _body(data: bytes) -> Kind:
    return lambda peer: peer.send(ok(data))


def _value(value: Any) -> Kind:
    return lambda peer: peer.send(reply(value))


def _calls(count: int, identifier: str | None = "same", name: str = "f") -> Kind:
    call = {"type": "function", "function": {"name": name, "arguments": "{}"}} | (
        {"id": identifier} if identifier else {}
    )
    return lambda peer: peer.send(reply(chat("", tool_calls=[call] * count)))


def _call(arguments: str, **fields: Any) -> Kind:
    return _value(chat("", tool_calls=[{"id": "a", "function": {"name": "f", "arguments": arguments}} | fields]))


def _refused(outcome: Any) -> bool:
    return isinstance(outcome, LLMError)


def _no_tokens(outcome: Any) -> bool:
    usage = getattr(outcome, "usage", None)
    return usage is None or 0 <= usage.prompt_tokens < 10**18


def _last_text(outcome: Any) -> bool:
    return bool(outcome.content == "second")


def _usage(tokens: Any) -> Kind:
    return _value(chat() | {"usage": {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}})


def _vectors(*vectors: Any) -> Kind:
    return _value({"data": [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]})


def _pages(peer: Peer) -> None:
    after = peer.request.path.partition("after_id=")[2] or "0"
    page = int(after.partition("&")[0]) + 1
    models = [{"id": f"model-{page}-{index}"} for index in range(1000)]
    peer.send(reply({"data": models, "has_more": page < 100, "last_id": f"{page}"}))


def _many_models(peer: Peer) -> None:
    peer.send(ok(b'{"data":[' + b",".join(b'{"id":"m%d"}' % index for index in range(600_000)) + b"]}"))


_DEEP: Final = 100_000
_TEXT: Final = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"more":'

BODIES: Final = (
    HostileAnswer(
        "JSON without end", _then(head() + b'{"choices":[{"message":{"content":"', b"x" * 1000), streamed=True
    ),
    HostileAnswer("white space without end", _then(head(), b" " * 1000)),
    HostileAnswer("60 MB of {}, in one array", _body(b"[" + b"{}," * 20_000_000 + b"{}]"), memory=200, limit=0.75),
    HostileAnswer(
        "15 MB of {}, in one array", _body(_TEXT + b"[" + b"{}," * 5_000_000 + b"{}]}"), memory=200, limit=0.75
    ),
    HostileAnswer(
        "15 MB of [ and 15 MB of commas", _body(_TEXT + b"[" * 7_500_000 + b"1," * 3_700_000), memory=200, limit=0.75
    ),
    HostileAnswer("10^5 nested arrays", _body(_TEXT + b"[" * _DEEP + b"]" * _DEEP + b"}")),
    HostileAnswer("10^5 nested objects", _body(_TEXT + b'{"a":' * _DEEP + b"1" + b"}" * _DEEP + b"}")),
    HostileAnswer("10^5 nested arrays as arguments", _call("[" * _DEEP + "]" * _DEEP)),
    HostileAnswer(
        "10^6 keys in arguments",
        _call("{" + ",".join(f'"k{index}":1' for index in range(1_000_000)) + "}"),
        memory=300,
        limit=1.25,
        deadline=2.0,
    ),
    HostileAnswer("integer of 10^6 digits", _body(_TEXT + b"9" * 1_000_000 + b"}")),
    HostileAnswer("integer of 10^6 digits as arguments", _call('{"a":' + "9" * 1_000_000 + "}")),
    HostileAnswer("float of 10^6 digits", _body(_TEXT + b"0." + b"9" * 1_000_000 + b"}")),
    HostileAnswer("NaN", _body(_TEXT + b"NaN}")),
    HostileAnswer("1e400", _body(_TEXT + b"1e400}")),
    HostileAnswer(
        "duplicate keys", _body(b'{"choices":[{"message":{"content":"first","content":"second"}}]}'), holds=_last_text
    ),
    HostileAnswer("usage negative", _usage(-5), holds=_no_tokens),
    HostileAnswer("usage of 10^30", _usage(10**30), holds=_no_tokens),
    HostileAnswer("usage as text", _usage("many"), holds=_no_tokens),
    HostileAnswer("lone surrogate", _body(b'{"choices":[{"message":{"content":"\\ud800"},"finish_reason":"stop"}]}')),
    HostileAnswer("bytes that are no UTF-8", _body(b'{"choices":[{"message":{"content":"\xff\xfe"}}]}')),
    HostileAnswer("one identifier for 20,000 calls", _calls(20_000), limit=1.0),
    HostileAnswer("one identifier for 100,000 calls", _calls(100_000), limit=1.25, deadline=2.0, memory=300),
    HostileAnswer("20,000 calls without identifiers", _calls(20_000, None), limit=1.0),
    HostileAnswer("one forbidden identifier for 20,000 calls", _calls(20_000, "é" * 100), limit=1.0),
    HostileAnswer("HTML", _body(b"<html>" + b"x" * 1000)),
    HostileAnswer("vectors: none", _vectors(), asks="vectors", holds=_refused),
    HostileAnswer("vectors: of two lengths", _vectors([1.0], [1.0, 2.0]), asks="vectors", holds=_refused),
    HostileAnswer("vectors: of text", _vectors(["a"], ["b"]), asks="vectors", holds=_refused),
    HostileAnswer("vectors: empty", _vectors([], []), asks="vectors", holds=_refused),
    HostileAnswer("vectors: nested", _vectors([[1.0]], [[2.0]]), asks="vectors", holds=_refused),
    HostileAnswer("vectors: broken base64", _vectors("!!!!", "AAA"), asks="vectors", holds=_refused),
    HostileAnswer(
        "vectors: NaN",
        _body(b'{"data":[{"index":0,"embedding":[NaN]},{"index":1,"embedding":[1]}]}'),
        asks="vectors",
        holds=_refused,
    ),
    HostileAnswer("100,000 models in 100 pages", _pages, asks="models", model="anthropic/m", deadline=8.0),
    HostileAnswer("600,000 models in one page", _many_models, asks="models", deadline=3.0, memory=400),
    HostileAnswer(
        "a list of models without end", _then(head() + b'{"data":[', b'{"id":"m"},' * 100), asks="models", memory=400
    ),
)
