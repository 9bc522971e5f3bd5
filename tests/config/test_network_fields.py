"""``proxy=``, ``client_cert=`` and ``verify_ssl=``: what they take, what they refuse, and what shows of them."""

from __future__ import annotations

import copy
import json
import pickle
import ssl
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import httpx
import pytest
import truststore
from pydantic import SecretStr

from tests.support.canary_checks import own_frames
from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm._backends.http import proxies_and_certificates
from unified_llm._backends.http.proxies_and_certificates import load_ssl_context
from unified_llm._config import network
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.hidden import Hidden
from unified_llm._core.proxy import Proxy
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError, UnconfiguredError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

SUPPORT = Path(__file__).parents[1] / "support"
BOTH = str(SUPPORT / "localhost.pem")
ENCRYPTED, OTHER = str(SUPPORT / "encrypted_key.pem"), str(SUPPORT / "other_key.pem")
PASSWORD = "CANARY-password"
WITH_PASSWORD = (BOTH, ENCRYPTED, PASSWORD)
PROXY = "http://user:CANARY@proxy.test:3128"
TARGET: dict[str, Any] = {"model": "openai/gpt-4o", "api_key": "sk-test-networks"}


def target_of(surface: Callable[..., Any], **fields: Any) -> Target:
    made = surface(**{**TARGET, **fields})
    target: Target = getattr(made, "client", made).targets[0]
    return target


# Proxies


@each(
    "given, url",
    (
        ("http://proxy.test:3128", "http://proxy.test:3128"),
        ("proxy.test:3128", "http://proxy.test:3128"),
        ("HTTPS://proxy.test", "https://proxy.test:443"),
        ("http://proxy.test/", "http://proxy.test:80"),
        ("socks5h://[::1]:9050", "socks5://[::1]:9050"),
        ("http://me:p@ss%2Fw\u00f6rd@proxy.test:1", "http://me:p%40ss%2Fw%C3%B6rd@proxy.test:1"),
        (httpx.URL(PROXY), PROXY),
        (httpx.Proxy("http://proxy.test:3128", auth=("user", "CANARY")), PROXY),
        (SecretStr(PROXY), PROXY),
    ),
)
def test_a_proxy_is_a_url_of_any_kind(given: Any, url: str) -> None:
    proxy = LLMConfig(proxy=given).proxy
    assert isinstance(proxy, Proxy)
    assert proxy.url.value == url


def test_headers_of_an_httpx_proxy_are_kept_and_hidden() -> None:
    given: Any = httpx.Proxy("http://proxy.test", headers={"Proxy-Authorization": "CANARY"})
    proxy = LLMConfig(proxy=given).proxy
    assert isinstance(proxy, Proxy)
    assert proxy.headers.value == (("proxy-authorization", "CANARY"),)
    assert "CANARY" not in repr(proxy)


@each("given", (False, ""))
def test_no_proxy_is_another_thing_than_that_of_the_environment(given: Any) -> None:
    assert LLMConfig(proxy=given).proxy is False
    assert LLMConfig().proxy is None
    assert target_of(LLMClient, proxy=given).proxy is False


@each(
    "given, words",
    (
        ("ftp://u:CANARY@proxy.test", "must begin with http://, https:// or socks5://"),
        ("http://u:CANARY#x@proxy.test:3128", "percent-encoded (%23 for #)"),
        ("http://u:CANARY/x@proxy.test:3128", "percent-encoded"),
        ("http://proxy.test:3128/CANARY", "more than a host and a port"),
        ("http://proxy.test:CANARY", "no valid port"),
        ("http://proxy.test:0", "no valid port"),
        ("http://CANARY proxy.test", "white space"),
        ("http://", "no valid host name"),
        (True, "not bool"),
        (3128, "not int"),
        ({"https://": PROXY}, "one URL for this target, not one for each scheme"),
        (
            httpx.Proxy("https://proxy.test", ssl_context=ssl.create_default_context()),
            "pass the context as verify_ssl=",
        ),
    ),
)
def test_what_is_no_proxy_is_refused_without_its_password(given: Any, words: str) -> None:
    for surface in (LLMConfig, ChatUnified, UnifiedEmbedding):
        with pytest.raises(ConfigurationError) as caught:
            surface(**TARGET, proxy=given)
        assert words in str(caught.value)
        assert "CANARY" not in str(caught.value)


