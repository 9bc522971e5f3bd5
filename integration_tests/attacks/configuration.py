"""Configurations that are bypassed: keys, headers, paths, addresses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from integration_tests.attacks.catalogue import Figure, all_of, at_most, attack, none_of
from integration_tests.attacks.concurrency import target
from integration_tests.attacks.measure import Growth
from integration_tests.attacks.servers import OK, Answering, answering_apart, reply
from unified_llm import LLMClient, LLMConfig, Message
from unified_llm.exceptions import ConfigurationError, LLMError, ValidationError

_FORBIDDEN: Final = ({"Authorization": "Bearer z"}, {"Host": "a"}, {"Content-Length": "1"}, {"transfer-encoding": "a"})


@attack("model_copy(update=...) of a configuration", parallel=True)
def copies() -> Iterator[Figure]:
    """A copy is validated, and a key that was given is the key that is sent."""
    os.environ["OPENAI_API_KEY"] = "sk-operator"
    wrong = 0
    with Answering() as server:
        os.environ["OPENAI_BASE_URL"] = server.url
        base = LLMConfig(model="openai/gpt-5-mini")
        LLMClient(base.model_copy(update={"api_key": "sk-tenant-7"})).generate("x")
        wrong += server.requests[-1].headers["authorization"] != "Bearer sk-tenant-7"
        updates: list[dict[str, Any]] = [{"timeout": -5}, {"max_retries": -1}]
        for update in (*updates, *({"default_headers": header} for header in _FORBIDDEN)):
            try:
                LLMClient(base.model_copy(update=update)).generate("x")
                wrong += 1
            except (ConfigurationError, ValidationError):
                continue
            except LLMError:  # it was sent
                wrong += 1
    yield none_of("wrong", wrong)


@attack("headers that frame or authorise a message, on every way in", parallel=True)
def forbidden_headers() -> Iterator[Figure]:
    """No way in accepts a header that would replace the key or break the framing."""
    ways: tuple[Callable[[str, dict[str, str]], Any], ...] = (
        lambda url, headers: LLMClient("openai-compatible/m", base_url=url, api_key="k", default_headers=headers),
        lambda url, headers: LLMClient({"model": "openai-compatible/m", "base_url": url, "default_headers": headers}),
        lambda url, headers: LLMClient(LLMConfig(model="openai-compatible/m",
        base_url=url).model_copy(update={"default_headers": headers})),
        lambda url, headers: LLMClient(LLMConfig.model_construct(model="openai-compatible/m", base_url=url,
        default_headers=headers)),
        lambda url, headers: LLMClient("openai-compatible/m", base_url=url,
        fallbacks=[{"model": "openai-compatible/n", "default_headers": headers}]),
    )  # fmt: skip
    sent = 0
    headers = (*_FORBIDDEN, {"X": "a\r\nAuthorization: z"}, {"X\r\nAuthorization": "z"}, {"X": "a\0b"}, {"X": "a\nb"})
    with Answering() as server:
        for way in ways:
            for header in headers:
                with suppress(LLMError):
                    way(server.url, header).generate("x")
                    request = server.requests[-1]
                    given = {name.lower(): value for name, value in header.items()}
                    sent += any(request.headers.get(name) == value for name, value in given.items())
                    sent += request.headers.get("authorization") in {"z", "Bearer z"}
        for model, key_header in (("anthropic/m", "x-api-key"), ("gemini/m", "x-goog-api-key")):
            with suppress(LLMError):
                LLMClient(model, base_url=server.url, api_key="k", default_headers={key_header: "other"}).generate("x")
            sent += any(request.headers.get(key_header) == "other" for request in server.requests)
    yield none_of("sent", sent)


_MODELS: Final = (
    "../../admin", "x/../../../secret", "a/../../../x", "..", ".", "a/./../b", "%2e%2e/%2e%2e/admin", "..%2f..%2fadmin",
    "a/%2e%2e/%2E%2E/x", "..\\..\\admin", "a\r\nX: y", "a\nb", "a\0b", "a?b=c", "a#b", "a\u202eb", "a" * 300, "\t",
    "%252e%252e/x", "a//../../b", "....//", "models/../../x", "a;b/../../c",
)  # fmt: skip
_ASKED: Final = ("generate", "stream", "embed", "model_info", "count_tokens", "rerank", "list_models")


@attack("23 model names that climb out of their path, in every request of 8 providers", kill_after=90, parallel=True)
def model_names() -> Iterator[Figure]:
    """A model's name stays below the path of its API, or is refused; nothing of it forges a header."""
    climbed: set[str] = set()
    requests = 0
    with Answering(reply({}, status="404 No")) as server:
        base = f"{server.url}/gateway/v1"
        for provider in (
            "gemini",
            "huggingface",
            "azure",
            "openai",
            "anthropic",
            "ollama",
            "cohere",
            "openai-compatible",
        ):
            for model in _MODELS:
                for name in _ASKED:
                    before = len(server.requests)
                    _ask(provider, model, base, name, per_call=False)
                    if name == "generate":
                        _ask(provider, model, base, name, per_call=True)
                    for request in server.requests[before:]:
                        requests += 1
                        if _climbs(request.path):
                            climbed.add(f"{provider} {model!r} -> {request.path}")
    print("\n".join(sorted(climbed)))  # noqa: T201
    yield Figure("requests", requests, 100, least=True)
    yield none_of("climbed", len(climbed))


