"""Many prompts, or texts to embed, on Ray Data: classes for ``Dataset.map_batches``.

    dataset.map_batches(Generate, fn_constructor_args=(settings,), compute=ActorPoolStrategy(size=4), num_cpus=0.25)

    driver                      worker 1                               worker 2
    settings, plain data  --->  a client of its own, with the keys     the same
                                of its environment
    blocks of rows        --->  client.map(rows, concurrency=20)       the same
                                  |       |
                                  |       `-- health <--- Redis ---> health
                                  `-- part 1 of the checkpoint         part 2

A row that fails has its error in a column, and does not end the job. Nothing here needs Ray: an instance can be called
with a batch of rows in any process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unified_llm._client.map.tally import served_by
from unified_llm._core.hidden import Hidden
from unified_llm.batch._row_batches import Column
from unified_llm.batch._row_calls import CUSTOM_ID, RowCalls, RowOptions, Run, Settings
from unified_llm.types.requests import EmbeddingRequest, LLMRequest
from unified_llm.types.responses import EmbeddingResponse, LLMResponse

if TYPE_CHECKING:
    import os

__all__ = ["Embed", "Generate"]


class Generate(RowCalls[LLMResponse]):
    """Answers the prompt of each row; for ``Dataset.map_batches``.

    Each worker makes a client of the settings, with the keys of its own environment; the worker's error names the
    variable that it lacks. ``map_batches(Generate, fn_constructor_args=(settings,))`` makes one client per worker. An
    instance can be passed as well (``map_batches(Generate(settings))``): Ray then makes a client for each block.

    The columns of the result: ``response`` (the text; JSON where the settings have a ``response_format``), ``error``
    (the kind of failure and a message without the prompt; null where there is a response), ``served_by`` (the target),
    ``prompt_tokens``, ``completion_tokens``; with ``tools`` among the settings also ``tool_calls``, a JSON text in the
    form of OpenAI's API. They replace columns of the same names. A row that has an ``error`` and no prompt keeps it, so
    that one step can follow another.

    Args:
        settings: A model string, or a mapping of the fields of ``LLMConfig``, ``LLMClient`` and a request:
            ``{"model": "openai/gpt-5-mini", "fallbacks": ["ollama/llama3.2"], "max_tokens": 200}``. No keys.
        column: The column with the prompt: a text, a list of messages in OpenAI's form, or a struct with ``messages``.
        output: The column for the text of the response.
        template: A text with the names of columns in braces, in place of a prompt in a column.
        concurrency: The most requests at once, in each worker.
        checkpoint: A folder for finished responses, which all workers can reach; within Ray its whole path. Each writes
            a part of its own, and reads all when it starts, so that what has a response is not sent again after a
            worker or the job was killed. Rows are known by ``custom_id``, if there is such a column, else by what is
            sent for them.
        max_failed: End the execution when more of its rows than that have failed: in all workers where they share state
            through Redis, else in one of them. None: never.
        state: The URL of a Redis through which the workers share what they learn of targets. A password in it is sent
            with the settings: ``UNIFIED_LLM_STATE`` in the environment of the workers does the same.

    Raises:
        ConfigurationError: A setting is wrong, or may hold a key; an ``UnconfiguredError`` names variables that this
            process lacks.
    """

    _request = LLMRequest

    def __init__(
        self,
        settings: Settings,
        *,
        column: str = "prompt",
        output: str = "response",
        template: str | None = None,
        concurrency: int = 20,
        checkpoint: str | os.PathLike[str] | None = None,
        max_failed: int | None = None,
        state: str | None = None,
    ) -> None:
        options = RowOptions(column, output, template, concurrency, checkpoint, max_failed, state)
        given = Hidden(settings)
        del settings, state
        super().__init__(given, options)

    def _item(self, value: Any, key: str | None) -> Any:
        if key is None:
            return value
        return {**(value if isinstance(value, Mapping) else {"messages": value}), CUSTOM_ID: key}

    def _run(self, items: Sequence[Any]) -> Run[LLMResponse]:
        return self._client.map(
            items,
            concurrency=self._options.concurrency,
            progress=False,
            checkpoint=self._open_checkpoint(),
            **self._of_requests,
        )

    def _output(self, responses: Sequence[LLMResponse | None]) -> Column:
        return Column("text", [response.content if response else None for response in responses])

    def _columns(self, responses: Sequence[LLMResponse | None]) -> dict[str, Column]:
        usages = [response.usage if response else None for response in responses]
        columns = {
            "served_by": Column("text", [_target_of(response) for response in responses]),
            "prompt_tokens": Column("number", [usage.prompt_tokens if usage else None for usage in usages]),
            "completion_tokens": Column("number", [usage.completion_tokens if usage else None for usage in usages]),
        }
        if self._of_requests.get("tools"):
            columns["tool_calls"] = Column("text", [_tool_calls(response) for response in responses])
        return columns


class Embed(RowCalls[EmbeddingResponse]):
    """Embeds the text of each row; for ``Dataset.map_batches``, as ``Generate``, which says more.

    The columns of the result: ``embedding`` (a list of numbers), ``error``, ``served_by``.

    Args:
        settings: As for ``Generate``, of an embedding model: ``{"model": "openai/text-embedding-3-small"}``.
        column: The column with the text.
        output: The column for the vector.
        template: A text with the names of columns in braces, in place of a text in a column.
        concurrency: The most requests at once, in each worker. A request has as many texts as the provider takes.
        checkpoint: See ``Generate``.
        max_failed: See ``Generate``.
        state: See ``Generate``.

    Raises:
        ConfigurationError: As of ``Generate``.
    """

    _request = EmbeddingRequest

    def __init__(
        self,
        settings: Settings,
        *,
        column: str = "text",
        output: str = "embedding",
        template: str | None = None,
        concurrency: int = 20,
        checkpoint: str | os.PathLike[str] | None = None,
        max_failed: int | None = None,
        state: str | None = None,
    ) -> None:
        options = RowOptions(column, output, template, concurrency, checkpoint, max_failed, state)
        given = Hidden(settings)
        del settings, state
        super().__init__(given, options)

    def _item(self, value: Any, key: str | None) -> Any:
        return value if key is None else {"text": value, CUSTOM_ID: key}

    def _run(self, items: Sequence[Any]) -> Run[EmbeddingResponse]:
        return self._client.map_embed(
            items,
            concurrency=self._options.concurrency,
            progress=False,
            checkpoint=self._open_checkpoint(),
            **self._of_requests,
        )

    def _output(self, responses: Sequence[EmbeddingResponse | None]) -> Column:
        return Column("vector", [response.vectors[0] if response else None for response in responses])

    def _columns(self, responses: Sequence[EmbeddingResponse | None]) -> dict[str, Column]:
        return {"served_by": Column("text", [_target_of(response) for response in responses])}


def _target_of(response: LLMResponse | EmbeddingResponse | None) -> str | None:
    return served_by(response.attempts) if response else None


def _tool_calls(response: LLMResponse | None) -> str | None:
    if response is None or not response.tool_calls:
        return None
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.raw_arguments}}
        for call in response.tool_calls
    ]
    return json.dumps(calls, ensure_ascii=False)
