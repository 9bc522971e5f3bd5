"""The provider table and look-ups in it."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.each import each
from unified_llm._core import base_url
from unified_llm._core.features import Feature
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.original_body import FORMS
from unified_llm._providers import models, registry
from unified_llm._providers.registry import ROWS, Provider
from unified_llm.exceptions import ConfigurationError

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
FEATURES = set(get_args(Feature))


class TestRows:
    def test_the_enumeration_names_exactly_the_rows(self) -> None:
        names = [row.name for row in ROWS]
        assert [provider.value for provider in Provider] == [name for name in names if name in list(Provider)]
        assert str(Provider.OPENAI) == "openai" == Provider("openai").value
        assert str(Provider.OPENAI_COMPATIBLE) == "openai-compatible"

    def test_no_name_and_no_variable_is_used_twice(self) -> None:
        taken = [row.name for row in ROWS] + list(registry.ALIASES)
        assert len(set(taken)) == len(taken)
        variables = [variable for row in ROWS for variable in (*row.key_env, *row.base_url_env)]
        assert len(set(variables)) == len(variables)

    def test_what_a_row_has_in_a_form_of_its_own_is_known_where_requests_are_sent_as_they_are_written(self) -> None:
        names = {name for row in ROWS for name in (*row.quirks.drop, *row.quirks.rename)}
        assert {name for name in names if name.startswith(("messages.", "tool_choice."))} <= FORMS

    @every_row
    def test_a_row_is_whole(self, row: Any) -> None:
        assert row.name == row.name.lower()
        assert row.title
        assert row.docs.startswith("https://")
        assert row.features <= FEATURES
        assert row.key_env or not row.key_required
        assert row.format == "mlx" or "streaming" in row.features
        assert ("models" in row.features) == (row.quirks.models_path != "") or row.format == "mlx"

    @every_row
    def test_a_base_url_is_as_the_client_would_write_it_with_or_without_its_version(self, row: Any) -> None:
        if row.base_url:
            assert base_url.normalise(row.base_url, source="row", version=row.version) == row.base_url
            bare = row.base_url.removesuffix(row.version)
            assert base_url.normalise(bare + "/", source="row", version=row.version) == row.base_url
            base_url.check_plaintext(row.base_url, key_travels=row.key_required, allow_http=False, source="row")

    @every_row
    def test_a_key_from_the_environment_goes_to_the_row_s_own_host_and_nowhere_near_it(self, row: Any) -> None:
        if row.base_url:
            assert base_url.matches(row.base_url, row.hosts)
            host = urlsplit(row.base_url).hostname or ""
            assert not base_url.matches(f"https://{host}.evil.example/v1", row.hosts)
            assert not base_url.matches(f"https://evil{'.'.join(host.split('.')[-2:])}/v1", row.hosts)

    def test_azure_s_key_goes_to_every_resource_and_no_lookalike(self) -> None:
        hosts = registry.row("azure").hosts
        assert base_url.matches("https://westus.openai.azure.com", hosts)
        assert not base_url.matches("https://openai.azure.com.evil.example", hosts)

    @each("name", ["ollama", "lmstudio", "vllm", "llamacpp", "mlx"])
    def test_what_runs_at_home_is_local_and_needs_no_key(self, name: str) -> None:
        row = registry.row(name)
        assert row.local
        assert not row.key_required

    @each("name", ["openrouter", "litellm", "lmstudio", "groq", "together", "hf", "vllm", "openai-compatible"])
    def test_gateways_take_models_literally(self, name: str) -> None:
        assert registry.row(name).literal_models


class TestNames:
    def test_rows_are_found_by_name_and_alias_in_any_case(self) -> None:
        assert registry.row("hf").name == "huggingface"
        assert registry.row("OpenAI").name == "openai"

    @each(("wrong", "hint"), [("opnai", "'openai'"), ("antropic", "'anthropic'"), ("LMStudios", "'lmstudio'")])
    def test_an_unknown_name_is_answered_with_the_nearest(self, wrong: str, hint: str) -> None:
        with pytest.raises(ConfigurationError, match=f"did you mean {hint}"):
            registry.row(wrong)

    def test_a_name_like_none_is_answered_with_all(self) -> None:
        with pytest.raises(ConfigurationError, match="known are openai, azure"):
            registry.row("")

    def test_a_key_in_the_wrong_place_is_not_repeated_in_full(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            registry.row("sk-proj-" + "k" * 100)
        assert "k" * 33 not in str(caught.value)

    @each(
        ("text", "expected"),
        [
            ("openai/gpt-5-mini", ("openai", "gpt-5-mini")),
            ("openai:gpt-5-mini", ("openai", "gpt-5-mini")),
            ("ollama/llama2:7b", ("ollama", "llama2:7b")),
            ("mlx/mlx-community/Qwen3-4B-4bit", ("mlx", "mlx-community/Qwen3-4B-4bit")),
            ("hf/org/name:fastest", ("huggingface", "org/name:fastest")),
            ("openrouter:meta-llama/llama-3.1-8b:free", ("openrouter", "meta-llama/llama-3.1-8b:free")),
            ("OpenAI/gpt-5", ("openai", "gpt-5")),
            ("meta-llama/llama-3.1-8b:free", None),
            ("gpt-5-mini", None),
            ("", None),
            ("/x", None),
        ],
    )
    def test_a_model_string_is_split_at_its_first_separator(self, text: str, expected: Any) -> None:
        assert registry.parse_model_string(text) == expected

    def test_only_the_separators_that_were_asked_for_count(self) -> None:
        assert registry.parse_model_string("openai/gpt-5", ":") is None
        assert registry.parse_model_string("openai:gpt-5", ":") == ("openai", "gpt-5")

    @each("text", ["openai/", "openai: ", "hf/"])
    def test_a_provider_without_a_model_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="is named without a model"):
            registry.parse_model_string(text)

    @each(
        ("text", "hint"),
        [
            ("gpt-5-mini", "did you mean openai/gpt-5-mini?"),
            ("claude-haiku-4-5", "did you mean anthropic/claude-haiku-4-5?"),
            ("gemini-2.5-flash", "did you mean gemini/gemini-2.5-flash?"),
            ("opnai/gpt-5", "did you mean 'openai/gpt-5'?"),
            ("huggingfac:a/b", "did you mean 'huggingface:a/b'?"),
            ("qwertyuiop/x", 'write "provider/model"'),
            ("whatever", 'write "provider/model"'),
        ],
    )
    def test_a_string_without_a_known_provider_is_answered_with_advice(self, text: str, hint: str) -> None:
        assert hint in registry.unknown_model(text)

    @given(st.text(max_size=60))
    def test_no_text_breaks_the_look_up(self, text: str) -> None:
        assert registry.unknown_model(text)
        # Other tests of this process may have registered providers.
        assert registry.suggest(text) in {None, *(spec.name for spec in (*ROWS, *registry.registered()))}


class TestModelProfiles:
    def test_an_unknown_model_is_as_its_row_says(self) -> None:
        row = registry.row("openai")
        assert registry.model_profile(row, "brand-new") == registry.ModelProfile(row.features, row.quirks)

    @each(
        ("provider", "model", "window", "reasoning"),
        [
            ("openai", "gpt-4o-mini", 128_000, False),
            ("azure", "gpt-4.1-nano", 1_047_576, False),
            ("openai", "gpt-5", 272_000, True),
            ("openai", "gpt-5-mini-2025-08-07", 272_000, True),
            ("openai", "gpt-5-chat-latest", 128_000, False),
            ("openai", "gpt-5.2", 272_000, True),
            ("openai", "gpt-5.4-mini", 272_000, True),
            ("openai", "gpt-5.4", 1_050_000, True),
            ("openai", "o1", 200_000, True),
            ("openai", "o3-pro", 200_000, True),
            ("openai", "gpt-4", 8_192, False),
            ("openai", "gpt-3.5-turbo", 16_385, False),
            ("anthropic", "claude-3-5-haiku-latest", 200_000, False),
            ("anthropic", "claude-haiku-4-5-20251001", 200_000, False),
            ("anthropic", "claude-sonnet-4-20250514", 200_000, False),
            ("anthropic", "claude-opus-4-6", 1_000_000, True),
            ("anthropic", "claude-sonnet-5", 1_000_000, True),
            ("gemini", "gemini-2.5-flash", 1_048_576, False),
            ("gemini", "gemini-2.5-pro", 1_048_576, True),
            ("deepseek", "deepseek-chat", 131_072, False),
            ("xai", "grok-4.20-0309-non-reasoning", None, False),
            ("perplexity", "sonar-reasoning-pro", 128_000, True),
            ("groq", "openai/gpt-oss-120b", 131_072, True),
            ("openrouter", "openai/gpt-5-mini", None, True),
            ("openrouter", "deepseek/deepseek-r1:free", None, True),
            ("vllm", "Qwen/QwQ-32B", None, True),
            ("openrouter", "openai/gpt-4o", None, False),
            ("ollama", "llama2", None, False),
        ],
    )
    def test_windows_and_reasoning_are_known_by_name(
        self, provider: str, model: str, window: int | None, reasoning: Any
    ) -> None:
        profile = registry.model_profile(registry.row(provider), model)
        assert (profile.context_window, profile.reasoning) == (window, reasoning)

    @each(
        ("provider", "model", "lacks", "has"),
        [
            ("openai", "gpt-3.5-turbo", {"images", "image_urls", "files", "json_schema"}, {"tools", "json_object"}),
            ("openai", "o1-mini", {"tools", "tool_choice", "images", "json_schema"}, {"streaming"}),
            ("openai", "gpt-4o-audio-preview", {"images"}, {"audio", "tools"}),
            ("openai", "gpt-4o", {"audio"}, {"images", "files", "json_schema", "tools"}),
            ("deepseek", "deepseek-v4-pro", {"tool_choice", "json_schema", "images"}, {"tools", "json_object"}),
            ("moonshot", "kimi-k3", {"json_schema"}, {"images", "tools", "tool_choice"}),
            (
                "anthropic",
                "claude-haiku-4-5",
                {"json_object", "embeddings", "audio"},
                {"tools", "images", "json_schema", "files"},
            ),
            ("ollama", "llama3", {"tool_choice", "image_urls"}, {"tools", "images", "embeddings", "json_schema"}),
            ("perplexity", "sonar", {"tools", "models", "embeddings"}, {"json_schema"}),
            ("lmstudio", "any", {"json_object"}, {"json_schema", "tool_choice"}),
        ],
    )
    def test_capabilities_are_known_by_name(self, provider: str, model: str, lacks: set[str], has: set[str]) -> None:
        features = registry.model_profile(registry.row(provider), model).features
        assert not features & lacks
        assert features >= has

    def test_what_a_model_refuses_is_added_to_what_its_provider_refuses(self) -> None:
        profile = registry.model_profile(registry.row("xai"), "grok-4-0709")
        of_row = registry.row("xai").quirks.drop
        assert profile.quirks.drop == {"frequency_penalty", "presence_penalty", "stop", "reasoning_effort"} | of_row
        assert profile.quirks.reasoning_apart
        assert "stop" not in of_row, "the row itself is not changed"

    def test_the_table_of_models_has_only_known_providers_and_features(self) -> None:
        for model in models.MODELS:
            assert set(model.providers) <= {row.name for row in ROWS}, model.pattern
            assert model.pattern == model.pattern.lower()
            assert model.lacks | model.gains <= FEATURES, model.pattern
            assert not model.lacks & model.gains, model.pattern

    def test_no_pattern_is_hidden_behind_an_earlier_one(self) -> None:
        for index, model in enumerate(models.MODELS):
            example = model.pattern.replace("*", "").replace("?", "9")
            while "[" in example:
                before, _, rest = example.partition("[")
                inside, _, after = rest.partition("]")
                example = before + inside[0] + after
            provider = model.providers[0] if model.providers else "nobody"
            assert models.find(provider, example) is model, (index, model.pattern, example)


class TestCodecs:
    @every_row
    def test_every_row_s_format_is_there(self, row: Any) -> None:
        if row.format != "mlx":
            assert callable(codec_for(row.format).encode)

    def test_an_unknown_format_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="There is no format 'smoke signals'"):
            codec_for("smoke signals")