def _climbs(path: str) -> bool:
    """Return whether a path, however often it is decoded, has a segment of dots, or has left the gateway's prefix."""
    path = path.partition("?")[0]
    for _ in range(3):
        path = unquote(path)
    segments = [segment.partition(":")[0] for segment in path.replace("\\", "/").split("/")]
    return not path.startswith("/gateway/") or any(segment in {".", ".."} for segment in segments)


def _ask(provider: str, model: str, base: str, name: str, *, per_call: bool) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"rerank": ("q", ["a"]), "list_models": (), "model_info": ()}
    with suppress(LLMError):
        config = LLMConfig(
            provider=provider, model="m" if per_call else model, base_url=base, api_key="k", max_retries=0,
            api_version="2024-10-21" if provider == "azure" else None,
        )  # fmt: skip
        client = LLMClient(config)
        if per_call:
            client.generate({"model": f"{provider}/{model}", "messages": [{"role": "user", "content": "x"}]})
        elif name == "stream":
            list(client.stream("x"))
        else:
            getattr(client, name)(*arguments.get(name, ("x",)))


def _bind_and_invoke(model: Any, given: dict[str, Any]) -> None:
    model.bind(**given).invoke("x")


@attack("extra_headers= of calls of ChatUnified and the client", parallel=True)
def extra_headers() -> Iterator[Figure]:
    """Headers of a call are sent as headers or refused, never as fields of the body."""
    from unified_llm.langchain import ChatUnified

    leaked = 0
    with Answering() as server:
        chat_model: Any = ChatUnified(model="openai-compatible/m", base_url=server.url, api_key="k")
        client: Any = LLMClient("openai-compatible/m", base_url=server.url, api_key="k")
        for name in ("extra_headers", "headers", "extra_query", "default_headers"):
            given = {name: {"Helicone-Auth": "Bearer sk-secret"}}
            for call in (
                partial(_bind_and_invoke, chat_model, given),
                partial(chat_model.invoke, "x", **given),
                partial(client.generate, "x", **given),
            ):
                before = len(server.requests)
                with suppress(LLMError, TypeError, ValueError):
                    call()
                leaked += sum(b"sk-secret" in request.body for request in server.requests[before:])
    yield none_of("in the body", leaked)


# Forms of base_url that reach another host than the one that is written, or the credentials of a cloud.
_ADDRESSES: Final = (
    "http://169.254.169.254", "http://[fe80::1%25eth0]", "http://[::ffff:169.254.169.254]",
    "http://0251.0376.0251.0376",
    "http://2852039166", "http://0xa9fea9fe", "http://169.254.43518", "http://[64:ff9b::a9fe:a9fe]", "http://metadata",
    "http://metadata.google.internal", "http://metadata.goog", "http://100.100.100.200", "http://[fd00:ec2::254]",
    "http://instance-data.ec2.internal", "http://instance-data", "http://[fd20:ce::254]",
    "http://METADATA.Google.Internal.",
    "http://metadata.google.internal.", "http://instance-data.ec2.internal.", "http://[FD20:CE:0::254]",
    "http://user:password@127.0.0.1", "http://127.0.0.1@example.org", "http://127.0.0.1\r\nHost: a",
    "http://127.0.0.1 a",
    "http://127.0.0.1#@example.org", "http://127.0.0.1?@example.org", "http://127.0.0.1\\@example.org",
    "file:///etc/passwd",
    "ftp://127.0.0.1", "gopher://127.0.0.1", "http://", "http:///v1", "//127.0.0.1", "http://127.0.0.1:0",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:a", "http://[::1", "http://exa mple.org", "http://example.org", "http://8.8.8.8",
    "http://1.1.1.1.nip.io",
    "http://127.0.0.1/../../v1", "http://127.0.0.1/%2e%2e/v1", "http://127.0.0.1/a/..%2f..", "http://127.0.0.1/v1\0",
    "http://xn--e1afmkfd.example", "http://ex\u00e4mple.org", "http://\u2460\u2461\u2466.0.0.1",
    "http://127.0.0.1\u3002example.org", "javascript:1",
)  # fmt: skip


@attack("50 forms of base_url: other hosts, credentials of clouds, userinfo, paths", parallel=True)
def addresses() -> Iterator[Figure]:
    """An address that could be taken for another, or names a cloud's credentials, is refused when a client is made."""
    accepted = []
    for address in _ADDRESSES:
        with suppress(ConfigurationError):
            LLMClient("openai-compatible/m", base_url=address, api_key="k")
            accepted.append(address)
    print(accepted)  # noqa: T201
    yield Figure("tried", len(_ADDRESSES), 50, least=True)
    yield none_of("accepted", len(accepted))


