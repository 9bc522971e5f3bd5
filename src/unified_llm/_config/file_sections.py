"""What a configuration file may hold: ``defaults``, ``providers`` and ``profiles``, checked field by field.

An error names the file, the line and the field, and no value: it may be a key. A file without these sections is one
target, or the defaults of all: its fields are those of ``defaults``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from unified_llm._config import process_wide
from unified_llm._config.checked_field import attempt, checked_field, find_target_field, known_names
from unified_llm._config.config_file import Document
from unified_llm._config.constructor_names import field_of
from unified_llm._config.field_types import may_be_folder
from unified_llm._config.llm_config import LLMConfig, given_fields
from unified_llm._config.model_string import provider_and_model
from unified_llm._config.profile_names import PROFILE_NAME, profile_named, suggest_profile
from unified_llm._config.setting_layers import Layer, check_key
from unified_llm._config.unknown_fields import refuse_unknown
from unified_llm._core.mlx_config import MLXConfig
from unified_llm._core.proxy import Proxy
from unified_llm._core.redaction import MASK, has_key, looks_like_a_key
from unified_llm._core.repeated_warnings import warn_once
from unified_llm._core.target import BreakerConfig
from unified_llm._lib.close_names import closest
from unified_llm._lib.located import Path
from unified_llm._providers import registry

Read = TypeVar("Read")

SECTIONS: Final = ("defaults", "providers", "profiles")
_VARIABLE: Final = re.compile(r"^\$\w+$|\$\{\w+\}")
_AS_IT_IS: Final = frozenset({"extra_body", "stop"})  # texts for the model, or for its server
_PARTS: Final = frozenset({"breaker", "mlx", "default_headers"})
# The fields of a part whose names are fixed.
_GROUPS: Final = {
    "breaker": tuple(BreakerConfig.__dataclass_fields__),
    "mlx": tuple(MLXConfig.__dataclass_fields__),
}
_LIKE_A_SECTION: Final = 0.85
_SET_ELSEWHERE: Final = {
    "config": "configure(config=...) or UNIFIED_LLM_CONFIG",
    "env_file": "configure(env_file=...) or UNIFIED_LLM_ENV_FILE",
}


@dataclass(frozen=True, slots=True, repr=False)
class FileSettings:
    """The settings of a file.

    Attributes:
        document: The file.
        layer: Its ``defaults`` and ``providers``.
        profiles: The fields of each profile.
        process: Defaults that are no fields of a target: ``telemetry``, ``error_details``, ``model_cache``, ``state``.
        prefix: The path of ``defaults`` in the document; empty for a file without sections.
    """

    document: Document
    layer: Layer
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    process: Mapping[str, Any] = field(default_factory=dict)
    prefix: Path = ()


def read_sections(document: Document) -> FileSettings:
    """Check a document and return its settings.

    Raises:
        ConfigurationError: A section or a field is unknown, or a value makes no sense.
    """
    value = document.content.value
    if value is None:
        return FileSettings(document, Layer(document.path))
    if not isinstance(value, Mapping):
        raise document.error((), f"a configuration file is a mapping of {', '.join(SECTIONS)}.")
    reader = _Reader(document)
    sections = reader.sections(value)
    prefix: Path = () if sections is not value else ("defaults",)
    general = reader.mapping(sections.get("defaults"), prefix)
    process = reader.process_wide(general, prefix)
    others = (*process_wide.NAMES, *(() if prefix else SECTIONS))
    fields = reader.target({name: general[name] for name in general if name not in process}, prefix, others)
    layer = Layer(document.path, fields, reader.providers(sections.get("providers")))
    key = next((name for name in ("api_key", "api_key_env") if name in fields), None)
    reader.at((*prefix, *([key] if key else [])), lambda: check_key(layer))
    profiles = reader.profiles(sections.get("profiles"))
    reader.check_targets(layer, profiles, prefix)
    if document.readable_by_others and reader.has_key:
        text = "%s holds keys and can be read by other users: chmod 600, or name variables with api_key_env"
        warn_once(("readable", document.path), text, document.path)
    return FileSettings(
        document, layer, profiles, {name: value for name, value in process.items() if value is not None}, prefix
    )


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self.has_key = False

    def at(self, path: Path, read: Callable[[], Read], where: str | None = None) -> Read:
        """Call something; its error gets the place in the file, which is the mapping around the path unless given."""
        where = _shown(path[:-1]) if where is None else where
        value, problem = attempt(read)
        if problem is not None:
            raise self._document.error(path, f"in {where}: {problem}" if where else problem)
        return cast("Read", value)

    def sections(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sections of the file; one without any is the section of defaults itself."""
        if not value.keys() & set(SECTIONS):
            return {"defaults": value}
        if (outside := next((name for name in value if name not in SECTIONS), None)) is not None:
            text = f"fields of LLMConfig stand below one of {', '.join(SECTIONS)}."
            if outside in known_names():
                raise self._document.error((outside,), text)
            self.at((outside,), lambda: refuse_unknown({outside: None}, SECTIONS, "the file", otherwise=text))
        return value

    def mapping(self, value: Any, path: Path) -> Mapping[str, Any]:
        """Return a mapping of fields; an empty section has none."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self._document.error(path, f"{_shown(path) or 'the file'} must be a mapping of names to values.")
        return value

    def process_wide(self, fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Return the process-wide settings among the fields, checked."""
        return {name: self._process_wide(name, fields[name], path) for name in process_wide.NAMES if name in fields}

    def _process_wide(self, name: str, value: Any, path: Path) -> Any:
        return self.at((*path, name), lambda: process_wide.check(name, value, name))

    def target(self, given: Mapping[str, Any], path: Path, others: Sequence[str] = ()) -> dict[str, Any]:
        """Return the fields of a target, checked one by one, then together; unknown names may mean others."""
        fields: dict[str, Any] = {}
        for name, value in given.items():
            self._check_name(name, path, (*known_names(), *others))
            field_name = self._meant(name, fields, path)
            if value is not None:
                fields[field_name] = self._field(field_name, value, (*path, name))
        self.has_key = self.has_key or "api_key" in fields or _has_secret(fields)
        url = fields.get("base_url")
        checked_at = (*path, "base_url") if isinstance(url, str) and may_be_folder(url) else path
        self.at(checked_at, lambda: LLMConfig(**fields), where=_shown(path))
        return fields

    def _meant(self, name: str, before: Mapping[str, Any], path: Path) -> str:
        return self.at((*path, name), lambda: field_of(name, before), where="")

    def _check_name(self, name: str, path: Path, known: Sequence[str]) -> None:
        where = _shown(path) or "the file"
        if name not in known and (hint := _hint(name, path)):
            raise self._document.error((*path, name), f"{where} has no field {name!r}: {hint}")
        others = (
            f"known are {', '.join(known)}."
            if known in _GROUPS.values()
            else "further fields of the request go into extra_body: {...}."
        )
        self.at((*path, name), lambda: refuse_unknown({name: None}, known, where, otherwise=others), where="")

    def _field(self, name: str, value: Any, path: Path) -> Any:
        if name not in _AS_IT_IS:
            self._refuse_variables(value, path)
        if name == "fallbacks" and isinstance(value, list):
            return tuple(self._fallback(item, (*path, index)) for index, item in enumerate(value))
        if name in _PARTS and isinstance(value, Mapping):
            for part, item in value.items():  # one by one, for the line of each
                self._part(name, part, item, path)
        return self.at(path, lambda: checked_field(name, value))

    def _part(self, name: str, part: str, item: Any, path: Path) -> None:
        if name in _GROUPS:
            self._check_name(part, path, _GROUPS[name])
        self._refuse_variables(item, (*path, part))
        self.at((*path, part), lambda: checked_field(name, {part: item}), where=_shown(path[:-1]))

    def _fallback(self, value: Any, path: Path) -> Any:
        if isinstance(value, Mapping):
            return LLMConfig(**self.target(value, path))
        if not isinstance(value, str):
            raise self._document.error(path, f"in {_shown(path[:-1])}: a fallback is a model string or a mapping.")
        return value

    def _refuse_variables(self, value: Any, path: Path) -> None:
        """Refuse what other programs replace by a variable: here it would be sent as it stands."""
        if isinstance(value, str) and _VARIABLE.search(value):
            text = "variables are not replaced here; api_key_env: NAME takes a key from one."
            raise self._document.error(path, f"in {_shown(path)}: {text}")

    def providers(self, value: Any) -> dict[str, dict[str, Any]]:
        """Return the fields for targets of each provider."""
        providers: dict[str, dict[str, Any]] = {}
        for name, fields in self.mapping(value, ("providers",)).items():
            provider, path = self._provider(name), ("providers", name)
            given = self.mapping(fields, path)
            if wrong := find_target_field(given):
                text = f"{wrong} belongs to a target: write it in a profile."
                raise self._document.error((*path, wrong), f"in {_shown(path)}: {text}")
            providers[provider] = providers.get(provider, {}) | self.target(given, path)
        return providers

    def _provider(self, name: str) -> str:
        return self.at(("providers", name), lambda: registry.row(name)).name

    def profiles(self, value: Any) -> dict[str, dict[str, Any]]:
        """Return the fields of each profile."""
        profiles: dict[str, dict[str, Any]] = {}
        for name, fields in self.mapping(value, ("profiles",)).items():
            path = ("profiles", name)
            if not PROFILE_NAME.fullmatch(name):
                raise self._document.error(path, 'the name of a profile has letters, digits, "-", "_" and "." only.')
            profiles[name] = self.target(self.mapping(fields, path), path)
        return profiles

    # The targets that the fields name

    def check_targets(self, layer: Layer, profiles: Mapping[str, Mapping[str, Any]], prefix: Path) -> None:
        """Check the models of the defaults and of all profiles, and that no profile is based on itself."""
        self._check_target(layer.fields, prefix, profiles, None)
        for name, fields in profiles.items():
            self._check_target(fields, ("profiles", name), profiles, layer.fields.get("provider"))
            self._check_cycle(name, profiles, (name,))

    def _check_target(
        self, fields: Mapping[str, Any], path: Path, profiles: Mapping[str, Any], default_provider: str | None
    ) -> None:
        model = fields.get("model")
        if (name := profile_named(model)) is not None:
            if name not in profiles:
                raise self._document.error((*path, "model"), f"there is no profile {suggest_profile(name, profiles)}")
        elif model is not None or "provider" in fields:
            provider = fields.get("provider")
            if provider is None and registry.parse_model_string(f"{model}") is None:
                provider = default_provider
            here = (*path, "provider" if model is None else "model")
            self.at(here, lambda: provider_and_model(LLMConfig(model=model, provider=provider)))
        for index, fallback in enumerate(fields.get("fallbacks", ())):
            named = {"model": fallback} if isinstance(fallback, str) else given_fields(fallback)
            self._check_target(named, (*path, "fallbacks", index), profiles, None)

    def _check_cycle(self, name: str, profiles: Mapping[str, Mapping[str, Any]], above: tuple[str, ...]) -> None:
        for path, named in _names_of_profiles(profiles[name], ("profiles", name)):
            if named in above:
                chain = " -> ".join(f"@{profile}" for profile in (*above, named))
                raise self._document.error(path, f"the profile leads back to itself: {chain}.")
            self._check_cycle(named, profiles, (*above, named))


