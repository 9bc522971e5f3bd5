"""Messages that name arguments of the Python interface, in the words of the command line."""

from __future__ import annotations

import re
from typing import Final

# Argument, and the option that sets it.
_OPTIONS: Final = {
    "model": "--model", "provider": "--provider", "base_url": "--base-url", "timeout": "--timeout",
    "temperature": "--temperature", "max_tokens": "--max-tokens", "fallbacks": "--fallback", "api_key": "--api-key-env",
    "api_key_env": "--api-key-env", "dimensions": "--dimensions", "batch_size": "--batch-size", "purpose": "--purpose",
    "supports": "--supports", "rpm": "--rpm", "tpm": "--tpm",
}  # fmt: skip
# Whole phrases.
_WRITTEN: Final = {
    " or deadline=": "",
    "What had arrived is in .partial; the request": "The request",
    "skip_unconfigured=True": "--skip-unconfigured",
    "configure(config=...)": "--config",
    "; an API key itself is passed as api_key= of a client or a fallback": ", not the API key itself",
    "pass the key as api_key=": "name the variable that holds it with --api-key-env",
}
# The name with an equals sign, and the dots that stand for a value.
_ARGUMENT: Final = re.compile(rf"(?<![\w.(-])({'|'.join(_OPTIONS)})=(\"\.\.\.\")?(?=[\s,;.:)]|$)")
_OF_A_FILE: Final = re.compile(r", line \d+: in (defaults|providers|profiles)\b")
_IN_DETAIL: Final = re.compile(r"\.detail (holds the provider's message|says where)")


def name_options(message: str) -> str:
    """Return a message with options in place of the arguments that it names."""
    if _OF_A_FILE.search(message):  # which has fields rather than options
        return message
    for written, option in _WRITTEN.items():
        message = message.replace(written, option)
    message = _ARGUMENT.sub(lambda match: _OPTIONS[match[1]], message)
    return _IN_DETAIL.sub("--verbose shows the provider's message", message)
