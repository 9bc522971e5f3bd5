"""``.env`` files: variables that this package alone sees, and that do not replace those of the environment."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from unified_llm._config.config_file import read_text
from unified_llm._core.hidden import Hidden
from unified_llm.exceptions import ConfigurationError


def read_env_file(path: Path, named_by: str) -> Hidden[Mapping[str, str]]:
    """Read the variables of a file.

    Args:
        path: The file.
        named_by: What named it, for messages.

    Raises:
        ConfigurationError: It cannot be read, a line is no ``NAME=value``, or the parser is not installed.
    """
    text = read_text(path, named_by)[0]
    try:
        from dotenv import dotenv_values
        from dotenv.parser import parse_stream
    except ModuleNotFoundError:
        raise ConfigurationError("Reading .env files needs an extra: run pip install 'unified-llm[yaml]'.") from None
    wrong = next((line for line in parse_stream(io.StringIO(text)) if line.error), None)
    if wrong is not None:
        number = wrong.original.line
        raise ConfigurationError(f"{path}, line {number}: it is not NAME=value: put the value in quotes.")
    values = dotenv_values(stream=io.StringIO(text))
    return Hidden({name: value for name, value in values.items() if value is not None})
