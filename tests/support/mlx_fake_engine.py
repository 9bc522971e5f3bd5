"""An engine for models of MLX that follows a script, so that no model is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from unified_llm._backends.mlx.engine_types import EngineRequest, Finished, Output, Prompt, TextChunk

SILENCE = "silence"
"""In a script: the engine never delivers anything."""


class FakeEngine:
    """An engine that delivers its script at once, and records the requests."""

    def __init__(self, *outputs: Output | str) -> None:
        self.outputs = [
            TextChunk(output) if isinstance(output, str) and output is not SILENCE else output for output in outputs
        ]
        self.submitted = asyncio.Event()
        self.prompts: list[Prompt] = []
        self.requests: list[EngineRequest] = []

    def submit(self, prompt: Prompt, on_output: Callable[[Output], None]) -> EngineRequest:
        request = EngineRequest(prompt, on_output, lambda _: None)
        self.prompts.append(prompt)
        self.requests.append(request)
        self.submitted.set()
        for output in self.outputs:
            if not isinstance(output, str):
                request.deliver(output)
        return request


END = Finished("stop", 5, 2)