# Surfaces

SURFACES = (LLMClient, ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding)


@each("surface", SURFACES)
def test_every_surface_passes_them_to_its_target(surface: Callable[..., Any]) -> None:
    target = target_of(surface, proxy=PROXY, client_cert=WITH_PASSWORD, verify_ssl="system", connect_timeout=2)
    assert target.proxy == Proxy(PROXY)
    assert target.client_certificate == ClientCertificate(BOTH, ENCRYPTED, Hidden(PASSWORD))
    assert (target.verify, target.timing.connect) == ("system", 2.0)


@each("surface", (ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding))
def test_a_field_that_is_set_later_holds_from_then_on(surface: Callable[..., Any]) -> None:
    model = surface(**TARGET)
    model.proxy, model.client_cert = PROXY, PurePath(BOTH)
    assert model.client.targets[0].proxy == Proxy(PROXY)
    assert model.client.targets[0].client_certificate == ClientCertificate(BOTH)
    model.proxy = False
    assert model.client.targets[0].proxy is False
    with pytest.raises(ConfigurationError, match="no valid port"):
        model.proxy = "http://proxy.test:CANARY"


def test_a_fallback_of_the_same_deployment_inherits_them_and_another_model_does_not() -> None:
    fallbacks: list[Any] = [
        {"base_url": "https://other.example/v1"},
        "openai/gpt-4o-mini",
        {"model": "openai/o3", "proxy": "p:1"},
    ]
    client = LLMClient(**TARGET, proxy=PROXY, client_cert=BOTH, fallbacks=fallbacks)
    assert [target.proxy and str(target.proxy) for target in client.targets[:2]] == ["http://***@proxy.test:3128"] * 2
    assert client.targets[1].client_certificate == ClientCertificate(BOTH)
    assert (client.targets[2].proxy, client.targets[2].client_certificate) == (None, None)
    assert client.targets[3].proxy == Proxy("http://p:1")


def test_a_proxy_of_the_process_is_for_https_to_public_hosts_as_that_of_the_environment() -> None:
    configure(proxy=PROXY, providers={"vllm": {"proxy": "http://cluster.test:1"}})
    urls = ("https://a.example/v1", "https://localhost/v1", "http://127.0.0.1:1/v1", "http://box.internal:1/v1")
    fields: Any = {"model": "openai-compatible/m", "api_key": "sk-test-networks", "allow_http": True}
    configs: list[Any] = [{**fields, "base_url": url} for url in urls]
    configs += [{**configs[2], "proxy": "http://127.0.0.1:1"}, {**configs[2], "model": "vllm/m"}]
    proxies = [LLMClient(config).targets[0].proxy for config in configs]
    assert proxies == [Proxy(PROXY), None, None, None, Proxy("http://127.0.0.1:1"), Proxy("http://cluster.test:1")]
    assert LLMClient(configs[0], proxy=False).targets[0].proxy is False


# What shows of them


@each("surface", (LLMConfig, ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding))
def test_no_repr_dump_or_pickle_has_a_password(surface: Callable[..., Any]) -> None:
    made = surface(**TARGET, proxy=PROXY, client_cert=WITH_PASSWORD)
    pickled = pickle.dumps(made)
    shown = [repr(made), str(made), repr(vars(made)), repr(made.model_dump()), made.model_dump_json(), repr(pickled)]
    assert [text for text in shown if "CANARY" in text] == []
    copied = copy.deepcopy(made)
    assert (copied.proxy, copied.client_cert) == (made.proxy, made.client_cert)
    loaded = pickle.loads(pickled)  # noqa: S301
    assert str(loaded.proxy) == "http://***@proxy.test:3128"
    assert loaded.proxy.url.value == "http://proxy.test:3128"


@each("surface", (LLMConfig, LLMClient, ChatUnified, UnifiedEmbedding))
def test_no_variable_of_ours_shows_a_password_where_a_field_is_refused(surface: Callable[..., Any]) -> None:
    wrong: list[dict[str, Any]] = [
        {"proxy": "ftp://u:CANARY@proxy.test"}, {"proxy": "http://u:CANARY@bad host"}, {"proxy": PROXY, "timeout": -1},
        {"client_cert": WITH_PASSWORD, "timeout": -1}, {"fallbacks": [{"model": "openai/o3", "proxy": "x://CANARY"}]},
    ]  # fmt: skip
    for fields in wrong:
        with pytest.raises(ConfigurationError) as caught:
            surface(**{**TARGET, **fields})
        shown = [f"{frame.filename}:{frame.lineno} {frame.locals}" for frame in own_frames(caught.value)]
        assert [text for text in shown if "CANARY" in text] == []


