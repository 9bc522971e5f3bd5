"""The model strings that editors complete: each is one of a known provider, in its own spelling."""

from __future__ import annotations

from typing import get_args

import unified_llm
from tests.support.each import each
from unified_llm._config.model_name import ModelName
from unified_llm._providers import models, registry

NAMES: tuple[str, ...] = get_args(unified_llm.KnownModelName)
# Their models change from day to day, or are those that somebody has loaded.
WITHOUT_NAMES = {"mlx", "lmstudio", "vllm", "llamacpp", "litellm", "openai-compatible", "deepinfra"}


def test_there_are_names_of_all_providers_that_have_models_of_their_own() -> None:
    assert len(NAMES) == len(set(NAMES)) > 100
    providers = {name.partition("/")[0] for name in NAMES}
    assert providers == {row.name for row in registry.ROWS} - WITHOUT_NAMES


@each("name", NAMES)
def test_a_name_is_a_model_of_a_known_provider(name: str) -> None:
    parsed = registry.parse_model_string(name)
    assert parsed is not None
    provider, model = parsed
    assert f"{registry.row(provider).name}/{model}" == name
    profile = registry.model_profile(registry.row(provider), model)
    assert profile.format


@each("name", [name for name in NAMES if name.startswith(("openai/gpt", "anthropic/", "gemini/gemini-"))])
def test_a_chat_model_of_the_large_providers_has_a_profile(name: str) -> None:
    provider, _, model = name.partition("/")
    known = models.find(provider, model)
    assert known is not None or name == "gemini/gemini-4-argon", "no pattern of models.py"


def test_at_run_time_any_string_is_a_name_of_a_model() -> None:
    assert ModelName is str