@attack("the key of the environment with 18 forms of base_url", parallel=True)
def keys_of_the_environment() -> Iterator[Figure]:
    """A key from the environment goes to its provider's own hosts alone."""
    os.environ["OPENAI_API_KEY"] = "sk-operator"
    sent = 0
    with Answering() as server:
        port = server.url.rpartition(":")[2]
        for form in (
            "http://127.0.0.1:{}", "http://localhost:{}", "http://127.0.0.1:{}/api.openai.com",
            "http://api.openai.com@127.0.0.1:{}",
            "http://127.0.0.1:{}#api.openai.com", "http://127.0.0.1:{}?a=api.openai.com", "http://LOCALHOST:{}",
            "http://[::ffff:127.0.0.1]:{}",
            "http://127.1:{}", "http://2130706433:{}", "http://0x7f000001:{}", "http://127.0.0.1.:{}",
            "http://localhost.:{}",
            "http://api.openai.com.localhost:{}", "http://0.0.0.0:{}", "http://127.0.0.1:{}/v1/../v1",
            "http://127.0.0.1:{}\\api.openai.com",
            "http://api%2eopenai.com@127.0.0.1:{}",
        ):  # fmt: skip
            with suppress(LLMError):
                LLMClient("openai/gpt-5-mini", base_url=form.format(port), max_retries=0, timeout=2).generate("x")
        sent = sum("sk-operator" in str(request.headers) for request in server.requests)
    yield none_of("sent elsewhere", sent)


@attack("redirects to another port: 301, 302, 303, 307, 308", parallel=True)
def redirects() -> Iterator[Figure]:
    """A redirect is refused, and its target gets nothing and is not named."""
    refused = named = 0
    with Answering() as other, Answering() as server:
        for status in (301, 302, 303, 307, 308):
            server.answer = reply({}, f"Location: {other.url}/v1/chat/completions", status=f"{status} Moved")
            try:
                LLMClient(target("m", server.url)).generate("x")
            except LLMError as error:
                refused += 1
                named += other.url in f"{error!r}{error}"
        followed = len(other.requests)
    yield all_of("refused", refused, 5)
    yield none_of("followed", followed)
    yield none_of("named", named)


@attack("content parts that name files, devices and addresses, in 4 formats", parallel=True)
def content_parts() -> Iterator[Figure]:
    """No part of a message that is data makes the client read a file or an address."""
    read = 0
    with Answering() as metadata, Answering(reply({}, status="404 No")) as server:
        urls = (
            "file:///etc/passwd",
            "/etc/passwd",
            f"{metadata.url}/latest",
            "file://localhost/etc/passwd",
            "\\\\host\\share",
            "~/.ssh/id",
        )
        for provider in ("openai-compatible", "anthropic", "gemini", "ollama"):
            for url in urls:
                content = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
                with suppress(LLMError, ValueError, TypeError):
                    client = LLMClient(f"{provider}/m", base_url=server.url, api_key="k", max_retries=0)
                    client.generate([{"role": "user", "content": content}])
        read += sum(b"root:" in request.body or b"cm9vdDo" in request.body for request in server.requests)
        read += len(metadata.requests)
    yield none_of("read or fetched", read)


@attack("Message.user(images=['/dev/zero'])", memory=600, kill_after=10)
def endless_files() -> Iterator[Figure]:
    """A file is looked at before it is read, and no more of it is read than a part may have."""
    growth = Growth()
    for path in ("/dev/zero", "/dev/urandom", "/proc/self/mem", "/dev/tty", "/etc", "/no/such.png"):
        with suppress(LLMError, ValueError, OSError):
            Message.user("x", images=[path])
    yield at_most("", growth.peak, 100, "MB")


@attack("dump and load of configurations", parallel=True)
def dumps() -> Iterator[Figure]:
    """A configuration with a key is dumped in every way without an error and without the key."""
    wrong = 0
    config = LLMConfig(model="openai/m", api_key="sk-CANARY", default_headers={"X-Api-Key": "sk-CANARY-2"})
    ways: tuple[Callable[[], Any], ...] = (
        config.model_dump_json,
        config.model_dump,
        partial(config.model_dump, mode="json"),
    )
    for dump in ways:
        try:
            text = str(dump())
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            print(repr(error))  # noqa: T201
            wrong += 1
        else:
            wrong += 'sk-CANARY"' in text or "sk-CANARY'" in text
    yield none_of("wrong", wrong)


@attack("trio: the error says what is needed", parallel=True)
def other_loops() -> Iterator[Figure]:
    """An async call without asyncio's loop raises an error that names asyncio."""
    wrong = 0
    with answering_apart(OK) as url:
        call = LLMClient(target("m", url)).agenerate("x")
        try:
            call.send(None)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text counts
            wrong = int("asyncio" not in str(error))
        finally:
            call.close()
    yield none_of("without a hint", wrong)
