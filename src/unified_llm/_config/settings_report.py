"""What holds in this process, and where each value comes from, for ``unified-llm config``. No value is a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unified_llm._config import config_file, process_settings, process_wide
from unified_llm._config.checked_field import attempt
from unified_llm._config.constructor_names import ALIASES
from unified_llm._config.credentials import find_endpoint, has_own_address, has_own_key
from unified_llm._config.field_groups import CONNECTION_FIELDS, KEY_FIELDS
from unified_llm._config.llm_config import LLMConfig, default_fields
from unified_llm._config.merged_fields import merge
from unified_llm._config.setting_layers import Layer, unknown_variables
from unified_llm._core import defaults
from unified_llm._core.client_certificate import ClientCertificate
from unified_llm._core.environment import file_in_use, source_of, variable, variable_of
from unified_llm._core.redaction import MASK, looks_like_a_key
from unified_llm._lib.close_names import closest
from unified_llm._lib.local_files import expand_home
from unified_llm._lib.located import Path as DocumentPath
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec

if TYPE_CHECKING:
    from unified_llm._config.file_sections import FileSettings

DEFAULT: Final = "default"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that holds.

    Attributes:
        name: A field of ``LLMConfig``, ``openai.base_url`` for one of a provider, or ``@production`` for a profile.
        value: Its value as text; ``set (OPENAI_API_KEY)`` for a key.
        source: ``configure()``, the name of a variable, ``file:line``, or ``default``.
    """

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class MergedSettings:
    """All settings of this process.

    Attributes:
        config_file: The path of the configuration file that was read, or None.
        env_file: The path of the ``.env`` file that was read, or None.
        settings: The fields that hold for every target, then those of the process.
        providers: Keys, addresses and other fields of providers.
        profiles: The profiles of the file, with the models of each as value.
        warnings: What is set and has no meaning, such as a misspelled variable.
    """

    config_file: str | None
    env_file: str | None
    settings: tuple[Setting, ...]
    providers: tuple[Setting, ...] = ()
    profiles: tuple[Setting, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A path where a configuration file is looked for.

    Attributes:
        path: The path.
        named_by: ``configure(config=...)``, the variable that names it, or ``default``.
        exists: There is such a file.
        is_read: It is the one that is read.
    """

    path: str
    named_by: str
    exists: bool
    is_read: bool


def merged_settings(*, with_defaults: bool = True) -> MergedSettings:
    """Return what holds for clients that are made now.

    Args:
        with_defaults: Whether to list fields that nothing sets, with their defaults.

    Raises:
        ConfigurationError: A file or a variable is wrong.
    """
    layers, now = process_settings.layers(), process_settings.state()
    settings = [*_fields(layers, now.file, with_defaults=with_defaults)]
    settings += _of_the_process(now.file, with_defaults=with_defaults)
    providers = sorted(_of_providers(layers, now.file), key=lambda setting: setting.name)
    return MergedSettings(
        now.file.document.path if now.file else None,
        file_in_use() or None,
        tuple(settings),
        tuple(providers),
        tuple(_profiles(now.file)),
        tuple(_warnings()),
    )


def file_places() -> tuple[FilePlace, ...]:
    """Return the paths where a configuration file is looked for, in order; nothing is read."""
    now, named = process_settings.without_reading(), config_file.find()
    places: list[tuple[Path, str]] = []
    if now.chosen and now.file:
        places.append((Path(now.file.document.path), "configure(config=...)"))
    if named and named[1] == source_of(config_file.VARIABLE):
        places.append(named)
    else:
        places += [(path, DEFAULT) for path in config_file.places()]
    read = places[0][0] if now.chosen and now.file else named[0] if named else None
    return tuple(FilePlace(str(path), by, path.is_file(), path == read) for path, by in places)


def check_file(path: str | Path | None = None) -> str | None:
    """Read and check a configuration file, the one that would be read unless another is given.

    Returns:
        Its path; None where there is no file.

    Raises:
        ConfigurationError: The file is wrong, with the line and the field.
    """
    named = (expand_home(path), "the command") if path is not None else config_file.find()
    return process_settings.read_settings(*named).document.path if named else None


def _fields(layers: tuple[Layer, ...], file: FileSettings | None, *, with_defaults: bool) -> Iterator[Setting]:
    for name, default in default_fields().items():
        layer = next((layer for layer in layers if name in layer.fields), None)
        if layer is not None:
            source = _source(layer, (name,), file)
            yield Setting(name, _shown(name, layer.fields[name], source), source)
        elif with_defaults and name not in KEY_FIELDS:
            yield Setting(name, _shown(name, default, DEFAULT), DEFAULT)


def _of_the_process(file: FileSettings | None, *, with_defaults: bool) -> Iterator[Setting]:
    for name in process_wide.NAMES:
        in_environment = variable_of(name)
        if (value := defaults.configured(name)) is not None:
            source = "configure()"
        elif value := variable(in_environment):
            source = _variable_source(in_environment)
        elif file and (value := file.process.get(name)) is not None:
            source = _line(file, (*file.prefix, name))
        elif with_defaults:
            source = DEFAULT
        else:
            continue
        yield Setting(name, _shown(name, value, source), source)


def _of_providers(layers: tuple[Layer, ...], file: FileSettings | None) -> Iterator[Setting]:
    for spec in registry.specs():
        fields: dict[str, Setting] = {}
        for layer in layers:
            for name, value in layer.providers.get(spec.name, {}).items():
                source = _source(layer, ("providers", spec.name, name), file)
                fields.setdefault(name, Setting(f"{spec.name}.{name}", _shown(name, value, source), source))
        yield from (setting for name, setting in fields.items() if name not in CONNECTION_FIELDS)
        is_named = any(layer.provider == spec.name for layer in layers)
        if fields or is_named or has_own_address(spec) or has_own_key(spec):
            yield from _connection_or_problem(spec, layers, file)


def _connection_or_problem(
    spec: ProviderSpec, layers: tuple[Layer, ...], file: FileSettings | None
) -> Iterator[Setting]:
    """Yield the address and the key of a provider, or why it has no targets: other providers may have them."""
    settings, problem = attempt(lambda: [*_of_connection(spec, layers, file)])
    yield from settings or ()
    if problem is not None:
        yield Setting(spec.name, f"cannot be used: {problem}", "")


def _of_connection(spec: ProviderSpec, layers: tuple[Layer, ...], file: FileSettings | None) -> Iterator[Setting]:
    """Yield the address and the key of the targets of a provider that name none themselves."""
    address, key = f"{spec.name}.base_url", f"{spec.name}.api_key"
    config = merge(LLMConfig(provider=spec.name), spec, layers)
    variable_of_address = next((name for name in spec.base_url_env if variable(name)), "")
    if config.base_url is not None:
        yield Setting(
            address,
            config.base_url,
            _connection_source("base_url", config.base_url, spec=spec, layers=layers, file=file),
        )
    elif variable_of_address:
        yield Setting(address, find_endpoint(config, spec, []).base_url, _variable_source(variable_of_address))
    if (name := next((name for name in sorted(KEY_FIELDS) if getattr(config, name) is not None), None)) is not None:
        source = _connection_source(name, getattr(config, name), spec=spec, layers=layers, file=file)
        yield Setting(f"{spec.name}.{name}", _shown(name, getattr(config, name), source), source)
    elif has_own_key(spec):
        source = _variable_source(next(name for name in (*spec.token_env, *spec.key_env) if variable(name)))
        is_sent = find_endpoint(config, spec, []).own_host
        yield Setting(key, f"set ({source}){'' if is_sent else ', not sent to this address'}", source)


def _connection_source(
    name: str, value: object, *, spec: ProviderSpec, layers: tuple[Layer, ...], file: FileSettings | None
) -> str:
    for layer in layers:
        if layer.providers.get(spec.name, {}).get(name) == value:
            return _source(layer, ("providers", spec.name, name), file)
        if layer.fields.get(name) == value:
            return _source(layer, (name,), file)
    return DEFAULT


def _profiles(file: FileSettings | None) -> Iterator[Setting]:
    for name, fields in (file.profiles if file else {}).items():
        assert file is not None  # noqa: S101 - it has profiles
        models = [fields.get("model") or fields.get("provider") or "", *map(_named, fields.get("fallbacks", ()))]
        yield Setting(f"@{name}", " -> ".join(map(str, models)), _line(file, ("profiles", name)))


def _named(fallback: Any) -> str:
    if isinstance(fallback, str):
        return fallback
    return fallback.model or fallback.provider or fallback.base_url or ""


def _warnings() -> Iterator[str]:
    known = [variable_of(name) for name in (*default_fields(), *process_wide.NAMES)]
    for name in unknown_variables():
        near = closest(name, known, 0.85)
        yield f"the environment variable {name} has no meaning here{f': did you mean {near}?' if near else ''}"


def _source(layer: Layer, path: tuple[str, ...], file: FileSettings | None) -> str:
    if layer.is_configured:
        return layer.name
    if file is not None and layer is file.layer:
        return _line(file, path if path[0] == "providers" else (*file.prefix, *path))
    if path[0] == "providers":
        named = next(name for name in registry.row(path[1]).timeout_env if variable(name))
        return _variable_source(named)
    return _variable_source(variable_of(path[-1]))


def _line(file: FileSettings, path: DocumentPath) -> str:
    """Return file and line of a setting, which may stand there under another name."""
    lines = file.document.content.lines
    written = (path, *((*path[:-1], alias) for alias, name in ALIASES.items() if name == path[-1]))
    line = next((lines[each] for each in written if each in lines), file.document.content.line(path))
    return f"{file.document.path}:{line}"


def _variable_source(name: str) -> str:
    source = source_of(name)
    return name if source.startswith("the environment") else source.removeprefix("the variable ")


def _shown(name: str, value: Any, source: str) -> str:
    """Return a value as text, without keys and passwords: a body may hold any, so of it the names are shown."""
    if name == "api_key_env" and value:
        return f"{'set' if variable(value) else 'not set'} ({value})"
    if name in KEY_FIELDS or name == "state":
        return "" if value is None else f"set ({source})"
    if name == "extra_body":
        return ", ".join(value)
    if isinstance(value, ClientCertificate):
        return ", ".join(value.paths)
    if name == "fallbacks":
        return ", ".join(map(_named, value))
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str) and looks_like_a_key(text):
        return MASK
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
