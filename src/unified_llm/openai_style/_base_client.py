"""What the sync and the async client in the shape of OpenAI's SDK share: settings, copies, and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.short_repr import short_repr
from unified_llm.openai_style._omitted import NOT_GIVEN
from unified_llm.openai_style._resource import Resource, family_errors
from unified_llm.openai_style._settings import Settings
from unified_llm.openai_style._unsupported import missing_attribute


class BaseOpenAI:
    """Base of the sync and the async client: settings and copies."""

    def __init__(
        self,
        *,
        api_key: Any = None,
        organization: str | None = None,
        project: str | None = None,
        base_url: Any = None,
        timeout: Any = NOT_GIVEN,
        max_retries: Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        **own: Any,
    ) -> None:
        given = Hidden({
            "api_key": api_key, "organization": organization, "project": project, "base_url": base_url,
            "timeout": timeout, "max_retries": max_retries, "default_headers": default_headers,
            "default_query": default_query, **own,
        })  # fmt: skip
        del api_key, default_headers, own
        with CLEAR_VARIABLES, family_errors():
            self._settings = Settings.read(given.value)

    def with_options(self, **changes: Any) -> Self:
        """Return a client with other options for its calls; targets and connections are shared.

        Args:
            **changes: ``timeout``, ``max_retries``, ``default_headers`` and ``default_query`` (added to what there is),
                ``api_key``, ``base_url``, ``organization``, ``project``, ``fallbacks``, ``deadline`` ...

        Raises:
            ValidationError: One of them is unknown.
        """
        given = Hidden(changes)
        del changes
        with CLEAR_VARIABLES, family_errors():
            copy = type(self).__new__(type(self))
            # What a class that a program derives from this one has of its own comes along.
            copy.__dict__.update(self._own_attributes(), _settings=self._settings.with_options(given.value))
            return copy

    copy = with_options

    def _own_attributes(self) -> dict[str, Any]:
        """Return the attributes of this client but for its resources, which are made when they are next used."""
        return {name: value for name, value in vars(self).items() if not isinstance(value, Resource)}

    def _change(self, **changes: Any) -> None:
        given = Hidden(changes)
        del changes
        with CLEAR_VARIABLES, family_errors():
            self._settings = self._settings.with_options(given.value)
        for name in vars(self).keys() - self._own_attributes().keys():
            vars(self).pop(name, None)  # a resource, which had the settings until now

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings, and what a derived class has of its own; keys are left out."""
        return self._own_attributes()

    @property
    def settings(self) -> Settings:
        """The targets, and what holds for each call; for adapters."""
        return self._settings

    @property
    def base_url(self) -> str:
        """The address for models without a provider in their name; empty for that of the provider table."""
        settings = self._settings
        return settings.defaults.value.get("base_url") or settings.targets.own.base_url or ""

    @base_url.setter
    def base_url(self, value: Any) -> None:
        """Set it for later calls."""
        self._change(base_url=value)

    @property
    def api_key(self) -> Any:
        """The key for models without a provider in their name, which no repr shows; None for that of the environment.

        A ``Secret``, whose ``reveal()`` returns the text, or what calls the given callable.
        """
        settings = self._settings
        return settings.defaults.value.get("api_key") or settings.targets.own.api_key

    @api_key.setter
    def api_key(self, value: Any) -> None:
        """Set it for later calls."""
        given = Hidden(value)
        del value
        with CLEAR_VARIABLES:
            self._change(api_key=given.value)

    @property
    def default_headers(self) -> Mapping[str, str]:
        """The headers that every request to the provider of this client has, beside those of the connection."""
        settings = self._settings
        return {**settings.targets.own.default_headers, **(settings.defaults.value.get("extra_headers") or {})}

    def is_closed(self) -> bool:
        """Return False: a closed client may be used again."""
        return False

    @property
    def timeout(self) -> float | None:
        """Seconds for an attempt; None where none were set."""
        return self._settings.defaults.value.get("timeout")

    @timeout.setter
    def timeout(self, value: Any) -> None:
        """Set it for later calls."""
        self._change(timeout=value)

    @property
    def max_retries(self) -> int | None:
        """Further requests of a call to each target; None where none were set."""
        return self._settings.defaults.value.get("max_retries")

    @max_retries.setter
    def max_retries(self, value: int) -> None:
        """Set it for later calls."""
        self._change(max_retries=value)

    @property
    def organization(self) -> str | None:
        """The organisation that calls are made for."""
        return self._settings.account.get("organization")

    @organization.setter
    def organization(self, value: str) -> None:
        """Set it for later calls."""
        self._change(organization=value)

    @property
    def project(self) -> str | None:
        """The project that calls are made for."""
        return self._settings.account.get("project")

    @project.setter
    def project(self, value: str) -> None:
        """Set it for later calls."""
        self._change(project=value)

    if not TYPE_CHECKING:  # which would allow any attribute

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name, "")

    def __repr__(self) -> str:
        """Return the provider of models without one in their name; no key."""
        settings: Settings | None = vars(self).get("_settings")  # None where a setting was refused
        return short_repr(self, [settings.targets.own.provider or ""] if settings else [])
