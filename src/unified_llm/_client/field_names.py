"""Names of the fields of a request: those that others give them, and what a name means that is none.

Looked at only where a call has a name that is no field. The messages repeat names, and never values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from unified_llm._client.call_options import OPTION_NAMES
from unified_llm._config.constructor_names import CALL_ALIASES, DEPLOYMENT_NAMES, MAX_TOKENS_NAMES, SYSTEM_NAMES
from unified_llm._core.not_in_a_body import advice_on
from unified_llm._lib.close_names import LIKENESS, closest
from unified_llm.exceptions import LLMError, ValidationError

_VERY_LIKE: Final = 0.8  # where another name would be sent
_ALIASES: Final = {**CALL_ALIASES, "timeout_override": "timeout", "fallback_configs": "fallbacks"}
_SHORT: Final[Mapping[str, str]] = {
    "temp": "temperature", "freq_penalty": "frequency_penalty", "pres_penalty": "presence_penalty",
    "num_completions": "n", "candidate_count": "n", "random_seed": "seed",
    **dict.fromkeys(MAX_TOKENS_NAMES, "max_tokens"),
}  # fmt: skip
# What is meant, and how a call of a client is written.
_PROMPT: Final = "the prompt comes first", ', as a string, or as "messages" of a dict: generate("...")'
_SYSTEM: Final = "a system text is a message", ': generate([("system", "..."), ("user", "...")])'
_FORMAT: Final = "ask for JSON with response_format=", '{"type": "json_schema", "json_schema": {...}}'
_IMAGES: Final = "an image belongs to a message", ": [Message.user(text, images=[...])]"
_FILES: Final = "a recording or a file belongs to a message", ": [Message.user(text, audio=[...], files=[...])]"
_CLIENT: Final = "it belongs to the constructor", " of the client: LLMClient(...)"
_DEPLOYMENT: Final = "the deployment is the model", ': generate(..., model="azure/<deployment>")'
_FALLBACKS: Final = "other targets of one call go into fallbacks=[...]", ": generate(..., fallbacks=[...])"
_ADVICE: Final[Mapping[str, tuple[str, str]]] = {
    "role": ("one message alone goes into a list", ': [{"role": "user", "content": "..."}]'),
    **dict.fromkeys(("prompt", "input", "inputs", "text", "query", "question", "contents", "content"), _PROMPT),
    **dict.fromkeys(SYSTEM_NAMES, _SYSTEM),
    **dict.fromkeys(("schema", "json_schema", "response_model", "output_schema", "json_mode"), _FORMAT),
    **dict.fromkeys(("image", "images", "image_url", "attachments"), _IMAGES),
    **dict.fromkeys(("file", "files", "audio_file", "recording"), _FILES),
    **dict.fromkeys(("provider", "skip_unconfigured", "on_attempt"), _CLIENT),
    **dict.fromkeys(("fallback", "fallback_models", "backup", "backups"), _FALLBACKS),
    **dict.fromkeys(DEPLOYMENT_NAMES, _DEPLOYMENT),
    "n": ("a call of this adapter has one response", ""),  # of the others it is a field
    "functions": ("functions are tools: tools=[...]", ""),
    "function_call": ("functions are tools: tools=[...] and tool_choice=", ""),
}
_IN_A_BODY: Final = "fields that only some providers know go into extra_body={...}."


def rename(given: dict[str, Any], aliases: Mapping[str, str] = _ALIASES) -> None:
    """Give fields under other providers' names our names.

    Raises:
        ValidationError: One is given by both names.
    """
    for alias in given.keys() & aliases.keys():
        value, name = given.pop(alias), aliases[alias]
        if given.get(name) is not None and value is not None:
            raise ValidationError(f"{name} and {alias} are the same field of a request: pass one of them.")
        given.setdefault(name, value)


def move_to_body(
    given: Mapping[str, Any], fields: Collection[str], known_to_api: Callable[[str | None], Collection[str]]
) -> dict[str, Any]:
    """Return the fields of a request with those that only its provider's API knows in ``extra_body``.

    Args:
        given: Fields, some of which are not among ``fields``.
        fields: The names of the fields of a request.
        known_to_api: Returns the further body fields that the API of a call's first target documents, by its ``model``.

    Raises:
        ValidationError: One is unknown to both.
    """
    model = given.get("model")
    api_fields = known_to_api(model if isinstance(model, str) else None)
    moved = {name: value for name, value in given.items() if name not in fields and name in api_fields}
    refuse((name for name in given if name not in fields and name not in moved), {*fields, *OPTION_NAMES})
    kept = {name: value for name, value in given.items() if name in fields}
    set_values = {name: value for name, value in moved.items() if value is not None}
    body = kept.get("extra_body") or {}
    return {**kept, "extra_body": {**body, **set_values} if isinstance(body, Mapping) else body}


def refuse(names: Iterable[Any], fields: Collection[str]) -> None:
    """Refuse names that are no fields of a request.

    Raises:
        ValidationError: There is one. The message says what is meant, or where it belongs.
    """
    for name in names:
        text = str(name)
        if text in OPTION_NAMES:
            hint = f"it is an option of the call: generate(..., {text}=...)."
        elif advice := advice_on(text) or "".join(_ADVICE.get(text, ())):
            hint = f"{advice.rstrip('.')}."
        elif near := _nearest(text, fields, LIKENESS):
            hint = f"did you mean {near!r}? ({_IN_A_BODY.capitalize()})"
        else:
            hint = _IN_A_BODY
        raise ValidationError(f"A request has no field {name!r}: {hint}")


def refuse_misplaced(names: Iterable[str], fields: Collection[str], error: type[LLMError]) -> None:
    """Refuse names unknown to every API that belong elsewhere, or are very like that of a field: others go into a body.

    Raises:
        LLMError: Of the class ``error``.
    """
    from unified_llm._providers.api_fields import is_known  # few calls have other names

    for name in names:
        if is_known(name):
            continue
        if advice := _ADVICE.get(name):
            raise error(f"A request has no field {name!r}: {advice[0]}. ({_IN_A_BODY.capitalize()})")
        if near := _nearest(name, fields, _VERY_LIKE):
            raise error(f"A request has no field {name!r}: did you mean {near!r}? ({_IN_A_BODY.capitalize()})")


def _nearest(name: str, fields: Collection[str], likeness: float) -> str | None:
    """Return the field that is meant by a name: a short one, that of another package, or a misspelled one."""
    if (meant := _SHORT.get(name.lower())) in fields:
        return meant
    return closest(name, fields, likeness)
