"""``Contender``: how the suite creates the LLM under test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from llama_index.core.llms.llm import LLM


class Contender(ABC):
    """Factory of the LLM under test. Its methods receive a server of OpenAI's chat format and a key.

    ``fields`` are constructor arguments under the names that most LlamaIndex LLMs use; rename them if yours differs:
    ``max_retries`` (always passed; 0 is one attempt), ``timeout`` (seconds), ``temperature``, ``max_tokens``,
    ``system_prompt``, ``callback_manager``, ``rate_limiter``.

    Attributes:
        name: Its name in the table.
        packages: Distributions whose versions are printed with the score.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def calling_functions(self, base_url: str, api_key: str, **fields: Any) -> LLM:
        """Create an LLM whose model supports function calling."""

    @abstractmethod
    def without_functions(self, base_url: str, api_key: str, **fields: Any) -> LLM:
        """Create an LLM whose model chats without function calling."""

    @abstractmethod
    def of_model(self, model: str, base_url: str, api_key: str, **fields: Any) -> LLM:
        """Create an LLM for a model of this name, about which nothing is known."""

    def for_workers(
        self,
        base_url: str,
        api_key: str,
        setenv: Callable[[str, str], None],  # noqa: ARG002 - for subclasses
        **fields: Any,
    ) -> LLM:
        """Create an LLM to be pickled for processes with the same environment; ``setenv`` sets variables of it."""
        return self.calling_functions(base_url, api_key, **fields)

    def forget(self) -> None:  # noqa: B027 - most LLMs have no such state
        """Reset process-wide state of earlier tests, if there is any; called before each test."""
