"""The options of a chat request: fields of ``LLMRequest``, and further ones in ``extra_body``.

The names are those of vLLM and of ``mlx_lm.server``. Each option that is named here works, in the batch and on the
serial path; whatever else is in ``extra_body`` is refused, or left out with a note in the log where another target of
the chain may know it. The table in docs/mlx.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from unified_llm._backends.mlx.closed_schemas import close_objects
from unified_llm._backends.mlx.engine_types import Constraint, EngineError, Sampling
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.target import Target
from unified_llm._formats.request_fields import effective
from unified_llm._lib import bounded_json
from unified_llm._lib.close_names import closest
from unified_llm._providers.api_fields import fields_of, is_known
from unified_llm.types.messages import ResponseFormat
from unified_llm.types.requests import LLMRequest

_SAMPLING_FIELDS: Final = (
    "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
)  # fmt: skip
_LOGIT_BIAS: Final = 100  # of OpenAI: tokens with -100 are never written, with 100 always
_BIASED_TOKENS: Final = 1024
_MOST_TOKENS: Final = 1 << 31
_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}


class OptionError(EngineError):
    """An option has a value that cannot be right."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_request", message)


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options of one request.

    Attributes:
        sampling: How its tokens are chosen.
        constraint: What the response has to conform to; None for any text.
        template: Variables of the chat template (``chat_template_kwargs``).
    """

    sampling: Sampling
    constraint: Constraint | None = None
    template: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


def read_options(request: LLMRequest, target: Target) -> RequestOptions:
    """Read the options of a request, and the target's defaults for them.

    Raises:
        EngineError: A value cannot be right (``bad_request``), or no API has an option of this name (``unsupported``).
    """
    fields = {name: effective(request, name, target) for name in _SAMPLING_FIELDS}
    further = {**target.extra_body, **request.extra_body}
    options = {name: value for name, value in {**fields, **further}.items() if value is not None}
    for name in options.keys() - _READ.keys():
        leave_out(name, target)
    read = {name: _READ[name](name, value) for name, value in options.items() if name in _READ}
    for name, (least, most) in target.quirks.limits.items():
        if name in read and not least <= read[name] <= most:
            raise OptionError(f"{name} must be {least:g} to {most:g} at {target.name}.")
    template = read.pop("chat_template_kwargs", {})
    constraints = [read.pop(name) for name in _CONSTRAINTS if name in read]
    if request.response_format is not None:
        constraints.append(_constraint_of_format(request.response_format))
    if len(constraints) > 1:
        raise OptionError("A response has one constraint: response_format, structured_outputs or one of guided_*.")
    if read.get("top_logprobs"):
        read["logprobs"] = True
    return RequestOptions(Sampling(**read), next(iter(constraints), None), template)


def find_mistake(extra_body: Mapping[str, Any], target: Target) -> str | None:
    """Return what is wrong with the ``extra_body`` of a configuration; None if MLX has all of its options."""
    for name, value in extra_body.items():
        if name not in _READ:
            return _no_such_option(name, target)
        try:
            _READ[name](name, value)
        except OptionError as error:
            return str(error)
    return None


def leave_out(name: str, target: Target) -> None:
    """Note in the log that an option is not known to MLX.

    Raises:
        EngineError: It is not known to any other API, so that it is not meant for another target.
    """
    if not is_known(name):
        raise EngineError("unsupported", _no_such_option(name, target))
    report_dropped(name, target.name, "which has no such option")


def _no_such_option(name: str, target: Target) -> str:
    near = closest(name, [*fields_of(target), *_SAMPLING_FIELDS])
    return f"MLX has no option {name!r}" + (f": did you mean {near!r}?" if near else ": leave it out of extra_body.")


def _number(name: str, value: Any) -> float:
    if (number := bounded_json.finite(value)) is None:
        raise OptionError(f"{name} must be a finite number.")
    return number


def _share(name: str, value: Any) -> float:
    if not 0 <= (share := _number(name, value)) <= 1:
        raise OptionError(f"{name} must be 0 to 1.")
    return share


def _factor(name: str, value: Any) -> float:
    if (factor := _number(name, value)) <= 0:
        raise OptionError(f"{name} must be greater than 0; 1 changes nothing.")
    return factor


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name} must be a whole number.")
    return value


def _count(name: str, value: Any) -> int:
    if (count := _whole(name, value)) < 0:
        raise OptionError(f"{name} must be a whole number, 0 or greater.")
    return count


def _context_size(name: str, value: Any) -> int:
    """Read the number of last tokens; more than any response has are all."""
    size = _count(name, value)
    return size if size < _MOST_TOKENS else 0


def _top_k(name: str, value: Any) -> int:
    """Read the number of tokens; vLLM writes -1 for all as well."""
    return 0 if value == -1 else _count(name, value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False.")
    return value


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    options: Any = value if isinstance(value, Mapping) else None
    if options is None or not all(isinstance(key, str) for key in options):
        raise OptionError(f"{name} must be a mapping of names to values.")
    return cast("Mapping[str, Any]", options)


def _template_options(name: str, value: Any) -> Mapping[str, Any]:
    """Read variables of the chat template as JSON: the methods of other objects would be the template's to call."""
    try:
        options: Mapping[str, Any] = bounded_json.parse(bounded_json.dump(_mapping(name, value)))
    except bounded_json.JSONError:
        raise OptionError(f"{name} must have values of JSON: texts, numbers, lists, mappings.") from None
    return options


