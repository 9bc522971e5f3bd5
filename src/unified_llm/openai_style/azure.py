"""``AzureOpenAI`` and ``AsyncAzureOpenAI``: the same clients for models that are deployed at Azure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm.exceptions import ConfigurationError
from unified_llm.openai_style._base_client import BaseOpenAI
from unified_llm.openai_style._omitted import NOT_GIVEN
from unified_llm.openai_style._resource import family_errors
from unified_llm.openai_style._settings import Settings
from unified_llm.openai_style.client import AsyncOpenAI, OpenAI


def _read_settings(given: Hidden[dict[str, Any]]) -> Settings:
    """Read the arguments of a constructor, of which some have other names at Azure.

    Raises:
        ConfigurationError: One of them is wrong, or two contradict each other.
    """
    arguments = given.value
    endpoint, base_url = (arguments.pop(name) for name in ("azure_endpoint", "base_url"))
    if endpoint is not None and base_url is not None:
        raise ConfigurationError("azure_endpoint= and base_url= are both given: leave one out.")
    key, token, provider = (arguments.pop(name) for name in ("api_key", "azure_ad_token", "azure_ad_token_provider"))
    if sum(value is not None for value in (key, token, provider)) > 1:
        raise ConfigurationError(
            "api_key=, azure_ad_token= and azure_ad_token_provider= say who you are: leave all but one out."
        )
    deployment = arguments.pop("azure_deployment")
    fixed = {
        "provider": "azure",
        "base_url": endpoint if base_url is None else str(base_url),
        "api_key": next((value for value in (key, token, provider) if value is not None), None),
        "api_version": arguments.pop("api_version"),
    }
    return Settings.read(arguments, deployment=deployment, **fixed)


class _Azure(BaseOpenAI):
    """The constructor of both clients."""

    def __init__(  # noqa: PLR0913 - the names of OpenAI's SDK
        self,
        *,
        azure_endpoint: str | None = None,
        azure_deployment: str | None = None,
        api_version: str | None = None,
        api_key: Any = None,
        azure_ad_token: str | None = None,
        azure_ad_token_provider: Any = None,
        base_url: Any = None,
        timeout: Any = NOT_GIVEN,
        max_retries: Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        **others: Any,
    ) -> None:
        given = Hidden({
            "azure_endpoint": azure_endpoint, "azure_deployment": azure_deployment, "api_version": api_version,
            "api_key": api_key, "azure_ad_token": azure_ad_token, "azure_ad_token_provider": azure_ad_token_provider,
            "base_url": base_url, "timeout": timeout, "max_retries": max_retries, "default_headers": default_headers,
            **others,
        })  # fmt: skip
        del api_key, azure_ad_token, azure_ad_token_provider, default_headers, others
        with CLEAR_VARIABLES, family_errors():
            self._settings = _read_settings(given)


class AzureOpenAI(_Azure, OpenAI):
    """OpenAI's client for deployments at Azure, over any target.

    A ``model`` without a provider in its name is the name of a deployment.

    Args:
        azure_endpoint: The address of the resource; None: the variable ``AZURE_OPENAI_ENDPOINT``.
        azure_deployment: The deployment that serves every model without a provider in its name.
        api_version: A date for the deployments API; None: the variable ``OPENAI_API_VERSION``, or the v1 API.
        api_key: The key, or a callable that returns it; None: the variable ``AZURE_OPENAI_API_KEY``.
        azure_ad_token: A token of Entra ID instead; None: the variable ``AZURE_OPENAI_AD_TOKEN``.
        azure_ad_token_provider: A callable that returns such a token, sync or (for async calls) async.
        **others: As for ``OpenAI``.

    Raises:
        ConfigurationError: A setting is wrong, or one of OpenAI's SDK that is not offered.
    """


class AsyncAzureOpenAI(_Azure, AsyncOpenAI):
    """The same as ``AzureOpenAI``, with async methods."""


for _public in (AzureOpenAI, AsyncAzureOpenAI):
    _public.__module__ = "unified_llm.openai_style"  # where users import it from
