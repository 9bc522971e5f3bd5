"""Cases 73 to 83: servers that hold any model (llama.cpp, vLLM, LM Studio, Ollama, SGLang), and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from integration_tests.support.fault_harness import Answers, Breaks, Case, Fails, Outcome, Shape, serving
from integration_tests.support.fault_responses import (
    END,
    FIRST,
    ROLE,
    SECOND,
    answer,
    delta,
    error,
    event,
    refusal,
    stream,
    streamed,
)
from integration_tests.support.fault_server import Send
from unified_llm.exceptions import (
    BadRequestError,
    ConfigurationError,
    ContextOverflowError,
    GenerationError,
    ModelNotFoundError,
    ServiceUnavailableError,
    UnsupportedOperationError,
)

UNABLE: Final = Fails("unsupported", UnsupportedOperationError)
TOO_LONG: Final = Fails("context", ContextOverflowError)
NO_MODEL: Final = Fails("model_not_found", ModelNotFoundError)
REFUSED: Final = Fails("bad_request", BadRequestError)

# What a server answers, by the meaning. Each was reported by users of that server, or came from the server itself.
REFUSALS: Final[Mapping[int, tuple[Outcome, Mapping[str, tuple[str, Mapping[str, Any]]]]]] = {
    73: (UNABLE, {
        "vLLM without tool flags": ("400 No", error(
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')),
        "llama.cpp without templates, 500": ("500 No", error("tools param requires --jinja flag", code=500)),
        "llama.cpp without a projector, 500": ("500 No", error(
            "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj")),
        "llama.cpp, a schema without its definition": ("400 No", error(
            "Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: "
            "cannot resolve $ref #/$defs/Nope, $defs not found")),
        "a template that refuses the roles": ("400 No", error(
            "Conversation roles must alternate user/assistant/user/assistant/...")),
        "vLLM, xgrammar": ("400 No", error(
            "The provided JSON schema contains features not supported by xgrammar.")),
        "llama.cpp, embeddings alone, 501": ("501 No", error(
            "This server does not support chat completions. Start it without `--embeddings`", code=501)),
    }),
    74: (NO_MODEL, {
        "LM Studio, none loaded": ("400 No", error(
            "No models loaded. Please load a model in the developer page or use the 'lms load' command.",
            type="invalid_request_error", param="model")),
        "LM Studio, cannot be loaded": ("400 No", error(
            'Failed to load model "m". Error: insufficient memory', param="model")),
        "a name that is none": ("400 No", error("m is not a valid model ID", code=400)),
    }),
    75: (TOO_LONG, {
        "LM Studio": ("400 No", {"error": (
            "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the "
            "model with a larger context length, or provide a shorter input")}),
        "vLLM": ("400 No", error(
            "The decoder prompt (length 9000) is longer than the maximum model length of 8192.")),
        "SGLang": ("400 No", error(
            "The input (5000 tokens) is longer than the model's context length (4096 tokens).")),
        "llama.cpp": ("400 No", error(
            "request (2119 tokens) exceeds the available context size (512 tokens), try increasing it",
            type="exceed_context_size_error", n_ctx=512)),
    }),
    76: (REFUSED, {"words that no table has": ("400 No", error("list index out of range", code=400))}),
    82: (Fails("not_found", ConfigurationError), {
        "405, a page of something else": ("405 No", {"detail": "Method Not Allowed"}),
    }),
}  # fmt: skip

LAMP: Final = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
TOOLS: Final[Mapping[str, Any]] = {"tools": [{"type": "function", "function": {"name": "lamp", "parameters": LAMP}}]}
_FORMAT: Final = {"type": "json_schema", "json_schema": {"name": "lamp", "schema": LAMP}}
SCHEMA: Final[Mapping[str, Any]] = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "lamp", "schema": LAMP}}
}
CALL: Final = '{"name": "lamp", "arguments": {"on": true}}'
FITS: Final = '{"on": true}'
UNKNOWN: Final = CALL.replace("lamp", "door")
OTHER_ARGUMENTS: Final = CALL.replace("true", "1")
UNFIT: Final = Fails("invalid", GenerationError)
CALLED: Final = Answers("", (("lamp", '{"on":true}'),), "tool_calls")
LOADING: Final = refusal("503 Loading", error("Loading model", code=503, type="unavailable_error"))


def refused() -> Iterator[Case]:
    """Yield each refusal, as a status and, where it is about the request, as the first event of a stream."""
    for number, (outcome, refusals) in REFUSALS.items():
        for title, (status, contents) in refusals.items():
            yield Case(number, title, serving([Send(refusal(status, contents))]), outcome, config={"max_retries": 2})
            if number in {73, 75, 76}:
                first_event = event(contents)
                in_band = serving([Send(stream(first_event))])
                yield Case(number, f"{title}, as an event", in_band, outcome, ("stream",), {"max_retries": 2})


def text_case(
    number: int, title: str, text: str, outcome: Outcome, *shapes: Shape, options: Mapping[str, Any] | None = None
) -> Iterator[Case]:
    """Yield a text as a whole answer and in a stream, with a fallback beside it."""
    for shape, response in (("call", answer(text)), ("stream", streamed(text))):
        if shape in (shapes or ("call", "stream")):
            yield Case(
                number,
                title,
                serving([Send(response)]),
                outcome,
                (shape,),
                options=options or {},
                fallback_text=FITS if options is SCHEMA else SECOND,
            )


CASES: Final = [
    *refused(),
    Case(77, "503 while the model loads", serving([Send(LOADING)]),
         Fails("loading", ServiceUnavailableError)),
    Case(77, "503 while the model loads, and then an answer", serving([Send(LOADING)], [Send(answer())]),
         Answers(FIRST, times=2, before="loading"), ("call",), {"max_retries": None}, with_fallback=False),
    Case(77, "503 while the model loads, and then an answer", serving([Send(LOADING)], [Send(streamed())]),
         Answers(FIRST, times=2, before="loading"), ("stream",), {"max_retries": None}, with_fallback=False),
    Case(78, "reasoning alone", serving([Send(answer("", reasoning_content="Hm."))]),
         Fails("empty", GenerationError), ("call",)),
    Case(78, "reasoning alone", serving([Send(stream(ROLE + delta(reasoning_content="Hm.") + END))]),
         Breaks("empty", ""), ("stream",)),
    Case(78, "nothing at all", serving([Send(answer(""))]), Fails("empty", GenerationError), ("call",)),
    *text_case(79, "thoughts in the text", f"<think>\nHm. {{\n</think>\n\n{FIRST}", Answers(FIRST)),
    *text_case(79, "thoughts without a beginning", f"Hm.</think>{FIRST}", Answers(FIRST), "call"),
    *text_case(79, "a tag in the middle", f"{FIRST} <think>", Answers(f"{FIRST} <think>")),
    *text_case(79, "thoughts without an end", "<think>Hm.", Fails("empty", GenerationError), "call"),
    *text_case(80, "a call as JSON", CALL, CALLED, options=TOOLS),
    *text_case(80, "a call in a tag", f"<tool_call>\n{CALL}\n</tool_call>", CALLED, options=TOOLS),
    *text_case(80, "a call of an unknown tool", UNKNOWN, Answers(UNKNOWN), options=TOOLS),
    *text_case(80, "a call with other arguments", OTHER_ARGUMENTS, Answers(OTHER_ARGUMENTS), options=TOOLS),
    *text_case(80, "a call, and tools are not offered", CALL, Answers(CALL)),
    *text_case(81, "JSON in a fence", '```json\n{"on": true}\n```', Answers(FITS), "call", options=SCHEMA),
    *text_case(81, "prose for JSON", "It is on.", UNFIT, "call", options=SCHEMA),
    *text_case(81, "prose for JSON", "It is on.", Breaks("invalid", "It is on."), "stream", options=SCHEMA),
    *text_case(81, "JSON of another shape", '{"on": 1}', UNFIT, "call", options=SCHEMA),
]  # fmt: skip
