"""The options of requests to MLX, with what shows that each works on each path, and what is refused.

``python -m integration_tests.mlx.option_table`` writes the table into docs/mlx.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from unified_llm.types import LLMResponse

Response: TypeAlias = LLMResponse
Effect: TypeAlias = Callable[[LLMResponse, LLMResponse], bool]
"""Takes the response without an option and the one with it; returns whether the option has done what it says."""

PAGE: Final = Path(__file__).parents[2] / "docs/mlx.md"
FIRST_LINE: Final = "| option | values | what it does | batch | serial | refused |"
SAMPLED: Final[Mapping[str, Any]] = {"temperature": 1.0, "seed": 1}
"""Options of a request whose tokens are drawn."""
DRAWN_TOKEN: Final = 70
"""A token that the model writes by itself neither first nor next."""


@dataclass(frozen=True)
class Option:
    """An option, or several that belong together.

    Attributes:
        names: As a call has them.
        values: Which values it takes, for the table.
        does: What it does, for the table.
        base: Options of the request without it.
        cases: Options to add, and the effect of each.
        refused: What is refused: a request that has it, and the class of the error; None where no value is.
    """

    names: str
    values: str
    does: str
    base: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cases: tuple[tuple[Mapping[str, Any], Effect], ...] = ()
    refused: tuple[Mapping[str, Any], str] | None = None


def differs(plain: Response, other: Response) -> bool:
    """Return whether the text is another."""
    return plain.content != other.content


def same(plain: Response, other: Response) -> bool:
    """Return whether the text is the same."""
    return plain.content == other.content


def matches(pattern: str) -> Effect:
    """Return the effect that the text matches an expression, which that of the model does not."""
    expression = re.compile(pattern, re.DOTALL)
    return lambda plain, other: bool(expression.fullmatch(other.content)) and not expression.fullmatch(plain.content)


def tokens(response: Response) -> int:
    """Return how many tokens were written."""
    return 0 if response.usage is None else response.usage.completion_tokens


def prompt_tokens(response: Response) -> int:
    """Return how many tokens were read."""
    return 0 if response.usage is None else response.usage.prompt_tokens


def is_certain(plain: Response, other: Response) -> bool:
    """Return whether each token has a probability of 1, and had less before."""
    certain = [math.isclose(entry.logprob, 0, abs_tol=1e-4) for entry in other.logprobs]
    return all(certain) and not all(math.isclose(entry.logprob, 0, abs_tol=1e-4) for entry in plain.logprobs)


_YES: Final = {
    "type": "object",
    "properties": {"a": {"enum": ["yes"]}},
    "required": ["a"],
    "additionalProperties": False,
}
_FORMAT: Final = {"type": "json_schema", "json_schema": {"name": "a", "schema": _YES}}
_IS_YES: Final = matches(r'\{\s*"a"\s*:\s*"yes"\s*\}')
_LIKELIEST: Final = {"temperature": 0.0}

OPTIONS: Final = (
    Option(
        "`max_tokens`", "default: the rest of the window", "ends the response; `finish_reason` is `length`",
        cases=(({"max_tokens": 3}, lambda _, other: (tokens(other), other.finish_reason) == (3, "length")),),
        refused=({"max_tokens": 0}, "ValidationError"),
    ),
    Option(
        "`stop`", "texts", "ends the response before the text, wherever tokens begin, but no call that is required",
        {"extra_body": {"guided_regex": "one two three"}, "max_tokens": 40},
        cases=(({"stop": "wo th"}, lambda _, other: other.content == "one t"),),
        refused=({"stop": [""]}, "ValidationError"),
    ),
    Option(
        "`temperature`, `top_p`", "0 to 2, default 0; 0 to 1, default 1", "0 takes the likeliest token each time",
        SAMPLED,
        cases=(
            ({"temperature": 0.0}, differs), ({"temperature": 1.9}, differs), ({"top_p": 0.0}, differs),
            ({"top_p": 1e-6}, differs),
        ),
        refused=({"temperature": -1.0}, "BadRequestError"),
    ),
    Option(
        "`seed`", "a whole number", "the same draw again on the same machine, whatever else runs", SAMPLED,
        cases=(({"seed": 1}, same), ({"seed": 2}, differs)),
        refused=({"seed": 1.5}, "ValidationError"),
    ),
    Option(
        "`presence_penalty`, `frequency_penalty`", "-2 to 2, default 0",
        "makes tokens of the response less likely: once, and for each time", {**SAMPLED, "max_tokens": 60},
        cases=(({"presence_penalty": 2.0}, differs), ({"frequency_penalty": 2.0}, differs)),
        refused=({"presence_penalty": 3.0}, "BadRequestError"),
    ),
    Option(
        "`logprobs`, `top_logprobs`", "0 to 20",
        "log probabilities of the tokens, and of the likeliest ones at each place",
        cases=(
            ({"logprobs": True}, lambda plain, other: not plain.logprobs and len(other.logprobs) == tokens(other)),
            ({"top_logprobs": 2}, lambda _, other: {len(entry.top) for entry in other.logprobs} == {2}),
        ),
        refused=({"top_logprobs": 21}, "BadRequestError"),
    ),
    Option(
        "`response_format`", "JSON schema, or any object", "keeps the response to JSON", {"max_tokens": 60},
        cases=(({"response_format": _FORMAT}, _IS_YES),),
    ),
    Option(
        "`top_k`, `min_p`", "a number of tokens; 0 to 1", "tokens that are less likely are not drawn", SAMPLED,
        cases=(({"top_k": 1}, differs), ({"top_k": 10**6}, same), ({"min_p": 1.0}, differs)),
        refused=({"min_p": 2}, "BadRequestError"),
    ),
    Option(
        "`repetition_penalty`, `repetition_context_size`", "above 0, default 1; default 20 tokens, 0 for all",
        "makes tokens less likely that prompt or response had lately", {**SAMPLED, "max_tokens": 40},
        cases=(
            ({"repetition_penalty": 3.0}, differs),
            ({"repetition_penalty": 3.0, "repetition_context_size": 0}, differs),
        ),
        refused=({"repetition_penalty": 0}, "BadRequestError"),
    ),
    Option(
        "`logit_bias`", "the model's token ids to -100 to 100", "makes tokens likelier or less likely",
        {"logprobs": True},
        cases=(({"logit_bias": {str(DRAWN_TOKEN): 100}}, is_certain),),
        refused=({"logit_bias": {"yes": 1}}, "BadRequestError"),
    ),
    Option(
        "`structured_outputs`", "`json`, `json_object`, `regex`, `choice` or `grammar`",
        "what the response conforms to; `guided_json` and so on are older names", {"max_tokens": 60},
        cases=(
            ({"structured_outputs": {"json": _YES}}, _IS_YES), ({"guided_json": _YES}, _IS_YES),
            ({"structured_outputs": {"regex": "[ab]{2}"}}, matches("[ab]{2}")),
            ({"guided_regex": "[ab]{2}"}, matches("[ab]{2}")),
            ({"structured_outputs": {"choice": ["x y", "z"]}}, matches("x y|z")),
            ({"guided_choice": ["x y", "z"]}, matches("x y|z")),
            ({"structured_outputs": {"grammar": 'start: "x" "y"?'}}, matches("xy?")),
            ({"guided_grammar": 'root ::= "x" | "y"'}, matches("x|y")),
            ({"structured_outputs": {"json_object": True}}, matches(r"\{.*")),
        ),
        refused=({"structured_outputs": {"regex": "a("}}, "BadRequestError"),
    ),
    Option(
        "`chat_template_kwargs`", "a mapping", "variables of the chat template",
        cases=(
            (
                {"chat_template_kwargs": {"enable_thinking": False}},
                lambda plain, other: prompt_tokens(other) > prompt_tokens(plain),
            ),
        ),
        refused=({"chat_template_kwargs": 1}, "BadRequestError"),
    ),
    Option("`n`", "", "several responses", refused=({"n": 2}, "UnsupportedOperationError")),
    Option(
        "`extra_body`", "any other name", "",
        refused=({"extra_body": {"topk": 5}}, "UnsupportedOperationError"),
    ),
)  # fmt: skip


def _row(option: Option) -> str:
    works = "yes" if option.cases else ""
    refused = ""
    if option.refused is not None:
        refused = "always" if not option.cases else f"`{_shown(option.refused[0])}`"
    return f"| {option.names} | {option.values} | {option.does} | {works} | {works} | {refused} |"


def _shown(options: Mapping[str, Any]) -> str:
    ((name, value),) = options.items()
    return f"{name}={value!r}".replace("|", "\\|")


def write_table() -> str:
    """Return the table as Markdown."""
    return "\n".join([FIRST_LINE, "|---|---|---|---|---|---|", *map(_row, OPTIONS)])


def with_table(page: str) -> str:
    """Return the page with the table in place of the one that it has."""
    lines = page.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("| option |"))
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return "".join([*lines[:start], write_table() + "\n", *lines[end:]])


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