def _logit_bias(name: str, value: Any) -> Mapping[int, float]:
    """Read a mapping of token ids; in JSON they are written as text."""
    given: Any = value if isinstance(value, Mapping) else None
    if given is None or len(given) > _BIASED_TOKENS:
        raise OptionError(f"{name} must be a mapping of token ids to numbers, {_BIASED_TOKENS} at most.")
    bias: dict[int, float] = {}
    for token, number in given.items():
        text = str(token)
        if isinstance(token, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
            raise OptionError(f"The keys of {name} must be ids of tokens, whole numbers: texts are not known to it.")
        if abs(amount := _number(f"A value of {name}", number)) > _LOGIT_BIAS:
            raise OptionError(f"The values of {name} must be -{_LOGIT_BIAS} to {_LOGIT_BIAS}.")
        bias[int(text)] = amount
    return bias


# Constraints


def _constraint_of_format(response_format: ResponseFormat) -> Constraint:
    schema = _ANY_OBJECT if response_format.schema is None else close_objects(response_format.schema)
    return _json_schema("response_format", schema)


def _structured_outputs(name: str, value: Any) -> Constraint:
    """Read vLLM's ``structured_outputs``: a mapping with one kind of constraint."""
    kinds = {kind: inner for kind, inner in _mapping(name, value).items() if inner not in (None, False)}
    if len(kinds) != 1 or not kinds.keys() <= _KINDS.keys():
        raise OptionError(f"{name} must have one of {', '.join(_KINDS)}, and nothing else.")
    (kind,) = kinds
    constraint: Constraint = _KINDS[kind](f"{name}.{kind}", kinds[kind])
    return constraint


def _json_schema(name: str, value: Any) -> Constraint:
    try:
        schema = bounded_json.parse(value) if isinstance(value, str) else value
        if isinstance(schema, Mapping):
            return Constraint("json_schema", bounded_json.dump(schema))
    except bounded_json.JSONError:
        pass
    raise OptionError(f"{name} must be a JSON schema: an object, or one as text.")


def _json_object(name: str, value: Any) -> Constraint:
    del value
    return _json_schema(name, _ANY_OBJECT)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise OptionError(f"{name} must be a text that is not empty.")
    if bounded_json.scrub(value) != value:
        raise OptionError(f"{name} has half of a surrogate pair, which no token has.")
    return value


def _regex(name: str, value: Any) -> Constraint:
    return Constraint("regex", _text(name, value))


def _grammar(name: str, value: Any) -> Constraint:
    return Constraint("lark", _text(name, value))


def _choice(name: str, value: Any) -> Constraint:
    texts: Any = value if isinstance(value, Sequence) and not isinstance(value, str) else None
    if not texts:
        raise OptionError(f"{name} must be a list of texts, one of which is the response.")
    alternatives = [bounded_json.dump(_text(f"A text of {name}", text)) for text in texts]
    return Constraint("lark", f"start: {' | '.join(alternatives)}")


_Read: TypeAlias = Callable[[str, Any], Any]
_KINDS: Final[Mapping[str, _Read]] = {
    "json": _json_schema, "json_object": _json_object, "regex": _regex, "choice": _choice, "grammar": _grammar,
}  # fmt: skip
# vLLM has "structured_outputs" now, and had "guided_json" and so on before.
_CONSTRAINTS: Final[Mapping[str, _Read]] = {
    "structured_outputs": _structured_outputs,
    **{f"guided_{kind}": read for kind, read in _KINDS.items() if kind != "json_object"},
}
_READ: Final[Mapping[str, _Read]] = {
    "temperature": _number,
    "top_p": _number,
    "top_k": _top_k,
    "min_p": _share,
    "seed": _whole,
    "repetition_penalty": _factor,
    "repetition_context_size": _context_size,
    "presence_penalty": _number,
    "frequency_penalty": _number,
    "logit_bias": _logit_bias,
    "logprobs": _switch,
    "top_logprobs": _count,
    "chat_template_kwargs": _template_options,
    **_CONSTRAINTS,
}
