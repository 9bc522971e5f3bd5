"""Wrong configuration and input: one sentence says what to do, before anything is sent, and has no key in it."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm.exceptions import ConfigurationError, LLMError, ValidationError

KEY = "sk-CANARY-0123456789abcdef"
# A key in a wrong argument: it may be in our variables, as it is in the caller's, but never in a message.
MISPLACED = "sk-MISPLACED-0123456789abcdef"

# Arguments, and what the message must contain.
WRONG: list[tuple[dict[str, Any], str]] = [
    # No model
    ({}, 'write "provider/model", such as "openai/gpt-5-mini"'),
    ({"config": ""}, 'write "provider/model"'),
    ({"config": "  "}, 'write "provider/model"'),
    ({"config": "openai/"}, 'openai is named without a model: write "openai/model"'),
    ({"config": "openai:"}, "openai is named without a model"),
    ({"config": "openai/ "}, "openai is named without a model"),
    ({"config": "openai/a\nb"}, "not printable"),
    ({"config": "openai/a\u202eb"}, "not printable"),
    ({"config": "openai/a\ud800b"}, "not printable"),
    ({"config": "openai/" + "a" * 10_000, "api_key": KEY}, "long"),
    ({"config": 5}, "A client is made from a model string, an LLMConfig or a mapping, not from int."),
    ({"config": {"model": 5}}, "model must be a string"),
    ({"config": LLMConfig(model="mlx/demo"), "temperature": 1}, "Put temperature into the LLMConfig"),
    # No such provider
    ({"config": "gpt-5-mini"}, "did you mean openai/gpt-5-mini?"),
    ({"config": "claude-haiku-4-5"}, "did you mean anthropic/claude-haiku-4-5?"),
    ({"config": "opnai/gpt-5-mini"}, "did you mean 'openai/gpt-5-mini'?"),
    ({"config": "olama:llama2"}, "did you mean 'ollama:llama2'?"),
    ({"config": "foo/bar"}, "'foo/bar' names no known provider: write"),
    ({"config": "x", "provider": "opnai"}, "'opnai' is no known provider: did you mean 'openai'?"),
    ({"config": "x", "provider": "zzz"}, "known are openai, azure, anthropic"),
    ({"config": "x", "provider": 5}, "provider must be a string"),
    ({"config": "../.."}, "names no known provider"),
    # A key in the wrong place
    ({"config": MISPLACED}, "names no known provider"),
    ({"config": "x", "provider": MISPLACED}, "is no known provider"),
    ({"config": "0123456789CANARY0123456789abcdef"}, "names no known provider"),
    ({"config": "mlx/demo", "fallbacks": [MISPLACED]}, "names no known provider"),
    ({"config": "openai/x", MISPLACED: 1}, "LLMConfig has no field"),
    # No key, or none that could be one
    ({"config": "openai/x"}, "openai/x is not configured: no API key (set OPENAI_API_KEY or pass api_key=)"),
    ({"config": "gemini/x"}, "no API key (set GOOGLE_API_KEY or pass api_key=)"),
    ({"config": "openai/x", "api_key": ""}, "The key from api_key= is empty"),
    ({"config": "openai/x", "api_key": KEY + "\n"}, "white space (perhaps a line break)"),
    ({"config": "openai/x", "api_key": KEY + "\r\nX-Evil: 1"}, "a space or a control character"),
    ({"config": "openai/x", "api_key": f"“{KEY}”"}, "curly quote"),
    ({"config": "openai/x", "api_key": KEY.encode()}, "must be a string, not bytes"),
    ({"config": "openai/x", "api_key": KEY * 500}, "longer than"),
    ({"config": {"model": "openai/x", "api_key": KEY + " "}}, "white space"),
    ({"config": "mlx/demo", "fallbacks": [{"model": "openai/x", "api_key": KEY + "\t"}]}, "white space"),
    # No address, or none that could be one
    ({"config": "openai-compatible/x"}, "no URL (pass base_url= or set OPENAI_COMPATIBLE_BASE_URL)"),
    ({"config": "azure/x", "api_key": KEY}, "no URL (pass base_url= or set AZURE_OPENAI_ENDPOINT)"),
    ({"config": "openai/x", "api_key": KEY, "base_url": "api.example.com"}, "must begin with https://"),
    ({"config": "openai/x", "base_url": f"https://user:{MISPLACED}@h.example"}, "pass the key as api_key="),
    ({"config": "openai/x", "base_url": f"https://h.example?key={MISPLACED}"}, "has a query"),
    ({"config": "openai/x", "base_url": f"https://{MISPLACED}:{MISPLACED}"}, "malformed"),
    ({"config": "openai/x", "base_url": "file:///etc/passwd"}, "must begin with https://"),
    ({"config": "openai/x", "base_url": "http://169.254.169.254"}, "serve credentials"),
    ({"config": "openai/x", "base_url": "http://2130706433"}, "no valid host name"),
    ({"config": "openai/x", "api_key": KEY, "base_url": "http://h.example"}, "use https, or say allow_http=True"),
    # Headers
    ({"config": "mlx/demo", "default_headers": {"Authorization": f"Bearer {MISPLACED}"}}, "pass the key as api_key="),
    ({"config": "mlx/demo", "default_headers": {"x-key": MISPLACED + "\r\nHost: evil"}}, "no plain ASCII text"),
    ({"config": "mlx/demo", "default_headers": {f"x: {MISPLACED}": "v"}}, "no header name"),
    # Fallbacks
    ({"config": "mlx/demo", "fallbacks": "mlx/demo"}, "fallbacks is a list"),
    ({"config": "mlx/demo", "fallbacks": {"model": "mlx/demo"}}, "fallbacks is a list"),
    ({"config": "mlx/demo", "fallbacks": [5]}, "A fallback is a model string, a mapping or an LLMConfig, not int"),
    ({"config": "mlx/demo", "fallbacks": [""]}, 'write "provider/model"'),
    ({"config": "mlx/demo", "fallbacks": [{"modle": "x"}]}, "did you mean 'model'?"),
    # Limits
    ({"config": "mlx/demo", "deadline": 0}, "deadline must be greater than 0 seconds, or None"),
    ({"config": "mlx/demo", "deadline": -1}, "deadline must be greater than 0 seconds"),
    ({"config": "mlx/demo", "deadline": float("nan")}, "deadline must be a finite number of seconds"),
    ({"config": "mlx/demo", "deadline": "soon"}, "deadline must be a number of seconds, not text"),
    ({"config": "mlx/demo", "max_retries": -1}, "max_retries must be at least 0"),
    # A model that is not there
    ({"config": "mlx/no-such-folder"}, "no-such-folder'; and no model of that name in the local Hugging Face"),
]


@pytest.mark.parametrize(("arguments", "expected"), WRONG)
@pytest.mark.case(56, 61, 62, 64)
@pytest.mark.usefixtures("no_keys")
def test_a_mistake_is_reported_in_one_sentence_that_repeats_no_key(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        LLMClient(**arguments)
    message = str(refused.value)
    assert expected in message
    assert "\n" not in message
    assert message[-1] in ".?"
    error: BaseException | None = refused.value
    while error:
        assert "CANARY" not in str(error)
        assert "MISPLACED" not in str(error)
        error = error.__cause__ or error.__context__


def variables(error: Exception) -> str:
    """Return what an error tracker would collect: the variables of the package's own frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in report.stack if "/unified_llm/" in frame.filename]
    assert frames
    return "".join(f"{frame.locals}" for frame in frames)


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("OPENAI_API_KEY", KEY + "\n", "The key from the environment variable OPENAI_API_KEY has white space"),
        ("OPENAI_API_KEY", f"“{KEY}”", "OPENAI_API_KEY has a character outside ASCII"),
        ("OPENAI_API_KEY", " ", "OPENAI_API_KEY is empty"),
        (
            "OPENAI_BASE_URL",
            f"https://u:{MISPLACED}@h.example",
            "The URL from OPENAI_BASE_URL holds a user name or password",
        ),
        ("OPENAI_BASE_URL", MISPLACED, "The URL from OPENAI_BASE_URL must begin with https://"),
        ("UNIFIED_LLM_TIMEOUT", MISPLACED, "UNIFIED_LLM_TIMEOUT: timeout must be a number of seconds"),
    ],
)
@pytest.mark.case(61, 64)
def test_a_mistake_in_the_environment_is_reported_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, expected: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-fine")
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as refused:
        LLMClient("openai/gpt-5-mini")
    assert expected in str(refused.value)
    assert "CANARY" not in str(refused.value)
    assert "MISPLACED" not in str(refused.value)
    if variable == "OPENAI_API_KEY":
        assert "CANARY" not in variables(refused.value)


