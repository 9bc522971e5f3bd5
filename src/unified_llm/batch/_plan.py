"""What a run would send: lines, requests and tokens of each model, and the lines that are wrong. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from unified_llm._core.target import Target
from unified_llm._core.token_estimates import estimate_prompt, estimate_tokens
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._lib.checkpoint import Checkpoint
from unified_llm.batch._calls import Calls, PreparedCall, fingerprint_of, first_target
from unified_llm.batch._lines import BadLine, Line
from unified_llm.exceptions import LLMError
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, TokenText


@dataclass(slots=True)
class ModelPlan:
    """What one target would get, if it served all lines that ask for it first.

    Attributes:
        target: Its name.
        lines: The lines.
        requests: The requests: a line of several prompts may have several.
        prompt_tokens: The tokens of the prompts, estimated; images, audio and files are not counted.
        completion_tokens: The most tokens of the responses, where ``max_tokens`` says so.
        unlimited: The lines of which it does not.
        rpm: The limit of requests in a minute.
        tpm: The limit of tokens in a minute.
    """

    target: str
    lines: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unlimited: int = 0
    rpm: int | None = None
    tpm: int | None = None

    @property
    def minutes(self) -> float | None:
        """The least minutes that it takes with these limits; None without any."""
        by_requests = self.requests / self.rpm if self.rpm else 0.0
        by_tokens = (self.prompt_tokens + self.completion_tokens) / self.tpm if self.tpm else 0.0
        return max(by_requests, by_tokens) if self.rpm or self.tpm else None

    def add(self, target: Target, requests: Iterable[LLMRequest | EmbeddingRequest]) -> None:
        """Count a line."""
        self.lines += 1
        self.rpm, self.tpm = target.rpm, target.tpm
        is_limited = True
        for request in requests:
            self.requests += 1
            self.prompt_tokens += _tokens_in(request)
            if isinstance(request, LLMRequest):
                most = request.max_tokens or target.defaults.get("max_tokens")
                self.completion_tokens += (most or 0) * (request.n or 1)
                is_limited = is_limited and most is not None
        self.unlimited += not is_limited


@dataclass(slots=True)
class Plan:
    """What a run would do.

    Attributes:
        lines: The lines of the input that are not blank.
        answered: Those that the checkpoint has answers of.
        wrong: The number and the problem of each line that cannot be sent.
        models: What each target would get, by its name.
    """

    lines: int = 0
    answered: int = 0
    wrong: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    models: dict[str, ModelPlan] = field(default_factory=dict[str, ModelPlan])

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "lines": self.lines,
            "answered": self.answered,
            "wrong": [{"line": number, "problem": problem} for number, problem in self.wrong],
            "models": [
                {
                    "target": plan.target, "lines": plan.lines, "requests": plan.requests,
                    "prompt_tokens": plan.prompt_tokens, "completion_tokens": plan.completion_tokens,
                    "lines_without_max_tokens": plan.unlimited, "minutes": plan.minutes,
                }
                for plan in self.models.values()
            ],
        }  # fmt: skip


def make_plan(
    lines: Iterable[Line],
    calls: Calls,
    checkpoint: Checkpoint | None,
    check: Callable[[PreparedCall], None] = lambda _: None,
) -> Plan:
    """Return what a run over these lines would do.

    Args:
        lines: The lines of the input.
        calls: Reads their bodies.
        checkpoint: That of an earlier run, if there is one.
        check: Raises ``LLMError`` for a call that cannot be sent in the way of this run.
    """
    plan = Plan()
    for line in lines:
        plan.lines += 1
        if isinstance(line, BadLine):
            plan.wrong.append((line.number, line.problem))
            continue
        try:
            call = calls.prepare(line)
            check(call)
            digest = "" if checkpoint is None else fingerprint_of(call)
        except LLMError as error:
            plan.wrong.append((line.number, str(error).rstrip(".")))
            continue
        if checkpoint is not None and checkpoint.has(line.custom_id, digest):
            plan.answered += 1
        else:
            _add(plan, call)
    return plan


def _add(plan: Plan, call: PreparedCall) -> None:
    target = first_target(call, call.requests[0])
    plan.models.setdefault(target.name, ModelPlan(target.name)).add(target, call.requests)


def _tokens_in(request: LLMRequest | EmbeddingRequest) -> int:
    if isinstance(request, EmbeddingRequest):
        return sum(len(text.ids) if isinstance(text, TokenText) else estimate_tokens(text) for text in request.texts)
    tools = [tool.builtin or {"name": tool.name, "parameters": tool.parameters} for tool in request.tools]
    schema = request.response_format.schema if request.response_format else None
    try:
        further = dump([*tools, schema]) if tools or schema else ""
    except JSONError:
        further = ""
    return estimate_prompt(request.messages) + estimate_tokens(further)