def test_a_configuration_of_a_dump_says_what_was_left_out() -> None:
    config = LLMConfig(model="ollama/m", proxy=PROXY, client_cert=WITH_PASSWORD)
    dumped = json.loads(config.model_dump_json(exclude_unset=True))
    assert dumped["proxy"] == "http://***@proxy.test:3128"
    assert dumped["client_cert"] == [BOTH, ENCRYPTED, "left out of the dump"]
    for loaded in (LLMConfig(**dumped), pickle.loads(pickle.dumps(config))):  # noqa: S301
        assert isinstance(loaded.proxy, Proxy)
        assert loaded.proxy.left_out
        with pytest.raises(ConfigurationError, match="needs a password, which was left out of a pickle or dump: write"):
            LLMClient(loaded.model_copy(update={"base_url": "https://a.example/v1", "model": "openai-compatible/m"}))
    assert LLMConfig(**config.model_dump(exclude_unset=True)) == config
    assert json.loads(LLMConfig(client_cert=BOTH, proxy=False).model_dump_json())["client_cert"] == BOTH


# Client certificates


@each(
    "given, words",
    (
        ("/nowhere/client.pem", "/nowhere/client.pem cannot be read (No such file or directory)"),
        (OTHER, "has no certificate"),
        ((BOTH, OTHER), "other_key.pem is not that of the certificate in"),
        ((BOTH, ENCRYPTED), "needs a password: write client_cert=(certificate, key, password)"),
        ((BOTH, ENCRYPTED, "CANARY"), "the password is not that of the key in"),
        (str(SUPPORT / "each.py"), "convert it to PEM"),
        (str(SUPPORT), "it is a directory, no regular file"),
        ((BOTH, "/dev/zero"), "/dev/zero cannot be read (it is a device or a pipe, no regular file)"),
    ),
)
def test_a_certificate_that_cannot_be_used_is_refused_when_the_client_is_made(given: Any, words: str) -> None:
    for surface in (LLMClient, UnifiedLLM):
        with pytest.raises(ConfigurationError) as caught:
            surface(**TARGET, client_cert=given)
        assert str(caught.value).startswith("client_cert= cannot be used: ")
        assert words in str(caught.value)
        assert "CANARY" not in str(caught.value)


