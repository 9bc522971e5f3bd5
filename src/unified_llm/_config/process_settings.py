"""The settings of this process below its constructors: what ``configure()`` set, and what the files have.

The configuration file and the ``.env`` file are read once, before the first client is made; another file is read where
the variables that name it have changed since. What a file has at that time holds for the process: a file that is
changed is read by the next process, or by another ``configure(config=...)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unified_llm._config import config_file
from unified_llm._config.profile_names import suggest_profile
from unified_llm._config.setting_layers import CONFIGURE, Layer, environment_layer
from unified_llm._core import defaults, environment
from unified_llm._core.environment import real_variable
from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm._lib.fork_safe import make_lock
from unified_llm._lib.local_files import expand_home
from unified_llm.exceptions import ConfigurationError

if TYPE_CHECKING:
    from unified_llm._config.file_sections import FileSettings

ENV_FILE: Final = "UNIFIED_LLM_ENV_FILE"
# The variables that say where the configuration file is.
_PLACES: Final = (config_file.VARIABLE, "XDG_CONFIG_HOME", "HOME", "APPDATA")


class State(NamedTuple):
    """What is set now; replaced as a whole, under the lock.

    Attributes:
        configured: What ``configure()`` set.
        file: The settings of the file, if there is one.
        chosen: The file was chosen by ``configure(config=...)``.
        env_file: The path of the ``.env`` file that ``configure(env_file=...)`` chose.
        read_for: The variables that named the files when they were read.
    """

    configured: Layer
    file: FileSettings | None = None
    chosen: bool = False
    env_file: str | None = None
    read_for: tuple[str | None, ...] | None = None


LOCK: Final = make_lock()
NOTHING_SET: Final = State(Layer(CONFIGURE))
_state = NOTHING_SET


def state() -> State:
    """Return what is set now; the files are read if they have not been.

    Raises:
        ConfigurationError: A file is wrong.
    """
    if _state.read_for != _names_of_files():
        with LOCK, CLEAR_VARIABLES:
            if _state.read_for != _names_of_files():  # or another thread has read them meanwhile
                _read_files()
    return _state


def without_reading() -> State:
    """Return what is set now, whether the files were read or not."""
    return _state


def replace_state(new: State, variables: Hidden[Mapping[str, str]] | None = None) -> None:
    """Set what ``configure()`` has checked; the caller holds the lock.

    Args:
        new: What is set from now on.
        variables: Those of a ``.env`` file that was chosen or removed; None if neither.
    """
    global _state  # noqa: PLW0603 - the one state of the process, replaced here and when the files are read
    if variables is not None:
        environment.set_file(new.env_file or "", variables if new.env_file else None)
    defaults.set_file(new.file.process if new.file else {})
    _state = new


def _names_of_files() -> tuple[str | None, ...]:
    return real_variable(ENV_FILE), *map(environment.variable, _PLACES)


def _read_files() -> None:
    now = _state
    variables: Hidden[Mapping[str, str]] | None = None
    if now.env_file is None:
        named = (real_variable(ENV_FILE) or "").strip()
        if named != environment.file_in_use():
            environment.set_file(
                named, read_variables(named, f"the environment variable {ENV_FILE}") if named else None
            )
    settings = now.file if now.chosen else None
    if not now.chosen and (located := config_file.find()):
        settings = read_settings(*located)
    replace_state(now._replace(file=settings, read_for=_names_of_files()), variables)


def read_settings(path: Path, named_by: str) -> FileSettings:
    """Read and check a configuration file.

    Raises:
        ConfigurationError: It cannot be read, or something in it is wrong.
    """
    from unified_llm._config.file_sections import read_sections

    with CLEAR_VARIABLES:
        return read_sections(config_file.read_document(path, named_by))


def read_variables(path: str, named_by: str) -> Hidden[Mapping[str, str]]:
    """Read a ``.env`` file.

    Raises:
        ConfigurationError: It cannot be read, or a line of it is wrong.
    """
    from unified_llm._config.env_file import read_env_file

    with CLEAR_VARIABLES:
        return read_env_file(expand_home(path), named_by)


def layers() -> tuple[Layer, ...]:
    """Return the layers that set anything, the strongest first.

    Raises:
        ConfigurationError: A file or a variable of the environment is wrong.
    """
    now = state()
    with CLEAR_VARIABLES:
        existing = (now.configured, environment_layer(), *((now.file.layer,) if now.file else ()))
    return tuple(layer for layer in existing if layer)


def profile(name: str) -> Mapping[str, Any]:
    """Return the fields of a profile of the configuration file.

    Raises:
        ConfigurationError: There is no file, or no such profile in it.
    """
    settings = state().file
    if settings is None:
        usual = next(config_file.places(), None)
        raise ConfigurationError(
            f'"@{name}" is a profile of a configuration file, and there is none: name it with configure(config=...) or '
            f"{config_file.VARIABLE}{f', or write {usual}' if usual else ''}."
        )
    if name not in settings.profiles:
        where = settings.document.path
        raise ConfigurationError(f"{where} has no profile {suggest_profile(name, settings.profiles)}")
    return settings.profiles[name]
