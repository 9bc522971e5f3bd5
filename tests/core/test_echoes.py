"""Keys in what a server says are masked before it is stored."""

from __future__ import annotations

import base64
import html
import json
from typing import Any
from urllib.parse import quote

from tests.support.each import each
from unified_llm._core.api_key import Secret
from unified_llm._core.echoes import mask_echoes
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.redaction import Headers, SentKeys, keys_of_object, mask
from unified_llm.types import LLMResponse, ModelInfo, VideoJob

KEY = "sk-key/with+signs-7f3a9c"


@each(
    "echo",
    [
        KEY,
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        html.escape(KEY),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
    ],
)
@each("around", ["{}", "Bearer {}.", "invalid_{}", '{{"key": "{}"}}', "key%3D{}&", "%20{}", "\\n{}\\n"])
def test_a_key_is_masked_however_it_is_repeated(echo: str, around: str) -> None:
    assert mask(around.format(echo), [KEY]) == around.format("***")


def test_a_key_in_a_longer_word_is_not_masked() -> None:
    assert mask("mypassword1 password12", ["password1"]) == "mypassword1 password12"
    assert mask("the password1.", ["password1"]) == "the ***."


def test_short_keys_are_no_secrets() -> None:
    assert mask("EMPTY none sk-1234", ["EMPTY", "none", "sk-1234"]) == "EMPTY none sk-1234"


def test_the_beginning_of_a_key_is_masked_where_a_message_was_cut() -> None:
    assert mask(f"refused: {KEY[:12]}", [KEY]) == "refused: ***"
    assert mask(f"refused: {KEY[:7]}", [KEY]) == f"refused: {KEY[:7]}"
    assert mask("refused: sk-key/...a9c", [KEY]) == "refused: sk-key/...a9c"


def test_what_contains_no_key_is_the_same_object() -> None:
    failure = Failure("server", 500, "overloaded", "Try again.", "req-1", {"retry-after": "1"})
    assert mask_echoes(failure, SentKeys(Secret(KEY, "x"), [])) is failure


@each(
    ("headers", "url", "bodies", "secret"),
    [
        ({"x-api-key": "key-in-header"}, "", (), "key-in-header"),
        ({"authorization": "Bearer token-of-header"}, "", (), "token-of-header"),
        ({"proxy-auth": "Basic " + base64.b64encode(b"me:password-of-me").decode()}, "", (), "password-of-me"),
        ({"cookie": "a=b; session=value-of-cookie"}, "", (), "value-of-cookie"),
        ({}, "https://h.test/v1?key=key-in-query&a=b", (), "key-in-query"),
        ({}, "", ({"metadata": [{"api_key": "key-in-body"}]},), "key-in-body"),
    ],
)
def test_every_key_of_a_request_is_masked(
    headers: dict[str, str], url: str, bodies: tuple[dict[str, Any], ...], secret: str
) -> None:
    sent = SentKeys(None, [*headers.items()], url, *bodies)
    assert sent.mask(f"got {secret}!") == "got ***!"
    assert secret not in repr(sent)


def test_metadata_of_a_response_is_masked_and_its_text_is_not() -> None:
    sent = SentKeys(Secret(KEY, "x"), [])
    done = mask_echoes(Done(LLMResponse(KEY, model=KEY, response_id=KEY), KEY, {"x-ratelimit-a": KEY}), sent)
    assert (done.value.content, done.value.model, done.value.response_id) == (KEY, "***", "***")
    assert (done.request_id, done.headers) == ("***", {"x-ratelimit-a": "***"})
    job = mask_echoes(Done(VideoJob("v", "failed", error=KEY, detail=f"No {KEY}.")), sent).value
    assert (job.error, job.detail) == ("***", "No ***.")
    models = mask_echoes(Done(([ModelInfo(KEY, "p"), ModelInfo("m", "p", owned_by=KEY)], None)), sent)
    assert models.value == ([ModelInfo("***", "p"), ModelInfo("m", "p", owned_by="***")], None)


def test_the_keys_of_an_object_are_those_of_its_attributes() -> None:
    class Model:
        def __init__(self) -> None:
            self.api_key, self.name = "key-of-object", "name-of-object"

    assert keys_of_object(Model()).mask("key-of-object name-of-object") == "*** name-of-object"
    assert keys_of_object(object()).mask("key") == "key"


def test_headers_show_no_key() -> None:
    assert repr(Headers({"X-Api-Key": "secret", "X-Tenant": "1"})) == "{'X-Api-Key': '***', 'X-Tenant': '1'}"
