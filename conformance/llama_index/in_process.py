"""Scripted models in this process: a tiny model of MLX with random weights, whose grammars leave it the script's words.

What the suite's server does for models behind an address, this does where there is none. Everything from the LLM to the
engine is as for any other model, and so are the tokens that it writes::

    LLM -> client -> chat call -> prompt -----> engine: template, tokens, batch -----> text -> calls, reasoning -> LLM
                                    |             ^                          ^
                            recorded as a         | a grammar of the         | errors, pauses
                            body of the server's  | scripted answer          |

A constraint of the request itself counts for more than the script: a model whose output has to be JSON of a schema, or
whose calls have to fit their tools, cannot say anything else. Then the answer is what the model chooses within the
constraint, with a fixed seed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from typing_extensions import override

from conformance.llama_index.script import Break, Call, Hang, Refuse, Say, Step
from conformance.llama_index.upstream import MAX_WAIT, Upstream
from integration_tests.support.upstream_schema import ChatBody, RequestError, parse
from unified_llm._backends.mlx import exchange
from unified_llm._backends.mlx.chat_call import ChatCall
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import (
    Constraint,
    EngineError,
    EngineRequest,
    Output,
    Prompt,
    Sampling,
    TextChunk,
)
from unified_llm._backends.mlx.engines import get_engine
from unified_llm._backends.mlx.grammars import Grammars
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, kind_of_status
from unified_llm._core.target import Target
from unified_llm._formats.request_fields import effective
from unified_llm._lib.bounded_json import dump
from unified_llm.types.requests import LLMRequest

_TAGS: Final = ("<think>", "</think>", "<tool_call>", "</tool_call>")


@dataclass(frozen=True, slots=True)
class _ScriptedPrompt(Prompt):
    """A prompt, the model that it is for, and what that does with it."""

    upstream: Upstream | None = None
    step: Step | None = None


class InProcess:
    """The scripted models of one run, each a folder of its own that links to the same weights.

    Args:
        folder: The folder of the weights.
        links: Where to put the links.
    """

    def __init__(self, folder: Path, links: Path) -> None:
        self._folder, self._links = folder, links
        self._upstreams: dict[str, Upstream] = {}
        self._grammars = Grammars(tokenizer := _tokenizer_of(folder))
        # Texts within JSON end soon: their end is as unlikely as anything else to a model without training.
        bias = {tokenizer.backend_tokenizer.token_to_id('"'): 3.0}
        self._free = Sampling(temperature=1.0, seed=7, logit_bias=bias)

    def install(self) -> None:
        """Let models of MLX in this process follow their scripts."""
        scripts = self

        class ScriptedCall(ChatCall):
            def __init__(self, target: Target, request: LLMRequest) -> None:
                super().__init__(target, request)
                self._asked = target, request
                self._step: Step | None = None

            @override
            def encode(self) -> Prompt:
                prompt = super().encode()
                assert isinstance(prompt, Prompt)
                scripted = scripts.follow(prompt, *self._asked)
                self._step = scripted.step
                return scripted

            @override
            def decode(self, output: Output) -> Event | None:
                event = super().decode(output)
                return _with_identifiers(event, self._step) if isinstance(event, Done) else event

        vars(exchange).update(
            ChatCall=ScriptedCall,
            get_engine=lambda *key, **settings: _ScriptedEngine(get_engine(*key, **settings)),
        )

    def uninstall(self) -> None:
        """Let models of MLX say what they like again."""
        vars(exchange).update(ChatCall=ChatCall, get_engine=get_engine)

    def open(self, upstream: Upstream) -> None:
        """Take in a scripted model of the suite."""
        self._upstreams[upstream.url] = upstream

    def folder_of(self, url: str, name: str) -> Path:
        """Return the folder of a scripted model, under the name of a model; one without a script has no files."""
        known = [*self._upstreams]
        number = str(known.index(url)) if url in self._upstreams else "none"
        link = self._links / number / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(self._folder)
        return link

    def follow(self, prompt: Prompt, target: Target, request: LLMRequest) -> _ScriptedPrompt:
        """Record a request; return its prompt with what the script wants of the model.

        Raises:
            EngineError: There is no such model, or the request is malformed.
        """
        number = Path(target.model).parent.name
        if number == "none":
            raise EngineError("model_not_found", "There is no such model.")
        upstream = list(self._upstreams.values())[int(number)]
        upstream.times.append(time.monotonic())
        try:
            body = parse(ChatBody, json.dumps(_body(prompt, target, request)).encode())
        except RequestError as error:
            upstream.violations.append(str(error))
            raise EngineError("bad_request", str(error)) from None
        step = upstream.step(body)
        if isinstance(step, Say) and (written := self._allowed(_text(step), prompt.constraint)) is not None:
            prompt = _forced(prompt, written)
        elif isinstance(step, Break) and step.text:
            prompt = _forced(prompt, step.text)
        else:
            prompt = replace(prompt, sampling=self._free)
        known = {field.name: getattr(prompt, field.name) for field in fields(Prompt)}
        return _ScriptedPrompt(**known, upstream=upstream, step=step)

    def _allowed(self, text: str, constraint: Constraint | None) -> str | None:
        """Return what the model can write of a text, up to where its response has to end; None for nothing."""
        if constraint is None:
            return text
        if not constraint.opening:
            return text if self._conforms(text, constraint) else None
        before, *begun = text.split(constraint.opening)
        calls = [constraint.opening + call.rstrip() for call in begun]
        if not all(self._conforms(call, constraint) for call in calls):
            return None
        return before + "\n".join(calls if constraint.may_repeat else calls[:1])

    def _conforms(self, text: str, constraint: Constraint) -> bool:
        matcher = self._grammars.compile(constraint)
        tokens = self._grammars.guide().tokenize_str(text, parse_special=True)
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


class _ScriptedEngine:
    """An engine that fails and pauses as the scripts say."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def submit(self, prompt: _ScriptedPrompt, on_output: Callable[[Output], None]) -> EngineRequest:
        silent = EngineRequest(prompt, on_output, lambda _: None)
        match prompt.step:
            case Refuse(status):
                silent.deliver(EngineError(kind_of_status(status), "The scripted model refuses."))
                return silent
            case Hang():
                return silent
            case Break(_, ""):
                silent.deliver(EngineError("server", "The scripted model broke."))
                return silent
            case _:
                return self._engine.submit(prompt, _Outputs(prompt, on_output))


