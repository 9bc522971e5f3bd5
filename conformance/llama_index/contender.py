"""What the suite must be told of an LLM before it can try it: how to make one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from llama_index.core.llms.llm import LLM


class Contender(ABC):
    """An LLM to try. Three methods make it; each is given a server of OpenAI's chat format and a key.

    ``fields`` are constructor arguments by the names that most LLMs of LlamaIndex's give them; where yours has another
    name for one, translate it: ``max_retries`` (always given; 0 is one attempt), ``timeout`` (seconds),
    ``temperature``, ``max_tokens``, ``system_prompt``, ``callback_manager``, ``rate_limiter``.

    Attributes:
        name: What the table calls it.
        packages: Distributions whose versions are told beside the score.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def calling_functions(self, base_url: str, api_key: str, **fields: Any) -> LLM:
        """An LLM whose model calls functions."""

    @abstractmethod
    def without_functions(self, base_url: str, api_key: str, **fields: Any) -> LLM:
        """An LLM whose model chats, and calls no functions."""

    @abstractmethod
    def of_model(self, model: str, base_url: str, api_key: str, **fields: Any) -> LLM:
        """An LLM of a model by this name, of which nothing is known."""

    def for_workers(
        self,
        base_url: str,
        api_key: str,
        setenv: Callable[[str, str], None],  # noqa: ARG002 - for those who need it
        **fields: Any,
    ) -> LLM:
        """An LLM that will be pickled and sent to processes with the same environment; ``setenv`` adds to that."""
        return self.calling_functions(base_url, api_key, **fields)

    def forget(self) -> None:  # noqa: B027 - most keep nothing
        """Forget what earlier tests taught, if anything is kept in the process; called before each test."""
