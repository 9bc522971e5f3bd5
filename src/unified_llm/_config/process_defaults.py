"""``configure()``: checks and sets process-wide defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from unified_llm._config import process_wide
from unified_llm._core import defaults
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.local_files import absolute_path
from unified_llm._lib.signatures import Keywords, show_keywords
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._config.default_keywords import DefaultKeywords
    from unified_llm._config.process_settings import State

_FILES: Final = ("config", "env_file")


def _keywords() -> Keywords:
    from unified_llm._config.default_keywords import DefaultKeywords

    return DefaultKeywords, {}


@show_keywords(_keywords)
def configure(**values: Unpack[DefaultKeywords]) -> None:
    """Set process-wide defaults; ``None`` removes one.

    They hold for clients made afterwards, where the constructor says nothing else; clients that exist keep what they
    have. A file or the environment may set the same names: this goes before both.

    Args:
        **values: Fields of ``LLMConfig`` for every target (``timeout``, ``temperature``, ``proxy`` ...); ``model``,
            ``provider`` and ``fallbacks`` are those of a client that names none. ``providers``: fields for the targets
            of one provider, its key and address among them: ``{"openai": {"api_key": ..., "base_url": ...}}``; the key
            is sent to the address beside it and to the provider's own hosts alone, and None removes a provider's
            fields. ``config``: the path of a configuration file, which is read now. ``env_file``: the path of a
            ``.env`` file, whose variables this package alone sees. ``error_details`` (at once): True adds the
            provider's own message to that of an exception, where it may quote the prompt. ``telemetry`` (at once):
            False sends nothing to OpenTelemetry; ``"without_usage"`` counts no tokens, for a tracing tool that does and
            is not recognised; True counts them even where a tool is. ``model_cache`` (at once): True, or the path of a
            folder, stores model lists there for later processes. ``state`` (at once): a Redis URL; breakers,
            cooldowns and model lists are shared with the processes that use the same.

    Raises:
        ConfigurationError: A name is unknown, a value makes no sense, a file is wrong, or an extra is missing. Nothing
            is then changed.
    """
    given: Hidden[dict[str, Any]] = Hidden({**values})
    del values
    with CLEAR_VARIABLES:
        _configure(given.value)


def _configure(values: dict[str, Any]) -> None:
    """Check everything, then set it."""
    at_once = {
        name: process_wide.check(name, values.pop(name), f"configure({name}=...)")
        for name in process_wide.NAMES
        if name in values
    }
    if values:
        from unified_llm._config import process_settings
        from unified_llm._config.configured_layer import changed_layer

        with process_settings.LOCK:
            now = process_settings.without_reading()
            files: dict[str, Any] = {name: values.pop(name) for name in _FILES if name in values}
            layer = changed_layer(now.configured, values)
            new, variables = _with_files(now._replace(configured=layer), files)
            process_settings.replace_state(new, variables)
    for name, value in at_once.items():
        defaults.store(name, value)
    if "state" in at_once:
        from unified_llm._state import sharing

        sharing.attach()


def _with_files(now: State, files: Mapping[str, Any]) -> tuple[State, Hidden[Mapping[str, str]] | None]:
    """Return the state with other files, and the variables of the ``.env`` file if that is another one."""
    from unified_llm._config import process_settings

    variables: Hidden[Mapping[str, str]] | None = None
    if "env_file" in files:
        path = _absolute("env_file", files["env_file"])
        variables = process_settings.read_variables(path, "configure(env_file=...)") if path else Hidden({})
        now = now._replace(env_file=path or None, read_for=None)
    if "config" in files:
        path = _absolute("config", files["config"])
        settings = process_settings.read_settings(Path(path), "configure(config=...)") if path else None
        now = now._replace(file=settings, chosen=bool(path), read_for=None)
    return now, variables


def _absolute(name: str, path: object) -> str:
    """Return a path that a later change of the working directory does not change; empty for None."""
    if path is None:
        return ""
    if not isinstance(path, (str, os.PathLike)) or not str(path).strip():
        raise ConfigurationError(f"configure({name}=...) takes the path of a file, not {type(path).__name__}.")
    return str(absolute_path(os.fsdecode(path)))


configure.__module__ = "unified_llm"  # where users import it from
