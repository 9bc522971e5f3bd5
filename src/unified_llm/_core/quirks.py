"""In what a provider differs from the others that speak its format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from unified_llm._core.outcome import FailureKind


class Quirks(TypedDict, total=False):
    """Where an OpenAI-compatible provider differs. The set is closed: what needs a condition is a format of its own.

    rename: Request fields under another name (``{"max_tokens": "max_completion_tokens"}``); ``messages.reasoning``
        names the field in which it wants the reasoning of earlier tool turns back.
    drop: Request fields that it refuses; ``messages.name`` leaves out speakers' names, ``tool_choice.function`` turns
        the choice of one tool into ``required`` with that tool alone; ``tool_choice.none`` leaves out the tools where
        none may be called, ``top_p.with_temperature`` the one where there is the other.
    key_header: The header that carries the key, in place of ``Authorization: Bearer``.
    codes: What error codes of its own mean, and HTTP statuses ("412") that mean something else there.
    context_status: The HTTP status that means a context overflow, where it is not 400 (Together: 403).
    filter_status: The HTTP status that means moderation (OpenRouter: 403).
    reasoning_apart: Reasoning tokens are not included in its completion tokens (xAI).
    tool_id_length: The exact length of a tool call's identifier (Mistral: 9 letters and digits); 0 leaves them as they
        are, where others would be shortened to OpenAI's limit of 40.
    usage_always: It refuses ``stream_options`` and sends usage without being asked.
    models_path: The path of its model list, where it is not ``/models``; empty where it has none.
    models_whole: It describes a single model in that list alone.
    text_path: The path of text completion, where it is not ``/completions``.
    send: Fields that every chat request has, unless the user says otherwise.
    drop_reasoning: Request fields that it refuses while it reasons, which is unless ``reasoning_effort`` is ``none``.
    reasons_unasked: It reasons if ``reasoning_effort`` is not sent at all.
    thinking: It has no effort ``none``, but a field ``thinking`` that turns reasoning off and on: with an effort
        besides (``level``), or alone (``switch``).
    efforts: Other names for values of ``reasoning_effort``.
    reasoning_filler: What stands for reasoning that is wanted back (see ``rename``) and that a turn does not have.
    reasoning_details: It wants the parts of its reasoning back as they came, in ``reasoning_details``.
    logprobs_count: Its ``logprobs`` is the number of alternatives (Together).
    thinks: How a model of Anthropic's is told how hard to think: by a ``budget`` of tokens, or by an effort. Of the
        latter, one thinks when ``asked``, and others unless they are told ``disabled`` or ``between_tools``, or
        ``always``. Without it both are sent, for servers that have models of many makers.
    closed_schemas: A JSON schema must list every property that an object may have.
    turns: ``alternating``: system messages come first, then the user and the model take turns (Perplexity);
        ``closed``: the model has the word after the results of tools, before the user (Mistral).
    """

    rename: Mapping[str, str]
    drop: frozenset[str]
    key_header: str
    codes: Mapping[str, FailureKind]
    context_status: int
    filter_status: int
    reasoning_apart: bool
    tool_id_length: int
    usage_always: bool
    models_path: str
    models_whole: bool
    text_path: str
    send: Mapping[str, Any]
    drop_reasoning: frozenset[str]
    reasons_unasked: bool
    thinking: Literal["level", "switch"]
    efforts: Mapping[str, str]
    reasoning_filler: str
    reasoning_details: bool
    logprobs_count: bool
    thinks: Literal["budget", "asked", "disabled", "between_tools", "always"]
    closed_schemas: bool
    turns: Literal["alternating", "closed"]
