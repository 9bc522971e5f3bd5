"""How models write calls of tools: one format for each family, found by the texts in the chat template.

The prompt is the template's to write. Here are the two other directions: ``grammars`` makes a grammar of a call that
the response has to be, and ``reading`` finds calls in what the model writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LINE: Final = "\0"
"""In a text of a wrapping: a new line that models may leave out."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The texts around each argument, where arguments stand one by one: texts as they are, other values as JSON.

    Attributes:
        before: Before the name.
        between: Between the name and the value.
        padding: Behind a value that is no text.
        end: The text that ends the value.
        after: Behind that.
    """

    before: str
    between: str
    padding: str
    end: str
    after: str


@dataclass(frozen=True, slots=True)
class Wrapping:
    """The texts around the name and the arguments of a call.

    Attributes:
        before: Before the name.
        between: Between the name and the arguments.
        after: After them.
        tags: Those parts of these texts that many tokenizers have as one token.
        first: Before the first call.
        separator: Between two calls.
        last: After the last call, where calls stand in a list or a section.
        arguments: How arguments are written: as one JSON object, one by one, or as Gemma 4 does.
    """

    before: str
    between: str
    after: str
    tags: tuple[str, ...] = ()
    first: str = ""
    separator: str = "\n"
    last: str = ""
    arguments: Fields | Literal["json", "gemma"] = "json"


HERMES: Final = Wrapping(
    '<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>", ("<tool_call>", "</tool_call>")
)
_GLM_TAGS: Final = ("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
_DEEPSEEK_TAGS: Final = tuple(
    f"<\uff5c{words}\uff5c>".replace(" ", "\u2581")
    for words in ("tool calls begin", "tool call begin", "tool sep", "tool call end", "tool calls end")
)
_CALLS_BEGIN, _CALL_BEGIN, _SEPARATOR, _CALL_END, _CALLS_END = _DEEPSEEK_TAGS
_KIMI_TAGS: Final = (
    "<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """The format of a family of models.

    Attributes:
        name: Its name; that of mlx-lm's parser, where that has one.
        markers: Texts of a chat template by which it is recognised: all of one of these tuples.
        start: The text with which calls begin after other text.
        end: The text with which a call, or a group of them, ends.
        wrapping: How its calls are written; None where no grammar of them is known here. A call that the response has
            to be is then written as Hermes and Qwen do, and one that the model begins itself is not constrained.
        is_bare: Whether models of this family write calls without the start text, too, as the whole response.
        parser: The module of ``mlx_lm.tool_parsers`` that reads its calls; None where ``call_scanner`` does.
        takes_short_ids: Templates of this family refuse identifiers of calls that do not have nine characters.
    """

    name: str
    markers: tuple[tuple[str, ...], ...]
    start: str = "<tool_call>"
    end: str = "</tool_call>"
    wrapping: Wrapping | None = None
    is_bare: bool = False
    parser: str | None = None
    takes_short_ids: bool = False


DEFAULT: Final = ToolFormat("json_tools", (), wrapping=HERMES)
"""JSON in ``<tool_call>``, of Hermes and Qwen: also for templates that show no format of their own."""

# In the order in which mlx-lm looks for them (mlx_lm.tokenizer_utils). A call that the response has to be is written as
# JSON in the families without a wrapping here: it is read in the same way, and the template writes it in the family's
# format into the next prompt.
FORMATS: Final = (
    ToolFormat(
        "minimax_m2", (("<minimax:tool_call>",),), "<minimax:tool_call>", "</minimax:tool_call>",
        Wrapping(
            '<invoke name="', '">\n', "</invoke>\n", ("<minimax:tool_call>", "</minimax:tool_call>"),
            first="<minimax:tool_call>\n", separator="", last="</minimax:tool_call>",
            arguments=Fields('<parameter name="', '">', "", "</parameter>", "\n"),
        ),
    ),
    ToolFormat(
        "gemma4", (("<|tool_call>", "<tool_call|>"),), "<|tool_call>", "<tool_call|>",
        Wrapping(
            "<|tool_call>call:", "", "<tool_call|>", ("<|tool_call>", "<tool_call|>", '<|"|>'), separator="",
            arguments="gemma",
        ),
        parser="gemma4",
    ),
    ToolFormat(
        "function_gemma", (("<start_function_call>",),), "<start_function_call>", "<end_function_call>",
        parser="function_gemma",
    ),
    ToolFormat("longcat", (("<longcat_tool_call>",),), "<longcat_tool_call>", "</longcat_tool_call>", parser="longcat"),
    ToolFormat(
        "glm47", (("<arg_key>",),), wrapping=Wrapping(
            "<tool_call>", LINE, "</tool_call>", ("<tool_call>", "</tool_call>", *_GLM_TAGS),
            arguments=Fields("<arg_key>", f"</arg_key>{LINE}<arg_value>", "", "</arg_value>", LINE),
        ),
    ),
    ToolFormat(
        "pythonic", (("<|tool_list_start|>",), ("<|tool_call_start|>",)), "<|tool_call_start|>", "<|tool_call_end|>",
        parser="pythonic",
    ),
    ToolFormat(
        "qwen3_coder", (("<tool_call>\\n<function=",), ("<tool_call>\n<function=",)), wrapping=Wrapping(
            "<tool_call>\n<function=", ">\n", "</function>\n</tool_call>", ("<tool_call>", "</tool_call>"),
            arguments=Fields("<parameter=", ">\n", "\n", "</parameter>", "\n"),
        ),
    ),
    ToolFormat(
        "kimi_k2",
        (("<|tool_calls_section_begin|>",),),
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        Wrapping(
            "<|tool_call_begin|>functions.", ":0<|tool_call_argument_begin|>", "<|tool_call_end|>", _KIMI_TAGS,
            first="<|tool_calls_section_begin|>", separator="", last="<|tool_calls_section_end|>",
        ),
    ),
    ToolFormat(
        "minicpm5", (('<function name="', '<param name="'),), "<function name=", "</function>", parser="minicpm5"
    ),
    ToolFormat(
        "mistral", (("[TOOL_CALLS]", "[ARGS]"),), "[TOOL_CALLS]", "",
        Wrapping("[TOOL_CALLS]", "[ARGS]", "", ("[TOOL_CALLS]", "[ARGS]"), separator=""), takes_short_ids=True,
    ),
    ToolFormat(
        "mistral", (("[TOOL_CALLS]",),), "[TOOL_CALLS]", "",
        Wrapping(
            '{"name": "', '", "arguments": ', "}", ("[TOOL_CALLS]",), first="[TOOL_CALLS][", separator=", ", last="]",
        ),
        takes_short_ids=True,
    ),
    ToolFormat(
        "muse_spark", (("<atem:function_calls>",),), "<atem:function_calls>", "</atem:function_calls>",
        parser="muse_spark",
    ),
    ToolFormat("json_tools", (("<tool_call>",),), wrapping=HERMES),
    ToolFormat(
        "kimi_k3", (("<|open|>", "<|close|>", "<|sep|>"),), "<|open|>tools<|sep|>", "<|close|>tools<|sep|>",
        parser="kimi_k3",
    ),
    # Not known to mlx-lm. DeepSeek V3 and R1, then V3.1: the templates of their models (huggingface.co/deepseek-ai).
    ToolFormat(
        "deepseek_v3", ((_SEPARATOR, "```json"),), _CALLS_BEGIN, _CALLS_END,
        Wrapping(
            f"{_CALL_BEGIN}function{_SEPARATOR}", "\n```json\n", f"\n```{_CALL_END}", _DEEPSEEK_TAGS,
            first=_CALLS_BEGIN, last=_CALLS_END,
        ),
    ),
    ToolFormat(
        "deepseek_v31", ((_SEPARATOR,),), _CALLS_BEGIN, _CALLS_END,
        Wrapping(_CALL_BEGIN, _SEPARATOR, _CALL_END, _DEEPSEEK_TAGS, first=_CALLS_BEGIN, separator="", last=_CALLS_END),
    ),
    # github.com/openai/harmony, docs/format.md. The token <|call|> ends the turn.
    ToolFormat(
        "harmony", (("<|channel|>", "<|message|>", "to=functions."),), "<|channel|>commentary to=functions.", "",
        Wrapping(
            "<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "",
            ("<|channel|>", "<|constrain|>", "<|message|>"), separator="<|call|><|start|>assistant",
        ),
    ),
    ToolFormat(
        "llama3", (("<|python_tag|>",), ("<|eom_id|>",)), "<|python_tag|>", "",
        Wrapping('{"name": "', '", "parameters": ', "}", ("<|python_tag|>",), separator="; "), is_bare=True,
    ),
)  # fmt: skip


def find_format(template: str) -> ToolFormat:
    """Return the format of the calls that a chat template shows."""
    for tool_format in FORMATS:
        if any(all(text in template for text in texts) for texts in tool_format.markers):
            return tool_format
    return DEFAULT