def _names_of_profiles(fields: Mapping[str, Any], path: Path) -> list[tuple[Path, str]]:
    """Return the profiles that fields name, in ``model`` and ``fallbacks``, with the place of each."""
    named = profile_named(fields.get("model"))
    names: list[tuple[Path, str]] = [] if named is None else [((*path, "model"), named)]
    for index, fallback in enumerate(fields.get("fallbacks", ())):
        within = {"model": fallback} if isinstance(fallback, str) else given_fields(fallback)
        names += _names_of_profiles(within, (*path, "fallbacks", index))
    return names


def _has_secret(fields: Mapping[str, Any]) -> bool:
    """Return whether headers, a body or the URL of a proxy are likely to hold a key or a password."""
    proxy = fields.get("proxy")
    in_proxy = isinstance(proxy, Proxy) and proxy.has_credentials
    return in_proxy or has_key(fields.get("default_headers", {}), fields.get("extra_body", {}))


def _hint(name: str, path: Path) -> str | None:
    """Say what to do about a name that is none of a field, but has a meaning elsewhere."""
    if section := closest(name, SECTIONS, _LIKE_A_SECTION):
        return f"{section} is a section of its own, at the top of the file." if path else f"did you mean {section!r}?"
    return f"set it with {_SET_ELSEWHERE[name]}." if name in _SET_ELSEWHERE else None


def _shown(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_hidden(part)}" for part in path)
    return text.removeprefix(".")


def _hidden(name: str) -> str:
    """Return the name of a provider or a profile, unless it may be a key in the wrong place."""
    return MASK if looks_like_a_key(name) else name
