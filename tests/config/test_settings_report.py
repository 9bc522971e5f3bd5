"""What ``unified-llm config`` shows: each value with its source, and no key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unified_llm import configure
from unified_llm._config.settings_report import MergedSettings, check_file, file_places, merged_settings
from unified_llm.exceptions import ConfigurationError

FILE = """\
defaults:
  request_timeout: 20
  seed: 3
  temperature: 0.2
  telemetry: false
  default_headers: {X-Gateway-Key: sk-CANARY-header, X-Team: one}
  extra_body: {user_token: sk-CANARY-body}
providers:
  groq:
    api_key: sk-CANARY-of-the-file
profiles:
  production:
    model: openai/gpt-5-mini
    fallbacks: ["@local", {model: groq/x}]
  local: {model: ollama/llama3.2}
"""


@pytest.fixture
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("configuration") / "config.yaml"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def shown(settings: MergedSettings) -> dict[str, tuple[str, str]]:
    listed = (*settings.settings, *settings.providers, *settings.profiles)
    return {setting.name: (setting.value, setting.source) for setting in listed}


def test_each_value_is_shown_with_its_source(file: Path, monkeypatch: pytest.MonkeyPatch, no_keys: None) -> None:
    monkeypatch.setenv("UNIFIED_LLM_TEMPERATURE", "0.5")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-CANARY-of-the-environment")
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.5")
    monkeypatch.setenv("OLLAMA_TIMEOUT", "90")
    configure(
        config=file,
        max_retries=1,
        proxy="http://user:pw-CANARY@proxy.example:3128",
        providers={"openai": {"api_key": "sk-CANARY-configured", "base_url": "https://gateway.example"}},
    )
    settings = merged_settings()
    values = shown(settings)
    assert values["max_retries"] == ("1", "configure()")
    assert values["temperature"] == ("0.5", "UNIFIED_LLM_TEMPERATURE")
    assert values["timeout"] == ("20", f"{file}:2")
    assert values["telemetry"] == ("False", f"{file}:5")
    assert values["extra_body"] == ("user_token", f"{file}:7")
    assert values["retry_delay"] == ("1", "default")
    assert values["error_details"] == ("", "default")
    assert values["proxy"] == ("http://***@proxy.example:3128", "configure()")
    assert values["openai.api_key"] == ("set (configure())", "configure()")
    assert values["openai.base_url"] == ("https://gateway.example", "configure()")
    assert values["groq.api_key"] == (f"set ({file}:10)", f"{file}:10")
    assert values["anthropic.api_key"] == ("set (ANTHROPIC_API_KEY)", "ANTHROPIC_API_KEY")
    assert values["ollama.base_url"] == ("http://10.0.0.5:11434/v1", "OLLAMA_HOST")
    assert values["ollama.timeout"] == ("90", "OLLAMA_TIMEOUT")
    assert values["@production"] == ("openai/gpt-5-mini -> @local -> groq/x", f"{file}:12")
    assert "X-Team': 'one'" in values["default_headers"][0]
    assert "CANARY" not in repr(settings)
    assert settings.config_file == str(file)


def test_what_goes_before_is_shown_alone(file: Path, monkeypatch: pytest.MonkeyPatch, no_keys: None) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sk-CANARY-of-the-environment")
    configure(config=file, timeout=3)
    values = shown(merged_settings(with_defaults=False))
    assert values["groq.api_key"] == ("set (GROQ_API_KEY)", "GROQ_API_KEY")
    assert values["timeout"] == ("3", "configure()")
    assert "retry_delay" not in values


def test_a_key_is_that_which_is_sent_to_the_address(file: Path, monkeypatch: pytest.MonkeyPatch, no_keys: None) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY-of-the-environment")
    configure(providers={"openai": {"base_url": "https://gateway.example"}}, breaker={"failures": 2})
    values = shown(merged_settings())
    assert values["openai.api_key"] == ("set (OPENAI_API_KEY), not sent to this address", "OPENAI_API_KEY")
    assert values["breaker"][0].startswith("BreakerConfig(failures=2")
    file.write_text("providers: {openai: {base_url: 'https://gateway.example', api_key: sk-CANARY-of-the-file}}")
    configure(config=file, providers=None)
    values = shown(merged_settings())
    assert values["openai.api_key"] == (f"set ({file}:1)", f"{file}:1")


def test_a_provider_that_can_have_no_target_hides_no_other_setting(file: Path, no_keys: None) -> None:
    file.write_text("defaults: {default_headers: {X-Api-Key: sk-CANARY}, client_cert: [a.pem, b.pem, CANARY]}\n"
        "providers: {anthropic: {api_key: sk-CANARY}, groq: {api_key: sk-CANARY}}")  # fmt: skip
    configure(config=file)
    values = shown(merged_settings())
    assert values["anthropic"][0].startswith("cannot be used: default_headers must not set X-Api-Key")
    assert values["groq.api_key"] == (f"set ({file}:2)", f"{file}:2")
    assert values["client_cert"] == ("a.pem, b.pem", f"{file}:1")
    assert "CANARY" not in repr(values)


def test_a_variable_of_an_env_file_is_named_with_the_file(file: Path, no_keys: None) -> None:
    path = file.parent / ".env"
    path.write_text("OPENAI_API_KEY=sk-CANARY-of-the-file\nUNIFIED_LLM_SEED=4\n")
    configure(env_file=path)
    settings = merged_settings()
    assert shown(settings)["openai.api_key"] == (f"set (OPENAI_API_KEY in {path})", f"OPENAI_API_KEY in {path}")
    assert shown(settings)["seed"] == ("4", f"UNIFIED_LLM_SEED in {path}")
    assert settings.env_file == str(path)


def test_a_misspelled_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_TIMOUT", "5")
    warnings = [text for text in merged_settings().warnings if "TIMOUT" in text]
    assert warnings == [
        "the environment variable UNIFIED_LLM_TIMOUT has no meaning here: did you mean UNIFIED_LLM_TIMEOUT?"
    ]


def test_the_places_of_the_file_are_listed_in_order(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "unified-llm"
    assert [(place.path, place.exists, place.is_read) for place in file_places()] == [
        (str(folder / name), False, False) for name in ("config.yaml", "config.yml", "config.json")
    ]
    assert check_file() is None
    folder.mkdir()
    (folder / "config.yml").write_text("timeout: 1")
    assert [place.is_read for place in file_places()] == [False, True, False]
    assert check_file() == str(folder / "config.yml")
    monkeypatch.setenv("UNIFIED_LLM_CONFIG", str(file))
    assert [(place.path, place.named_by, place.is_read) for place in file_places()] == [
        (str(file), "the environment variable UNIFIED_LLM_CONFIG", True)
    ]
    configure(config=folder / "config.yml")
    assert [(place.path, place.is_read) for place in file_places()] == [
        (str(folder / "config.yml"), True),
        (str(file), False),
    ]


@pytest.mark.parametrize("find", [check_file, lambda path: check_file(str(path))])
def test_a_file_can_be_checked_without_being_used(file: Path, find: Callable[[Path], str]) -> None:
    assert find(file) == str(file)
    assert merged_settings().config_file is None
    file.write_text("defaults:\n  timeout: soon\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml, line 2: in defaults: timeout must be"):
        find(file)