@each(
    "arguments",
    [
        {"config": "nobody/x", "api_key": KEY},
        {"config": "openai/x", "api_key": KEY, "modle": "x"},
        {"config": "openai/x", "api_key": KEY, "timeout": -1},
        {"config": "openai/x", "api_key": KEY, "base_url": "http://h.example"},
        {"config": "openai/x", "api_key": KEY + "\n"},
        {"config": "openai/x", "api_key": KEY, "deadline": 0},
        {"config": "openai/x", "api_key": KEY, "fallbacks": 5},
    ],
)
@pytest.mark.case(67)
def test_the_key_is_in_no_variable_of_our_calls_when_something_else_is_wrong(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        LLMClient(**arguments)
    assert "CANARY" not in variables(refused.value)


@pytest.mark.parametrize(
    ("overrides", "kind", "expected"),
    [
        ({"temprature": 1}, ValidationError, "did you mean 'temperature'"),
        ({"max_tokens": 0}, ValidationError, "max_tokens must be"),
        ({"timeout": 0}, ValidationError, "timeout must be greater than 0"),
        ({"timeout": "CANARY"}, ValidationError, "timeout must be a number of seconds, not text"),
        ({"timeout": float("nan")}, ValidationError, "timeout must be a finite number of seconds"),
        ({"deadline": 0}, LLMError, "deadline must be greater than 0"),
        ({"deadline": -1}, LLMError, "deadline must be greater than 0"),
        ({"model": ""}, LLMError, "model= is empty"),
        ({"model": "x\ny"}, LLMError, "not printable"),
        ({"model": "openai/gpt-5-mini"}, ConfigurationError, "which the call names, is not configured: no API key"),
        ({"model": MISPLACED}, ConfigurationError, "There is no such folder"),
    ],
)
@pytest.mark.case(62)
@pytest.mark.usefixtures("no_keys")
def test_a_mistake_in_a_call_is_reported_before_anything_is_sent(
    overrides: dict[str, Any], kind: type[LLMError], expected: str
) -> None:
    targets = ScriptedTargets({})
    with targets.running():
        client = LLMClient("mlx/demo")
        for call in (client.generate, client.stream, client.astream):
            with pytest.raises(kind, match=expected) as refused:
                call("CANARY", **overrides)
            assert "CANARY" not in str(refused.value)
        with pytest.raises(kind, match=expected):
            asyncio.run(client.agenerate("CANARY", **overrides))
    assert targets.asked == []


def test_a_call_without_any_model_says_so() -> None:
    targets = ScriptedTargets({})
    with targets.running(), pytest.raises(ValidationError, match=r"Name the model: pass model="):
        LLMClient(provider="ollama").generate("Hello")
    assert targets.asked == []


@pytest.mark.parametrize("prompt", ["\ud800", [{"role": "user", "content": "CANARY\udfff"}]])
@pytest.mark.case(63)
def test_a_prompt_that_no_request_can_carry_is_reported_before_anything_is_sent(prompt: Any) -> None:
    """Sockets are forbidden in tests: a connection would fail with another error."""
    client = LLMClient("openai/gpt-5-mini", api_key=KEY)
    with pytest.raises(ValidationError, match="lone surrogate") as refused:
        client.generate(prompt)
    assert "CANARY" not in str(refused.value)
    with pytest.raises(ValidationError, match="lone surrogate"):
        asyncio.run(client.agenerate(prompt))


@each("value", [float("nan"), {1, 2}, b"CANARY", object()])
@pytest.mark.case(63)
def test_neither_can_a_body_hold_what_is_no_json(value: Any) -> None:
    client = LLMClient("openai/gpt-5-mini", api_key=KEY)
    with pytest.raises(ValidationError, match="JSON") as refused:
        client.generate("Hello", extra_body={"x": value})
    assert "CANARY" not in str(refused.value)


@pytest.mark.usefixtures("no_keys")
def test_keys_of_fallbacks_given_as_mappings_are_not_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    client = LLMClient("openai/x", api_key=KEY, fallbacks=[{"model": "anthropic/y", "api_key": KEY}])
    assert "CANARY" not in repr(vars(client))
    data = pickle.dumps(client)
    assert b"CANARY" not in data
    message = r"openai/x: no API key, which was left out of the pickle \(set OPENAI_API_KEY in this process, or pass"
    with pytest.raises(ConfigurationError, match=message):
        pickle.loads(data)  # noqa: S301 - our own
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-CANARY-2")
    loaded = pickle.loads(data)  # noqa: S301
    assert [target.key.reveal() for target in loaded.targets] == ["sk-CANARY-1", "sk-CANARY-2"]


def test_a_process_wide_default_that_makes_no_sense_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="greater than 0 seconds"):
        configure(timeout=0)
