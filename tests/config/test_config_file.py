"""The configuration file: where it is looked for, what it may hold, and what its errors name."""

from __future__ import annotations

import json
import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.process_state import reset_process_state
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm._backends.mlx import demo_folder
from unified_llm._config import config_file, process_settings
from unified_llm._config.file_sections import _has_secret
from unified_llm._config.settings_report import file_places
from unified_llm._core.defaults import default
from unified_llm._lib.located_yaml import parse_yaml
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

FILE = """\
# Settings of every target
defaults:
  timeout: 20
  temperature: 0.2
  error_details: true
providers:
  openai:
    base_url: https://gateway.example
    api_key: sk-CANARY-of-the-file
profiles:
  production:
    model: openai/gpt-5-mini
    max_tokens: 100
    fallbacks:
      - "@local"
      - model: anthropic/claude-haiku-4-5
        timeout: 5
  local:
    model: ollama/llama3.2
    temperature: 0
  fast:
    model: "@production"
    timeout: 3
"""
CHAIN = ["openai/gpt-5-mini", "ollama/llama3.2", "anthropic/claude-haiku-4-5"]


@pytest.fixture
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a file in a folder that is not searched for keys: here they may stand."""
    folder = tmp_path_factory.mktemp("configuration")

    def write_file(content: str | bytes, name: str = "settings.yaml") -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    return write_file


def names(client: LLMClient) -> list[str]:
    return [target.name for target in client.targets]


# Profiles


@pytest.mark.parametrize(
    "make",
    [
        lambda: LLMClient("@production"),
        lambda: LLMClient(LLMConfig(model="@production")),
        lambda: LLMClient({"model": "@production"}),
        lambda: LLMClient(model="@production"),
        lambda: LLMClient("ollama/m", fallbacks=["@production"]),
        lambda: LLMClient("ollama/m", fallbacks=[{"model": "@production"}]),
        lambda: LLMClient("ollama/m", fallbacks=[LLMConfig(model="@production")]),
        lambda: ChatUnified(model="@production").client,
        lambda: ChatUnified(model="ollama/m", fallbacks=["@production"]).client,
        lambda: UnifiedLLM(model="@production").client,
        lambda: UnifiedRerank(model="@production").client,
    ],
)
def test_a_profile_stands_in_the_place_of_a_model(write: Callable[..., Path], make: Callable[[], LLMClient]) -> None:
    configure(config=write(FILE))
    client = make()
    first = client.targets[-3]
    assert names(client)[-3:] == CHAIN
    assert first.key is not None
    assert (first.base_url, first.key.reveal()) == ("https://gateway.example/v1", "sk-CANARY-of-the-file")
    assert (first.defaults["temperature"], first.defaults["max_tokens"], first.timing.whole) == (0.2, 100, 20.0)
    assert client.targets[-2].defaults["temperature"] == 0.0
    assert client.targets[-1].timing.whole == 5.0


def test_a_chat_model_with_a_profile_joins_other_chains_and_is_named_in_traces(write: Callable[..., Path]) -> None:
    configure(config=write(FILE))
    chat, other = ChatUnified(model="@production"), ChatUnified(model="ollama/m")
    for joined in (other.with_fallbacks([chat]), ChatUnified(model="ollama/m", fallbacks=[chat])):
        assert names(joined.client) == ["ollama/m", *CHAIN]
        assert names(pickle.loads(pickle.dumps(joined)).client) == ["ollama/m", *CHAIN]  # noqa: S301
    assert names(chat.with_fallbacks([other]).client) == [*CHAIN, "ollama/m"]
    own = ChatUnified(model="@production", fallbacks=["ollama/own"])
    assert names(other.with_fallbacks([own]).client) == ["ollama/m", CHAIN[0], "ollama/own"]
    llm = UnifiedLLM(model="ollama/m", fallbacks=[UnifiedLLM(model="@production")])
    assert names(llm.client) == ["ollama/m", *CHAIN]
    assert chat._get_ls_params()["ls_model_name"] == "openai/gpt-5-mini"
    configure(model="of-the-process", provider="ollama")
    for model in (None, "of-the-process"):
        assert names(other.with_fallbacks([ChatUnified(model=model)]).client) == ["ollama/m", "ollama/of-the-process"]
    assert ChatUnified()._get_ls_params()["ls_model_name"] == "ollama/of-the-process"


@pytest.mark.parametrize("make", [UnifiedEmbeddings, UnifiedEmbedding])
def test_embeddings_take_a_profile_too(write: Callable[..., Path], make: type[Any]) -> None:
    configure(config=write("profiles: {vectors: {model: ollama/nomic-embed-text, dimensions: 64}}"))
    target = make(model="@vectors").client.targets[0]
    assert (target.name, target.defaults["dimensions"]) == ("ollama/nomic-embed-text", 64)


def test_arguments_of_the_constructor_override_a_profile(write: Callable[..., Path]) -> None:
    configure(config=write(FILE))
    client = LLMClient("@production", temperature=1.0, fallbacks=["groq/x"])
    assert names(client) == ["openai/gpt-5-mini", "groq/x"]
    assert client.targets[0].defaults == {"temperature": 1.0, "max_tokens": 100}
    assert names(LLMClient(LLMConfig(model="@production", fallbacks=[]))) == CHAIN[:1]
    assert LLMClient("@fast").targets[0].timing.whole == 3.0
    assert names(LLMClient("@fast")) == CHAIN
    chat = ChatUnified(model="@production", max_tokens=7)
    assert chat.client.targets[0].defaults["max_tokens"] == 7


def test_a_folder_of_mlx_may_stand_in_a_file_and_be_set_for_the_process(write: Callable[..., Path]) -> None:
    folder = str(demo_folder())
    of_mlx = {"provider": "mlx", "base_url": folder}
    configure(config=write(json.dumps({"profiles": {"here": of_mlx, "last": {"fallbacks": [of_mlx]}}}), "a.json"))
    assert LLMClient("@here").targets[0].model == folder
    assert LLMClient("@last", provider="ollama").targets[1].model == folder
    configure(config=write(json.dumps(of_mlx), "b.json"))
    assert LLMClient().targets[0].model == folder
    assert LLMClient("mlx/demo").targets[0].model == "demo"
    configure(config=None, provider="mlx", base_url=folder)
    assert LLMClient().targets[0].model == folder


def test_a_call_may_name_a_profile(write: Callable[..., Path]) -> None:
    configure(config=write(FILE))
    client = LLMClient("groq/x", fallbacks=["ollama/y"], seed=3)
    assert [target.name for target in client._chain_of("@production", client.options).targets] == CHAIN
    assert [target.name for target in client._chain_of("@local", client.options).targets] == [
        "ollama/llama3.2",
        "ollama/y",
    ]
    assert client._chain_of("@local", client.options).targets[0].defaults == {"temperature": 0.0, "seed": 3}


def test_a_key_of_a_profile_stays_at_its_address(write: Callable[..., Path], no_keys: None) -> None:
    text = "profiles: {p: {model: openai/x, base_url: 'https://one.example', api_key: sk-CANARY-profile}}"
    configure(config=write(text))
    assert LLMClient("@p").targets[0].key is not None
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("@p", base_url="https://two.example")
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("@p", provider="groq")


def test_a_pickled_client_looks_its_profile_up_again(write: Callable[..., Path]) -> None:
    configure(config=write(FILE))
    client = LLMClient("@production")
    pickled = pickle.dumps(client)
    assert b"CANARY" not in pickled
    assert names(pickle.loads(pickled)) == CHAIN  # noqa: S301 - our own
    reset_process_state()
    with pytest.raises(ConfigurationError, match="is a profile of a configuration file, and there is none"):
        pickle.loads(pickled)  # noqa: S301 - our own


def test_a_model_that_begins_with_an_at_sign_is_no_profile(write: Callable[..., Path]) -> None:
    configure(config=write(FILE))
    made = LLMClient("@cf/meta/llama", provider="openai-compatible", base_url="http://127.0.0.1:9").targets[0]
    assert made.model == "@cf/meta/llama"


def test_an_unknown_profile_is_refused_with_those_that_exist(write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigurationError, match="is a profile of a configuration file, and there is none"):
        LLMClient("@production")
    configure(config=write(FILE))
    with pytest.raises(ConfigurationError, match='did you mean "@production"'):
        LLMClient("@prodction")
    with pytest.raises(ConfigurationError, match="the file has @production, @local, @fast"):
        LLMClient("ollama/x", fallbacks=["@zzz"])
    with pytest.raises(ConfigurationError, match="did you mean"):
        LLMClient("ollama/x").generate("hi", model="@locl")


# Where the file is


def test_the_file_is_read_from_the_variable_and_the_users_directory(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "unified-llm").mkdir()
    users = tmp_path / "unified-llm" / "config.json"
    users.write_text(json.dumps({"defaults": {"timeout": 1}}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert LLMClient("ollama/m").targets[0].timing.whole == 1
    monkeypatch.setenv("UNIFIED_LLM_CONFIG", str(write("timeout: 2")))
    assert LLMClient("ollama/m").targets[0].timing.whole == 2
    configure(config=write("timeout: 3", "other.yml"))
    assert LLMClient("ollama/m").targets[0].timing.whole == 3
    configure(config=None)
    assert LLMClient("ollama/m").targets[0].timing.whole == 2
    monkeypatch.setenv("UNIFIED_LLM_TIMEOUT", "4")
    assert LLMClient("ollama/m").targets[0].timing.whole == 4


def test_nothing_is_read_from_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("config.yaml", "unified-llm.yaml", "config.json", ".env"):
        (tmp_path / name).write_text("timeout: 1\n")
    monkeypatch.chdir(tmp_path)
    assert LLMClient("ollama/m").targets[0].timing.fixed is False


@each(
    ("platform", "variables", "expected"),
    [
        ("linux", {"HOME": "/h/u"}, "/h/u/.config/unified-llm"),
        ("linux", {"HOME": "/h/u", "XDG_CONFIG_HOME": "/x"}, "/x/unified-llm"),
        ("linux", {"HOME": "/h/u", "XDG_CONFIG_HOME": "relative"}, "/h/u/.config/unified-llm"),
        ("darwin", {"HOME": "/h/u"}, "/h/u/Library/Application Support/unified-llm"),
        ("win32", {"APPDATA": "/h/roaming"}, "/h/roaming/unified-llm"),
    ],
)
def test_the_users_directory_is_that_of_the_platform(platform: str, variables: dict[str, str], expected: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA"):
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(sys, "platform", platform)
        assert config_file.user_folder() == Path(expected)


def test_without_a_home_directory_no_file_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (tmp_path / ".config", tmp_path / "~" / ".config"):
        (folder / "unified-llm").mkdir(parents=True)
        (folder / "unified-llm" / "config.yaml").write_text("timeout: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for home in (".", "", None):
        monkeypatch.setenv("HOME", home) if home is not None else monkeypatch.delenv("HOME")
        if home is None:
            monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError(f"{self}")))
        assert LLMClient("ollama/m").targets[0].timing.fixed is False
        if home != "":  # of which Python makes the directory in the system's list of users
            assert (config_file.user_folder(), file_places()) == (None, ())
        with pytest.raises(ConfigurationError, match="with configure"):
            LLMClient("@production")


def test_a_file_is_read_once_for_a_process(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("timeout: 2")
    monkeypatch.setenv("UNIFIED_LLM_CONFIG", str(path))
    assert LLMClient("ollama/m").targets[0].timing.whole == 2
    path.write_text("timeout: 3")
    assert LLMClient("ollama/m").targets[0].timing.whole == 2
    configure(config=path)
    assert LLMClient("ollama/m").targets[0].timing.whole == 3


def test_a_file_without_sections_has_the_fields_of_one_target(write: Callable[..., Path]) -> None:
    fields = {"provider": "ollama", "base_url": "http://127.0.0.1:7", "model": "llama2:7b", "max_retries": 3}
    configure(config=write(json.dumps(fields), "llm_config.json"))
    made = LLMClient().targets[0]
    assert (made.name, made.base_url, made.retry.limit) == ("ollama/llama2:7b", "http://127.0.0.1:7/v1", 3)
    assert LLMClient("lmstudio/m").targets[0].base_url == "http://127.0.0.1:1234/v1"


def test_an_empty_file_sets_nothing(write: Callable[..., Path]) -> None:
    for text in ("", "# nothing\n", "defaults:\nproviders:\nprofiles:\n", "{}", "profiles: {a: }"):
        configure(config=write(text))
        assert not process_settings.layers()
    configure(config=write("", "empty.json"))


def test_settings_of_the_process_may_stand_in_the_file(write: Callable[..., Path], monkeypatch: Any) -> None:
    configure(config=write("defaults: {error_details: true, telemetry: without_usage}"))
    assert (default("error_details"), default("telemetry")) == (True, "without_usage")
    monkeypatch.setenv("UNIFIED_LLM_ERROR_DETAILS", "false")
    assert default("error_details") is False
    configure(error_details=True)
    assert default("error_details") is True
    configure(config=None, error_details=None)
    monkeypatch.delenv("UNIFIED_LLM_ERROR_DETAILS")
    assert default("error_details") is None


def test_yaml_is_typed_as_one_expects(write: Callable[..., Path]) -> None:
    text = """
    profiles:
      base: &base {temperature: 0.5, stop: [END], verify_ssl: no}
      azure:
        <<: *base
        model: azure/m
        base_url: https://x.openai.azure.com
        api_version: 2024-10-21
        max_tokens: 1_000
        default_headers: {X-Team: "7"}
        extra_body: {user: "${NAME}"}
        timeout:
    """
    configure(config=write(text))
    made = LLMClient("@azure", api_key="sk-CANARY").targets[0]
    assert (made.api_version, made.verify, made.headers["X-Team"]) == ("2024-10-21", False, "7")
    assert made.defaults == {"temperature": 0.5, "stop": ("END",), "max_tokens": 1000}
    assert made.extra_body == {"user": "${NAME}"}
    assert made.timing.fixed is False


# Errors: file, line and field


def check_error(path: Path, line: int | None, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(config=path)
    message = str(refused.value)
    assert expected in message
    assert message.startswith(f"{path}, line {line}: " if line else str(path))
    assert "CANARY" not in message
    assert refused.value.__context__ is None


MANY = "".join(f"- &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(8))


@each(
    ("text", "line", "expected"),
    [
        ("defaults:\n  timeout: soon\n", 2, "in defaults: timeout must be a number of seconds, not text"),
        ("defaults:\n  timeout: 0\n", 2, "timeout must be greater than 0 seconds"),
        ("timeout: '5'\n", 1, "write 5 without quotes"),
        ("defaults:\n  max_tokens: 1\n  temprature: 1\n", 3, "defaults has no field 'temprature': did you mean"),
        ("defaults:\n  n_ctx: 1\n", 2, "write context_window=."),
        ("defaults:\n  telemetry: maybe\n", 2, 'must be True, False or "without_usage"'),
        ("default:\n  timeout: 1\n", 1, "did you mean 'defaults'?"),
        ("profile:\n  a: {model: ollama/x}\n", 1, "did you mean 'profiles'?"),
        ("defaults:\n  providers: {}\n", 2, "providers is a section of its own, at the top of the file"),
        ("env_file: .env\n", 1, "set it with configure(env_file=...) or UNIFIED_LLM_ENV_FILE"),
        ("defaults:\n  breaker: {zzz: 1}\n", 2, "known are failures, window, cooldown, cooldown_max"),
        ("defaults:\n  default_headers:\n    X-Team: t-${TEAM}\n", 3, "variables are not replaced here"),
        ("profiles:\n  a:\n    model: openai/x\n    base_url: /models\n", 4, "in profiles.a: The URL from base_url="),
        ("profiles:\n  a:\n    model: openai/x\n    api: nope\n", 4, "No provider has the api 'nope'"),
        ("defaults:\n  verify_ssl: []\n", 2, "an SSLContext, not list."),
        ("profiles:\n  sk-CANARY0123456789:\n    model: nope/x\n", 3, "in profiles.***: 'nope/x' names no known"),
        ("defaults: {}\ntimeout: 1\n", 2, "stand below one of defaults, providers, profiles"),
        ("profiles: {a: {error_details: true}}", 1, "profiles.a has no field 'error_details'"),
        ("- a\n- b\n", 1, "a configuration file is a mapping of defaults, providers, profiles"),
        ("just text", 1, "a configuration file is a mapping"),
        ("defaults: [1]\n", 1, "defaults must be a mapping"),
        ("profiles:\n  a: openai/x\n", 2, "profiles.a must be a mapping"),
        ("profiles:\n  a b:\n    model: x\n", 2, "the name of a profile has letters, digits"),
        ("profiles:\n  a:\n    model: nope/x\n", 3, "in profiles.a: 'nope/x' names no known provider"),
        ("profiles:\n  a:\n    provider: opnai\n", 3, "is no known provider"),
        ("profiles:\n  a:\n    model: 5\n", 3, "model must be a string"),
        ("profiles:\n  a:\n    model: '@b'\n", 3, "there is no profile '@b': the file has @a"),
        ("profiles:\n  a:\n    model: '@b'\n  b:\n    model: '@a'\n", 5, "leads back to itself: @a -> @b -> @a"),
        ("profiles:\n  a:\n    model: ollama/x\n    fallbacks: ['@a']\n", 4, "leads back to itself: @a -> @a"),
        (
            "profiles:\n  a:\n    fallbacks:\n      - ollama/x\n      - 5\n",
            5,
            "a fallback is a model string or a mapping",
        ),
        ("profiles:\n  a:\n    fallbacks: ollama/x\n", 3, "write fallbacks=['ollama/x']"),
        (
            "profiles:\n a:\n  fallbacks:\n  - model: ollama/x\n    tmeout: 1\n",
            5,
            "profiles.a.fallbacks[0] has no field",
        ),
        ("profiles:\n a:\n  fallbacks:\n  - model: ollama/x\n    seed: x\n", 5, "seed must be a whole number"),
        ("profiles:\n a:\n  fallbacks:\n  - nope/x\n", 4, "names no known provider"),
        ("defaults:\n  breaker:\n    failures: 2\n    cooldwn: 1\n", 4, "did you mean 'cooldown'?"),
        ("defaults:\n  breaker:\n    failures: many\n", 3, "breaker.failures must be a whole number"),
        ("defaults:\n  default_headers:\n    A: b\n    Host: x\n", 4, "default_headers"),
        ("defaults:\n  extra_body: 5\n", 2, "extra_body must be a mapping"),
        ("providers:\n  openai:\n    api_key: 'sk-CANARY key'\n", 3, "The key from api_key= has a space"),
        ("providers:\n  openai:\n    api_key: ${OPENAI_API_KEY}\n", 3, "variables are not replaced here; api_key_env"),
        ("providers:\n  openai:\n    model: x\n", 3, "model belongs to a target: write it in a profile"),
        ("providers:\n  opnai:\n    timeout: 1\n", 2, "is no known provider"),
        ("providers:\n  openai:\n    base_url: https://u:sk-CANARY@h\n", 3, "user name or password"),
        ("defaults:\n  api_key: sk-CANARY\n", 2, "a key for no provider would go to all of them"),
        ("defaults:\n  timeout: 1\n  seed: 1\n  timeout: 2\n", 4, "timeout is given twice, first on line 2"),
        ("defaults:\n  timeout: 1\n  request_timeout: 2\n", 3, "timeout is given twice, by two names"),
        ("defaults:\n\ttimeout: 1\n", 2, "a tab stands where YAML needs blanks"),
        ("defaults:\n  timeout: 1\n   seed: 2\n", 3, "a colon stands where no value can begin"),
        ("profiles:\n  a:\n    fallbacks: [@b]\n", 3, 'a name that begins with @ stands in quotes: "@name"'),
        ("a: *x\n", 1, "an alias refers to no anchor"),
        ("a: &x [*x]\n", 1, "an alias refers to what it stands in"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "a tag (!) has no meaning here"),
        ("a: 1\n---\nb: 2\n", 2, "it has a second document after ---"),
        ("? [a]\n: 1\n", 1, "a key must be a name"),
        ("a: [sk-CANARY\n", 2, "it is no YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 'sk-CANARY\n", 2, "it is no YAML: found unexpected end of stream"),
        ("a: \x01\n", 1, "a character is not printable"),
        (MANY, 1, "it has more than 10000 values"),
        (b"a: 1\nb: \xff\n", 2, "it is not UTF-8 text"),
        ("[" * 1000, None, "it nests too deep"),
        ("#" + "x" * 300_000, None, "is larger than 256 KiB"),
    ],
)
def test_an_error_names_the_file_and_the_line_and_no_value(
    write: Callable[..., Path], text: str | bytes, line: int | None, expected: str
) -> None:
    check_error(write(text), line, expected)


@each(
    ("text", "line", "expected"),
    [
        ('{"defaults":\n {"timeout": "soon"}}', 2, "timeout must be a number of seconds"),
        ('{"profiles": {"a": {\n"model": "ollama/x",\n"fallbacks": [\n{"tmeout": 1}]}}}', 4, "did you mean 'timeout'?"),
        ('{"timeout": 1,\n "timeout": 2}', 2, "timeout is given twice, first on line 1"),
        ('{"timeout": 1,\n}', 2, "a comma stands before }"),
        ("{'timeout': 1}", 1, "a name in double quotes is missing here"),
        ('{"timeout": 1\n"seed": 2}', 2, "a comma or } is missing before this"),
        ('{"timeout" 1}', 1, "a colon is missing after the name"),
        ('{"model": "sk-CANARY}', 1, "a text has no end"),
        ('{"timeout": tru}', 1, "this is no JSON value"),
        ('{"timeout": ', 1, "the document ends where a value is missing"),
        ("// settings\n{}", 1, "JSON has no comments"),
        ("{} {}", 1, "there is more after the end of the document"),
        ("[1]", 1, "a configuration file is a mapping"),
        ('{"timeout": ' + "9" * 5000 + "}", 1, "a number has too many digits"),
        ("[" * 1000, None, "it nests too deep"),
        ("[" + "1," * 10_001 + "1]", 1, "it has more than 10000 values"),
    ],
)
def test_an_error_in_json_names_them_too(
    write: Callable[..., Path], text: str, line: int | None, expected: str
) -> None:
    check_error(write(text, "settings.json"), line, expected)


def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    monkeypatch.setenv("UNIFIED_LLM_CONFIG", str(tmp_path / "missing.yaml"))
    with pytest.raises(ConfigurationError, match=r"There is no file .*missing.yaml, which the environment variable"):
        LLMClient("ollama/m")
    for path, expected in ((tmp_path, "is a directory"), ("/dev/null", "no regular file"), ("a\0b", "is no path")):
        with pytest.raises(ConfigurationError, match=expected):
            configure(config=str(path))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        configure(config="x" * 5000)
    for name in ("config", "env_file"):
        with pytest.raises(ConfigurationError, match=r"There is no file .*~nobody.of.this.name/x"):
            configure(**{name: "~nobody.of.this.name/x"})  # type: ignore[arg-type]
    configure(config=write("﻿timeout: 3".encode()))  # a byte order mark
    assert LLMClient("ollama/m").targets[0].timing.whole == 3


def test_yaml_needs_its_extra_and_json_does_not(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("yaml", "dotenv"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "unified_llm._lib.located_yaml", raising=False)
    with pytest.raises(ConfigurationError, match=r"pip install 'unified-llm\[yaml\]', or write the file as .json"):
        configure(config=write("timeout: 3"))
    with pytest.raises(ConfigurationError, match=r"pip install 'unified-llm\[yaml\]'"):
        configure(env_file=write("A=b", ".env"))
    configure(config=write('{"timeout": 3}', "settings.json"))
    assert LLMClient("ollama/m").targets[0].timing.whole == 3


def test_keys_that_others_can_read_are_warned_of_once(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = write(FILE)
    configure(config=path)
    assert not caplog.records
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        configure(config=path)
        configure(config=path)
        for content in ("timeout: 1", "default_headers: {X-Team: one}", "proxy: http://127.0.0.1:3128"):
            without = write(content, "without.yaml")
            without.chmod(0o644)
            configure(config=without)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} holds keys and can be read by other users: chmod 600, or name variables with api_key_env"
    ]


@each("text", ["proxy: http://u:pw@127.0.0.1:3128", "default_headers: {X-Key: k}", "extra_body: {user_token: t}"])
def test_other_secrets_are_warned_of_as_well(text: str) -> None:
    config = LLMConfig(**parse_yaml(text).value)
    assert _has_secret(config.given(("proxy", "default_headers", "extra_body")))


# .env files


def test_variables_of_a_file_are_visible_to_the_package_alone(
    write: Callable[..., Path], no_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    text = "export OPENAI_API_KEY='sk-CANARY-of-the-file'\nUNIFIED_LLM_TIMEOUT=9\nUNIFIED_LLM_SEED=5\n"
    monkeypatch.setenv("UNIFIED_LLM_SEED", "6")
    configure(env_file=write(text, ".env"))
    made = LLMClient("openai/gpt-4o").targets[0]
    assert made.key is not None
    assert (made.key.reveal(), made.key.source) == (
        "sk-CANARY-of-the-file",
        f"the variable OPENAI_API_KEY in {process_settings.state().env_file}",
    )
    assert (made.timing.whole, made.defaults["seed"]) == (9.0, 6)
    assert not os.environ.keys() & {"OPENAI_API_KEY", "UNIFIED_LLM_TIMEOUT"}
    configure(env_file=None)
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("openai/gpt-4o")


def test_a_variable_may_name_the_file_of_variables(
    write: Callable[..., Path], no_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write("timeout: 4")
    path = write(f"OPENAI_API_KEY=sk-CANARY-of-the-file\nUNIFIED_LLM_CONFIG={config}\n", ".env")
    monkeypatch.setenv("UNIFIED_LLM_ENV_FILE", str(path))
    made = LLMClient("openai/gpt-4o").targets[0]
    assert made.key is not None
    assert made.timing.whole == 4
    monkeypatch.delenv("UNIFIED_LLM_ENV_FILE")
    with pytest.raises(ConfigurationError, match="no API key"):
        LLMClient("openai/gpt-4o")


def test_a_wrong_line_of_variables_is_named(write: Callable[..., Path]) -> None:
    path = write("A=1\nB='sk-CANARY\n", ".env")
    with pytest.raises(ConfigurationError, match=r"line 2: it is not NAME=value") as refused:
        configure(env_file=path)
    assert "CANARY" not in str(refused.value)
    path = write("UNIFIED_LLM_TIMEOUT=soon\n", ".env")
    configure(env_file=path)
    with pytest.raises(ConfigurationError, match=r"The variable UNIFIED_LLM_TIMEOUT in .*\.env: timeout must be"):
        LLMClient("ollama/m")


def test_a_file_as_the_design_has_it_is_one_target_with_its_fallbacks(write: Callable[..., Path]) -> None:
    fields = {
        "provider": "ollama",
        "base_url": "http://127.0.0.1:7",
        "model": "llama2:7b",
        "timeout": 30.0,
        "fallback_configs": [{"model": "lmstudio/m", "base_url": "http://127.0.0.1:8", "max_retries": 2}],
    }
    configure(config=write(json.dumps(fields), "llm_config.json"))
    for client in (LLMClient(), ChatUnified().client, UnifiedLLM().client):
        assert [(target.name, target.base_url) for target in client.targets] == [
            ("ollama/llama2:7b", "http://127.0.0.1:7/v1"),
            ("lmstudio/m", "http://127.0.0.1:8/v1"),
        ]
        assert [target.timing.whole for target in client.targets] == [30.0, 30.0]


def test_a_file_that_is_cut_anywhere_is_read_or_refused(write: Callable[..., Path]) -> None:
    for text, name in ((FILE, "cut.yaml"), (json.dumps(parse_yaml(FILE).value, indent=1), "cut.json")):
        for end in range(0, len(text), 31):
            path = write(text[:end], name)
            message = ""
            try:
                configure(config=path)
            except ConfigurationError as refused:
                message = str(refused)
            assert not message or message.startswith(f"{path}, line ")
            assert "CANARY" not in message