class _Outputs:
    """The callback of a request: it pauses, and breaks, as the script says. The engine's thread waits for it."""

    def __init__(self, prompt: _ScriptedPrompt, on_output: Callable[[Output], None]) -> None:
        assert prompt.upstream is not None
        self._upstream, self._breaks, self._on_output = prompt.upstream, isinstance(prompt.step, Break), on_output
        self._chunks = 0
        self._others = threading.Thread(target=prompt.upstream.wait)
        self._others.start()

    def __call__(self, output: Output) -> None:
        self._others.join()
        is_text = isinstance(output, TextChunk)
        self._chunks += is_text
        gate = self._upstream.gate
        if self._chunks == 3 and is_text and gate is not None and not gate.wait(MAX_WAIT):  # as the server does
            self._upstream.timed_out = True
        if self._breaks and not is_text:
            output = EngineError("server", "The scripted model broke.")
        self._on_output(output)


def _forced(prompt: Prompt, text: str) -> Prompt:
    """Return the prompt of a response that can be this text alone, however long it is."""
    return replace(prompt, constraint=Constraint("lark", f"start: {_literals(text)}", tags=_TAGS), max_tokens=None)


def _literals(text: str) -> str:
    """Return a text as literals of a grammar, its tags apart."""
    parts = [text]
    for tag in _TAGS:
        parts = [piece for part in parts for piece in (_cut(part, tag) if part not in _TAGS else [part])]
    return " ".join(json.dumps(part, ensure_ascii=False) for part in parts if part) or '""'


def _cut(text: str, tag: str) -> list[str]:
    first, *others = text.split(tag)
    return [first, *(piece for other in others for piece in (tag, other))]


def _text(reply: Say) -> str:
    """Return what the model writes: reasoning and calls in the format of the tiny model's template."""
    reasoning = f"<think>\n{reply.reasoning}\n</think>\n\n" if reply.reasoning else ""
    return reasoning + "\n".join([*([reply.text] if reply.text else []), *map(_call, reply.calls)])


def _call(call: Call) -> str:
    return f'<tool_call>\n{{"name": {dump(call.name)}, "arguments": {call.arguments}}}\n</tool_call>'


def _with_identifiers(done: Done, step: Step | None) -> Done:
    """Return the end of a response with the script's identifiers of calls, which the format of the model has not."""
    given = [call.id for call in step.calls] if isinstance(step, Say) else []
    calls = tuple(
        replace(call, id=identifier or call.id)
        for call, identifier in zip_longest(done.value.tool_calls, given[: len(done.value.tool_calls)])
    )
    return replace(done, value=replace(done.value, tool_calls=calls))


def _body(prompt: Prompt, target: Target, request: LLMRequest) -> dict[str, Any]:
    """Return a prompt as the request to a server that it would be."""
    sampling = prompt.sampling
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [_message(message) for message in prompt.messages] or [{"role": "user", "content": prompt.text}],
        "temperature": effective(request, "temperature", target),
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "max_tokens": prompt.max_tokens,
        "stop": list(prompt.stop) or None,
        "stream": request.stream,
    }
    if prompt.tools:
        body |= {
            "tools": prompt.tools,
            "tool_choice": _choice(request.tool_choice),
            "parallel_tool_calls": effective(request, "parallel_tool_calls", target),
        }
    if (wanted := request.response_format) is not None:
        schema = {"name": wanted.name, "schema": wanted.schema}
        body["response_format"] = (
            {"type": "json_object"} if wanted.schema is None else {"type": "json_schema", "json_schema": schema}
        )
    return body


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    sent = {name: value for name, value in message.items() if name != "reasoning_content"}
    if calls := message.get("tool_calls"):
        sent["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
            for call in calls
        ]
    return sent


def _choice(choice: str | None) -> Any:
    is_name = choice not in {None, "auto", "none", "required"}
    return {"type": "function", "function": {"name": choice}} if is_name else choice


def _tokenizer_of(folder: Path) -> Any:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ends = json.loads((folder / "config.json").read_text(encoding="utf-8"))["eos_token_id"]
    return SimpleNamespace(backend_tokenizer=backend, eos_token_ids=ends)
