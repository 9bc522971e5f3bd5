"""Base URLs: normalisation, refusals, loopback and private hosts, plain http."""

from __future__ import annotations

import pytest

from tests.support.each import each
from unified_llm._core import base_url
from unified_llm.exceptions import ConfigurationError

SOURCE = "base_url="


def refusal(text: str, source: str = SOURCE) -> str:
    with pytest.raises(ConfigurationError) as refused:
        base_url.normalise(text, source=source, version="/v1")
    assert refused.value.__context__ is None
    return str(refused.value)


@each(
    ("text", "normal"),
    [
        ("https://api.example.com", "https://api.example.com/v1"),
        ("https://api.example.com/", "https://api.example.com/v1"),
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("https://api.example.com/v1///", "https://api.example.com/v1"),
        ("https://api.example.com/openai/v1beta/x", "https://api.example.com/openai/v1beta/x"),
        ("https://api.example.com/proxy", "https://api.example.com/proxy/v1"),
        ("HTTPS://API.Example.COM/Proxy", "https://api.example.com/Proxy/v1"),
        ("https://api.example.com:8443/v2", "https://api.example.com:8443/v2"),
        ("https://api.example.com:/v1", "https://api.example.com/v1"),
        ("http://[::1]:8000/", "http://[::1]:8000/v1"),
        ("http://[FD00::12]/v1", "http://[fd00::12]/v1"),
        ("http://my_server.local", "http://my_server.local/v1"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("https://h/a;b/@c", "https://h/a;b/@c/v1"),
        ("https://metadata.example.com", "https://metadata.example.com/v1"),
        ("https://h/a%2Fb%20c", "https://h/a%2Fb%20c/v1"),
        ("http://[2001:db8::a9fe:a9fe]", "http://[2001:db8::a9fe:a9fe]/v1"),
    ],
)
@pytest.mark.case(14)
def test_a_url_ends_in_the_version_path_once(text: str, normal: str) -> None:
    assert base_url.normalise(text, source=SOURCE, version="/v1") == normal
    assert base_url.normalise(normal, source=SOURCE, version="/v1") == normal


def test_without_a_version_path_none_is_added() -> None:
    assert base_url.normalise("https://api.example.com/", source=SOURCE) == "https://api.example.com"


@each(
    ("text", "normal"),
    [
        ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("http://[::]:11434", "http://[::1]:11434"),
        ("http://0.0.0.0", "http://127.0.0.1"),
    ],
)
def test_the_address_that_servers_listen_on_means_this_machine(text: str, normal: str) -> None:
    assert base_url.normalise(text, source=SOURCE) == normal
    assert base_url.is_loopback(normal)


# Cases 14 and 64 of reliability.md, and attacks on other clients.
BAD = [
    ("", "must begin with https://"),
    ("   ", "white space"),
    ("api.example.com", "must begin with https://"),
    ("localhost:11434", "must begin with https://"),
    ("//api.example.com", "must begin with https://"),
    ("file:///etc/passwd", "must begin with https://"),
    ("gopher://example.com", "must begin with https://"),
    ("javascript:alert(1)", "must begin with https://"),
    ("https://", "no valid host"),
    ("https:///v1", "no valid host"),
    ("https://api.openai.com@evil.example", "user name or password"),
    ("https://user:CANARY@example.com", "user name or password"),
    ("https://@example.com", "user name or password"),
    ("https://example.com/?key=CANARY", "query or a fragment"),
    ("https://example.com/v1?", "query or a fragment"),
    ("https://example.com/#CANARY", "query or a fragment"),
    ("https://example.com ", "white space"),
    ("https://example.com/ v1", "white space"),
    ("https://exam ple.com", "white space"),
    ("https://example.com\n", "white space"),
    ("https://example.com/\r\nX-Evil: 1", "white space"),
    ("https://example.com\\@evil.example/", "backslash"),
    ("https://\u0435xample.com", "outside ASCII"),
    ("https://[::1", "malformed"),
    ("https://user:CANARY", "malformed"),
    ("https://[::1]:99999", "malformed"),
    ("https://example.com:0", "host name or port"),
    ("https://example..com", "no valid host"),
    ("https://.example.com", "no valid host"),
    ("https://-example", "no valid host"),
    ("https://exa;mple", "no valid host"),
    ("https://" + "a" * 64 + ".com", "no valid host"),
    ("http://2130706433", "no valid host"),
    ("http://0x7f000001", "no valid host"),
    ("http://0x7f.1", "no valid host"),
    ("http://127.1", "no valid host"),
    ("http://0177.0.0.1", "no valid host"),
    ("http://169.254.169.254.", "no valid host"),
    ("http://169.254.169.254/latest/meta-data", "serve credentials"),
    ("https://169.254.170.2", "serve credentials"),
    ("https://[::ffff:169.254.169.254]", "serve credentials"),
    ("https://[::ffff:a9fe:a9fe]", "serve credentials"),
    ("http://[fe80::1%25eth0]", "serve credentials"),
    ("https://[fd00:ec2::254]", "serve credentials"),
    ("https://[FD00:EC2:0::254]", "serve credentials"),
    ("http://metadata.google.internal", "serve credentials"),
    ("http://METADATA.google.internal.", "serve credentials"),
    ("https://100.100.100.200", "serve credentials"),
    ("http://instance-data", "serve credentials"),
    ("http://instance-data.ec2.internal", "serve credentials"),
    ("http://INSTANCE-DATA.ec2.internal./latest", "serve credentials"),
    ("http://metadata", "serve credentials"),
    ("http://metadata.", "serve credentials"),
    ("http://metadata.c.my-project.internal:80", "serve credentials"),
    ("https://metadata.goog", "serve credentials"),
    ("https://metadata.tencentyun.com", "serve credentials"),
    ("http://[fd20:ce::254]", "serve credentials"),
    ("http://[FD20:00CE:0:0::254]:80", "serve credentials"),
    ("http://[fd20:ce::254%25eth0]", "serve credentials"),
    ("http://[fd00:ec2::254%eth0]", "serve credentials"),
    ("https://192.0.0.192", "serve credentials"),
    ("http://168.63.129.16", "serve credentials"),
    ("http://[::a9fe:a9fe]", "serve credentials"),
    ("http://[::ffff:168.63.129.16]", "serve credentials"),
    ("http://[::ffff:6464:64c8]", "serve credentials"),
    ("http://[64:ff9b::169.254.169.254]", "serve credentials"),
    ("http://[64:ff9b::a9fe:aa02]", "serve credentials"),
    ("http://[64:ff9b:1::a9fe:a9fe]", "serve credentials"),
    ("http://[2002:a9fe:a9fe::1]", "serve credentials"),
    ("http://2852039166", "no valid host"),
    ("http://0xa9fea9fe", "no valid host"),
    ("http://0xa9.0xfe.0xa9.0xfe", "no valid host"),
    ("http://0251.0376.0251.0376", "no valid host"),
    ("http://169.254.43518", "no valid host"),
    ("http://169.16689662", "no valid host"),
    ("https://224.0.0.1", "many machines share"),
    ("https://example.com/v1/../admin", "in its path"),
    ("https://example.com/%2e%2e/admin", "in its path"),
    ("https://example.com/%2E./admin", "in its path"),
    ("https://example.com/a%2f..%2fadmin", "in its path"),
    ("https://example.com/./v1", "in its path"),
    ("https://example.com/%252e%252e/admin", "in its path"),
    ("https://example.com/..;/admin", "in its path"),
    ("https://example.com/a%5c..%5cadmin", "a backslash"),
    ("https://example.com/a%0d%0aX: y", "white space"),
    ("https://example.com/a%0d%0aX", "not printable"),
    ("https://example.com/a%00", "not printable"),
    ("https://example.com/v1/chat/completions", "ends in /chat/completions: leave that off"),
    ("https://example.com/v1/embeddings/", "ends in /embeddings"),
    ("https://example.com/v1/messages", "ends in /messages"),
]


@each(("text", "expected"), BAD)
@pytest.mark.case(14, 64)
def test_a_bad_url_is_refused_in_a_sentence_that_does_not_repeat_it(text: str, expected: str) -> None:
    message = refusal(text)
    assert expected in message
    assert message.startswith("The URL from base_url= ")
    assert message.endswith(".")
    assert "CANARY" not in message
    assert "evil" not in message


def test_the_message_names_the_variable_that_a_bad_url_came_from() -> None:
    assert refusal("x", "OLLAMA_HOST").startswith("The URL from OLLAMA_HOST must begin")


@each(
    ("text", "loopback", "private"),
    [
        ("http://localhost:1", True, True),
        ("http://LOCALHOST", True, True),
        ("http://models.localhost", True, True),
        ("http://127.0.0.1", True, True),
        ("http://127.8.9.1", True, True),
        ("http://[::1]", True, True),
        ("http://[::ffff:127.0.0.1]", True, True),
        ("http://10.1.2.3", False, True),
        ("http://172.16.0.1", False, True),
        ("http://192.168.1.10:11434", False, True),
        ("http://[fd12::1]", False, True),
        ("http://[::ffff:10.0.0.1]", False, True),
        ("http://ollama:11434", False, True),
        ("http://ollama.", False, True),
        ("http://mac.local", False, True),
        ("http://ollama.default.svc", False, True),
        ("http://ollama.default.svc.cluster.local", False, True),
        ("http://box.home.arpa", False, True),
        ("http://box.internal.", False, True),
        ("http://api.openai.com", False, False),
        ("http://8.8.8.8", False, False),
        ("http://[2001:4860:4860::8888]", False, False),
        ("http://notlocal", False, True),
        ("http://localhost.example.com", False, False),
        ("http://internal.example.com", False, False),
        ("http://evil-local", False, True),
        ("http://172.32.0.1", False, False),
        ("http://[::ffff:8.8.8.8]", False, False),
    ],
)
def test_hosts_are_judged_as_they_are_written(text: str, loopback: bool, private: bool) -> None:  # noqa: FBT001
    assert base_url.is_loopback(text) is loopback
    assert base_url.is_private(text) is private


def test_no_host_is_no_private_host_of_anybody() -> None:
    assert base_url.host_of("") == ""
    assert not base_url.is_loopback("")


@each(
    ("text", "own"),
    [
        ("https://api.openai.com/v1", True),
        ("https://API.OPENAI.COM:443", True),
        ("https://api.openai.com.", True),
        ("https://eu.api.openai.com", True),
        ("https://api.openai.com.evil.example", False),
        ("https://xapi.openai.com", False),
        ("https://api-openai.com", False),
        ("https://openai.com", False),
        ("https://evil.example/api.openai.com", False),
    ],
)
def test_a_host_matches_by_whole_labels(text: str, own: bool) -> None:  # noqa: FBT001
    assert base_url.matches(text, ("api.openai.com", "*.api.openai.com")) is own


def test_no_pattern_matches_nothing() -> None:
    assert not base_url.matches("https://api.openai.com", ())


@each(
    ("text", "key_travels", "allow_http", "fine"),
    [
        ("https://api.example.com", True, False, True),
        ("http://127.0.0.1", True, False, True),
        ("http://localhost:1", True, False, True),
        ("http://192.168.1.10", False, False, True),
        ("http://192.168.1.10", True, False, False),
        ("http://192.168.1.10", True, True, True),
        ("http://ollama:11434", False, False, True),
        ("http://ollama:11434", True, False, False),
        ("http://api.example.com", False, False, False),
        ("http://api.example.com", True, False, False),
        ("http://api.example.com", True, True, True),
    ],
)
def test_plain_http_goes_no_further_than_it_may(text: str, *, key_travels: bool, allow_http: bool, fine: bool) -> None:
    if fine:
        base_url.check_plaintext(text, key_travels=key_travels, allow_http=allow_http, source=SOURCE)
        return
    with pytest.raises(ConfigurationError, match="the key could" if key_travels else "every prompt could") as refused:
        base_url.check_plaintext(text, key_travels=key_travels, allow_http=allow_http, source="OPENAI_BASE_URL")
    assert "OPENAI_BASE_URL" in str(refused.value)
    assert "allow_http=True" in str(refused.value)