def test_a_certificate_without_a_key_needs_another_file(tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    text = Path(BOTH).read_text()
    certificate.write_text(text[text.index("-----BEGIN CERTIFICATE") :])
    with pytest.raises(ConfigurationError, match=r"has no private key; .* write client_cert=\(certificate, key\)"):
        LLMClient(**TARGET, client_cert=certificate)
    assert target_of(LLMClient, client_cert=(certificate, BOTH)).client_certificate is not None


@each(
    "given",
    (
        5,
        True,
        b"x",
        (),
        ("a",),
        ("a", "b", "c", "d"),
        {"cert": "a"},
        ("a", 5),
        "",
        "-----BEGIN CERTIFICATE-----\nCANARY",
    ),
)
def test_what_is_no_certificate_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^client_cert= (must be the path|takes paths)") as caught:
        LLMConfig(client_cert=given)
    assert "CANARY" not in str(caught.value)


def test_a_gateway_that_is_shown_a_certificate_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-networks")
    client = LLMClient("openai/gpt-4o", base_url="https://gateway.example/v1", client_cert=BOTH)
    assert client.targets[0].key is None
    assert LLMClient("openai/gpt-4o", client_cert=BOTH).targets[0].key is not None


def test_paths_may_begin_with_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config = LLMConfig(client_cert=("~/client.pem", Path("~/client.key")), verify_ssl="~/ca.pem")
    assert config.client_cert == ClientCertificate("/home/me/client.pem", "/home/me/client.key")
    assert config.verify_ssl == "/home/me/ca.pem"


def test_a_context_of_the_users_own_takes_no_certificate() -> None:
    with pytest.raises(ConfigurationError, match=r"load the certificate into the context with its load_cert_chain\(\)"):
        LLMClient(**TARGET, client_cert=BOTH, verify_ssl=ssl.create_default_context())


# The certificates of the operating system


def test_a_context_of_the_users_own_goes_before_a_certificate_for_all() -> None:
    own = ssl.create_default_context()
    configure(client_cert=BOTH)
    target = LLMClient(**TARGET, verify_ssl=own).targets[0]
    assert (target.verify, target.client_certificate) == (own, None)
    configure(client_cert=None)
    client = LLMClient(**TARGET, client_cert=BOTH, fallbacks=[{"base_url": "https://b.example", "verify_ssl": own}])
    assert client.targets[1].client_certificate is None


def test_the_system_decides_where_it_is_named() -> None:
    context = load_ssl_context("system")
    assert load_ssl_context("system") is context
    assert load_ssl_context("system", ClientCertificate(BOTH)) is not context
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_it_is_asked_where_its_certificates_are_no_file_that_can_be_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(proxies_and_certificates, "_contexts", {})
    monkeypatch.setattr(proxies_and_certificates, "_system_file", lambda: None)
    assert type(load_ssl_context("system")) is truststore.SSLContext
    monkeypatch.setattr(proxies_and_certificates, "_system_file", lambda: BOTH)
    monkeypatch.setenv("SSL_CERT_FILE", BOTH)  # which OpenSSL takes for the system's
    assert type(context := load_ssl_context("system")) is ssl.SSLContext
    assert len(context.get_ca_certs()) == 1


def test_a_file_named_system_is_written_with_its_folder() -> None:
    assert LLMConfig(verify_ssl=Path("system")).verify_ssl == "./system"
    assert LLMConfig(verify_ssl="./system").verify_ssl == "./system"
    for given, words in (("", "verify_ssl= is empty"), ("-----BEGIN CERTIFICATE-----\nx", "not its contents")):
        with pytest.raises(ConfigurationError, match=words):
            LLMConfig(verify_ssl=given)


@each(
    "fields, words",
    (
        ({"verify_ssl": "system"}, r"pip install 'unified-llm\[system-certs\]'"),
        ({"proxy": "socks5://p:1"}, r"pip install 'httpx\[socks\]'"),
    ),
)
def test_a_missing_package_is_named_when_the_client_is_made(
    fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "find_spec", lambda _: None)
    with pytest.raises(UnconfiguredError, match=words):
        LLMClient(**TARGET, **fields)
    client = LLMClient(**TARGET, **fields, fallbacks=["mlx/demo"], skip_unconfigured=True)
    assert len(client.targets) == 1


# Plain HTTP, health and accounts


@each(
    "url, proxy, fine",
    (
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:3128", True),
        ("http://127.0.0.1:8000/v1", "http://proxy.test:3128", False),
        ("http://box.internal:8000/v1", "http://10.0.0.1:3128", False),
        ("https://api.example/v1", "http://proxy.test:3128", True),
    ),
)
def test_a_key_in_plain_http_passes_no_proxy_on_another_machine(url: str, proxy: str, *, fine: bool) -> None:
    fields: Any = {"model": "openai-compatible/m", "api_key": "sk-test-networks", "base_url": url, "proxy": proxy}
    if not fine:
        with pytest.raises(ConfigurationError, match=r"could be read on the way, and by the proxy: .* allow_http=True"):
            LLMClient(**fields)
        fields["allow_http"] = True
    assert LLMClient(**fields).targets


def test_a_proxy_has_its_own_health_and_a_certificate_its_own_account() -> None:
    direct, through, again = (target_of(LLMClient, proxy=proxy) for proxy in (None, PROXY, "http://proxy.test:3128"))
    assert direct.health_key != through.health_key == again.health_key
    assert direct.limit_key == through.limit_key
    assert "CANARY" not in repr(through.health_key)
    assert target_of(LLMClient, client_cert=BOTH).account != direct.account


def test_arguments_of_other_libraries_lead_to_ours() -> None:
    ours = {"proxies": "proxy=", "openai_proxy": "proxy=", "cert": "client_cert=", "verify": "verify_ssl="}
    for name, written in ours.items():
        with pytest.raises(ConfigurationError, match=f"{name}.*write {written}"):
            LLMConfig(**dict[str, Any]({name: "x"}))
