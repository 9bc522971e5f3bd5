"""Differences of a provider from the wire format it uses, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unified_llm._core.outcome import FailureKind


@dataclass(frozen=True, slots=True)
class Quirks:
    """Differences of a provider from its format. The set is closed: what needs a condition is a format of its own.

    Attributes:
        rename: Request fields under another name (``{"max_tokens": "max_completion_tokens"}``); ``messages.reasoning``
            names the field in which it wants the reasoning of earlier tool turns back.
        drop: Request fields that it refuses. ``messages.name`` leaves out speakers' names; ``tool_choice.function``
            turns the choice of one tool into ``required`` with that tool alone; ``tool_choice.none`` leaves out the
            tools where none may be called; ``top_p.with_temperature`` leaves out the one where there is the other;
            ``image.format`` leaves out the format of an image alone;
            ``presence_penalty.with_frequency_penalty`` sets the one to 0 at a fallback, where there is the other.
        limits: The least and the greatest value that it takes, by our names of fields; a fallback gets no other.
        max_stops: The most stop sequences that it takes; None where no bound is known.
        key_header: The header that carries the key; empty for ``Authorization: Bearer``.
        request_id_header: The header for the caller's own identifier of a request, where it documents one.
        request_id_field: The field of the body for that, where it documents one.
        codes: What error codes of its own mean, and HTTP statuses ("412") that mean something else there.
        context_status: The HTTP status that means a context overflow, where it is not 400 (Together: 403).
        has_free_models: Some of its models are free: a lack of credit rules out the model that was asked, not others of
            the same key (OpenRouter).
        reasoning_apart: Reasoning tokens are not included in its completion tokens (xAI).
        tool_names: The result of a tool carries the tool's name: Gemini's compatible endpoint refuses one without, chat
            templates of many models show it, and Mistral's API has the field.
        tool_id_length: The exact length of a tool call's identifier (Mistral: 9 letters and digits). 0 leaves them as
            they are; None shortens them to OpenAI's limit of 40.
        usage_always: It refuses ``stream_options`` and sends usage without being asked.
        models_path: The path of its model list; empty where it has none.
        models_whole: It describes a single model in that list alone.
        text_path: The path of text completion.
        send: Fields that every chat request has, unless the user sets them.
        drop_reasoning: Request fields that it refuses while it reasons, which is unless ``reasoning_effort`` is
            ``none``.
        reasons_unasked: It reasons if ``reasoning_effort`` is not sent at all.
        thinking: It has no effort ``none``, but a field ``thinking`` that turns reasoning off and on: with an effort
            besides (``level``), or alone (``switch``).
        efforts: Other names for values of ``reasoning_effort``.
        effort_levels: The values of ``reasoning_effort`` that it takes, where they are known; a fallback gets the
            nearest one.
        reasoning_filler: The text sent as the reasoning of a turn that has none, where ``rename`` asks for reasoning.
        reasoning_details: It wants the parts of its reasoning back as they came, in ``reasoning_details``.
        logprobs_count: Its ``logprobs`` is the number of alternatives (Together).
        thinks: How the effort of an Anthropic model is set: by a ``budget`` of tokens, or by an effort. With an effort
            it thinks when ``asked``, or unless the request has ``disabled`` or ``between_tools``, or ``always``. None
            sends both, for servers that have models of many makers.
        closed_schemas: A JSON schema must list every property that an object may have.
        loaded_path: The path, below the server's root, that describes the loaded models with the context windows that
            they are served with. Requested with a model list, never during a call.
        default_window: The context window in tokens that the server uses where neither the request nor its settings
            choose one. It cuts a longer prompt and answers the rest as if nothing were missing (Ollama).
        turns: ``alternating``: system messages come first, then the user and the model take turns (Perplexity);
            ``closed``: an assistant message stands between tool results and the next user message (Mistral).
        any_model: It holds whatever model was loaded, so that its chat template may refuse some orders of messages, and
            reasoning and tool calls may come as text (``_formats.any_model``).
        reasoning_format: Its requests have the field ``reasoning_format`` (Groq).
        words_are_tokens: Its tokenizers make at least one token of each word (OpenAI).
        voice: The voice that reads texts aloud where a request names none, for APIs that require one.
        pcm_rate: Samples a second of recordings as bare samples (``pcm``), where it is documented.
        speech_format: The format of a recording for which a request names none, at APIs that would make bare samples
            (OpenRouter), or another than their models can (Groq).
        image_ratios: The ratios of width to height that its ``aspect_ratio`` takes, which it has besides ``resolution``
            in place of ``size`` (xAI).
        image_sides: It has ``width`` and ``height`` of an image in place of ``size`` (Together).
        edits_as_json: Images to edit are data URLs in JSON, and not files of a form; there is no mask (xAI).
        bare_form_lists: Names of lists in a form have no brackets (Mistral).
        speech_events: A recording comes as events where ``stream`` says so (Mistral).
        batch_jobs: Its batches are jobs of an API of its own (Mistral).
        app_headers: What it is told about the application, unless the user's own headers say that (OpenRouter).
    """

    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    drop: frozenset[str] = frozenset()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    max_stops: int | None = None
    key_header: str = ""
    request_id_header: str = ""
    request_id_field: str = ""
    codes: Mapping[str, FailureKind] = field(default_factory=dict[str, FailureKind])
    context_status: int | None = None
    has_free_models: bool = False
    reasoning_apart: bool = False
    tool_names: bool = False
    tool_id_length: int | None = None
    usage_always: bool = False
    models_path: str = "/models"
    models_whole: bool = False
    text_path: str = "/completions"
    send: Mapping[str, Any] = field(default_factory=dict[str, Any])
    drop_reasoning: frozenset[str] = frozenset()
    reasons_unasked: bool = False
    thinking: Literal["level", "switch"] | None = None
    efforts: Mapping[str, str] = field(default_factory=dict[str, str])
    effort_levels: frozenset[str] = frozenset()
    reasoning_filler: str = ""
    reasoning_details: bool = False
    logprobs_count: bool = False
    thinks: Literal["budget", "asked", "disabled", "between_tools", "always"] | None = None
    closed_schemas: bool = False
    loaded_path: str = ""
    default_window: int | None = None
    turns: Literal["alternating", "closed"] | None = None
    any_model: bool = False
    reasoning_format: bool = False
    words_are_tokens: bool = False
    voice: str = ""
    pcm_rate: int | None = None
    speech_format: str = ""
    image_ratios: tuple[str, ...] = ()
    image_sides: bool = False
    edits_as_json: bool = False
    bare_form_lists: bool = False
    speech_events: bool = False
    batch_jobs: bool = False
    app_headers: Mapping[str, str] = field(default_factory=dict[str, str])
