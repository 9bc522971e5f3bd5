"""``Contender``: how the suite creates the LLM under test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llama_index.core.llms.llm import LLM

    from conformance.llama_index.upstream import Upstream


class Contender(ABC):
    """Factory of the LLM under test. Its methods receive a server of OpenAI's chat format and a key.

    ``fields`` are constructor arguments under the names that most LlamaIndex LLMs use; rename them if yours differs:
    ``max_retries`` (always passed; 0 is one attempt), ``timeout`` (seconds), ``temperature``, ``max_tokens``,
    ``system_prompt``, ``callback_manager``, ``rate_limiter``.

    Attributes:
        name: Its name in the table.
        packages: Distributions whose versions are printed with the score.
        unmet: Tests that it is known not to pass (``Class.test``), and why. They count as failed in the table.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    unmet: ClassVar[Mapping[str, str]] = {}

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

    def opened(self, upstream: Upstream) -> None:  # noqa: B027 - most LLMs reach it by its address
        """Take note of a scripted model; for an LLM whose models are in this process, and have no address."""

    def forget(self) -> None:  # noqa: B027 - most LLMs have no such state
        """Reset process-wide state of earlier tests, if there is any; called before each test."""

    def close(self) -> None:  # noqa: B027 - most LLMs hold nothing
        """Release what the contender holds; called after the last test."""
