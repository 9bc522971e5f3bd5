"""A chat request as a prompt: the conversation and tools for the chat template, its options, and what constrains it.

What is constrained, by the choice of a tool::

    none             no tool is offered
    auto             each call, once it is begun; with a response format, calls or the JSON that was asked for
    required, named  a call of any tool, or of this one; several with ``parallel_tool_calls=True``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from unified_llm._backends.mlx.engine_types import Constraint, EngineError, Prompt
from unified_llm._backends.mlx.model_names import resolve_folder
from unified_llm._backends.mlx.request_options import OptionError, RequestOptions, read_options
from unified_llm._backends.mlx.template_files import read_template, uses_variable
from unified_llm._backends.mlx.tool_formats import ToolFormat, find_format
from unified_llm._backends.mlx.tool_formats.grammars import constrain_begun_calls, constrain_calls
from unified_llm._backends.mlx.vision_images import images_of, write_content
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.any_model import with_accepted_order
from unified_llm._formats.history import arguments_object, dedupe_call_ids, shorten_call_id, with_text_results
from unified_llm._formats.request_fields import effective, function_of, log_dropped, prompt_to_continue, write_body
from unified_llm._formats.text_reasoning import TAGS
from unified_llm._lib import bounded_json
from unified_llm._structured.methods import output_schema
from unified_llm.exceptions import ValidationError
from unified_llm.types.messages import Message, Tool
from unified_llm.types.requests import LLMRequest

# The default of max_tokens for the demo model, which may never end. Any other model has the rest of its window.
_DEMO_TOKENS: Final = 512
_SHORT_IDS: Final = Quirks(tool_id_length=9)
# Names that chat templates have for the switch of reasoning: Qwen and GLM; DeepSeek and Granite.
_SWITCHES: Final = ("enable_thinking", "thinking")


def write_prompt(request: LLMRequest, target: Target) -> Prompt:
    """Return the prompt of a request.

    Raises:
        EngineError: An option cannot be right, or is one that MLX has not.
        ValidationError: A value has no JSON form.
    """
    tools = offered_tools(request, target)
    turns = _turns(request, target)
    messages = _messages(turns, target)
    described = tuple({"type": "function", "function": function_of(tool)} for tool in tools)
    text = prompt_to_continue(request) if request.as_text else None
    # A call that has to be is the whole response: its syntax is not the text that a stop string ends.
    stop = () if tools and _requires_call(request) else request.stop or target.defaults.get("stop", ())
    _check_values(request, {"messages": messages, "prompt": text, "stop": stop}, described)
    options = read_options(request, target)
    return Prompt(
        messages=messages,
        images=images_of(turns),
        text=text,
        tools=described,
        template_options={**_reasoning_options(request, target), **options.template},
        max_tokens=effective(request, "max_tokens", target) or (_DEMO_TOKENS if target.demo else None),
        window=target.context_window,
        sampling=options.sampling,
        constraint=_with_blocks(_constraint(request, target, options, tools), request, target, options),
        stop=stop,
        draft_tokens=0 if target.mlx.draft_model is None else target.mlx.num_draft_tokens,
        kv_bits=target.mlx.kv_bits,
        kv_group_size=target.mlx.kv_group_size,
    )


def _check_values(request: LLMRequest, texts: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> None:
    """Refuse values without a JSON form, as for a provider that is reached by HTTP, and schemas without a bound.

    Raises:
        ValidationError: There is one.
    """
    write_body(texts)
    schema = None if request.response_format is None else request.response_format.schema
    schemas = write_body({"tools": tools, "response_format": schema})
    try:
        bounded_json.parse(schemas)
    except bounded_json.JSONError:
        raise ValidationError("A schema of response_format or tools is nested too deeply: simplify it.") from None


def _requires_call(request: LLMRequest) -> bool:
    return request.tool_choice not in {None, "auto", "none"}


def offered_tools(request: LLMRequest, target: Target) -> tuple[Tool, ...]:
    """Return the tools that the model is offered.

    Raises:
        EngineError: One of them is a tool of another provider.
    """
    if "tools" not in target.features or request.tool_choice == "none":
        return ()
    if any(tool.builtin is not None for tool in request.tools):
        raise EngineError("unsupported", "MLX has no built-in tools of a provider: offer functions of your own.")
    return request.tools


def format_of(target: Target) -> ToolFormat:
    """Return the format in which the model of a target writes calls."""
    return find_format(read_template(resolve_folder(target.model)))


def _constraint(
    request: LLMRequest, target: Target, options: RequestOptions, tools: Sequence[Tool]
) -> Constraint | None:
    if not tools:
        return options.constraint
    parallel = effective(request, "parallel_tool_calls", target)
    if _requires_call(request):
        if request.response_format is None and options.constraint is not None:
            # Not in words after which the call is asked for in another way (``_structured.attempts.METHOD_WORDS``).
            raise OptionError("The response has to be a call, and cannot conform to extra_body too: leave out one.")
        named = tuple(tool for tool in tools if tool.name == request.tool_choice)
        return constrain_calls(named or tools, format_of(target), is_parallel=parallel is True)
    if request.response_format is not None:
        answer = output_schema(request.response_format)
        return constrain_calls(tools, format_of(target), is_parallel=parallel is not False, answer=answer)
    if options.constraint is not None:
        return options.constraint
    return constrain_begun_calls(tools, format_of(target), is_parallel=parallel is not False)


def _with_blocks(
    constraint: Constraint | None, request: LLMRequest, target: Target, options: RequestOptions
) -> Constraint | None:
    """Let the response begin with reasoning where the chat template shows how, and it was not switched off."""
    is_off = effective(request, "reasoning_effort", target) == "none" or any(
        options.template.get(name) is False for name in _SWITCHES
    )
    if constraint is None or request.as_text or is_off:
        return constraint
    template = read_template(resolve_folder(target.model))
    return replace(constraint, blocks=tuple(tag for tag, end in TAGS.items() if tag in template and end in template))


def _reasoning_options(request: LLMRequest, target: Target) -> dict[str, Any]:
    """Return the variables by which a template begins reasoning, or leaves it out."""
    effort = effective(request, "reasoning_effort", target)
    if effort is None:
        return {}
    template = read_template(resolve_folder(target.model))
    known = {name: effort != "none" for name in _SWITCHES if uses_variable(template, name)}
    values: dict[str, Any] = dict(known)
    if effort != "none" and uses_variable(template, "reasoning_effort"):
        values["reasoning_effort"] = effort
    if not values:
        log_dropped(("reasoning_effort",), request, target)
    return values


def _turns(request: LLMRequest, target: Target) -> Sequence[Message]:
    """Return the conversation in an order that chat templates accept.

    Without tools in the template, the result of a tool is passed on as the user's.
    """
    turns = with_text_results(request.messages)
    if "tools" not in target.features:
        turns = [
            replace(turn, role="user", tool_call_id=None) if turn.role == "tool" else replace(turn, tool_calls=())
            for turn in turns
        ]
    ordered = with_accepted_order(replace(request, messages=tuple(turns)), target, keep_empty=True)
    return cast("LLMRequest", ordered).messages


def _messages(turns: Sequence[Message], target: Target) -> tuple[Mapping[str, Any], ...]:
    """Return the turns as the chat template takes them."""
    if any(turn.tool_calls or turn.role == "tool" for turn in turns):
        takes_short = format_of(target).takes_short_ids
        turns = dedupe_call_ids(turns, (lambda text: shorten_call_id(text, _SHORT_IDS)) if takes_short else str)
    names = {call.id: call.name for turn in turns for call in turn.tool_calls}
    return tuple(_message(turn, names) for turn in turns)


def _message(turn: Message, names: Mapping[str, str]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": write_content(turn)}
    if turn.reasoning:
        message["reasoning_content"] = turn.reasoning
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": dict(arguments_object(call))},
            }
            for call in turn.tool_calls
        ]
    if turn.role == "tool":
        identifier = turn.tool_call_id or ""
        message |= {"tool_call_id": identifier, "name": turn.name or names.get(identifier, "")}
    return message
