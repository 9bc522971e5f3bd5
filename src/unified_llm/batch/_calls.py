"""The calls of a batch: which targets serve a line, and how its body is read and its response written.

A body is OpenAI's request and is read as ``unified_llm.openai_style`` reads it, so that a line means what the same
call of OpenAI's SDK means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol, Self, TypeAlias

from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm._client.request_fingerprint import fingerprint
from unified_llm._config.llm_config import LLMConfig, read_fallbacks
from unified_llm._core.hidden import Hidden
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm.batch._lines import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, BatchLine
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._chat import prepare_chat
from unified_llm.openai_style._completions import prepare_completion
from unified_llm.openai_style._embeddings import prepare_embedding
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._resource import family_errors
from unified_llm.openai_style._responses import prepare_response
from unified_llm.openai_style._settings import CALL_OPTIONS, Settings
from unified_llm.openai_style._targets import Targets
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

# Arguments of a call that are no fields of a body. A file may be somebody else's: it names no address and no key.
_NO_FIELDS: Final = CALL_OPTIONS | {"self"}
_MOST_NAMED: Final = 5


class PreparedCall(Protocol):
    """A line that was read: what is sent for it, by which client, and how the answer is written."""

    @property
    def client(self) -> LLMClient:
        """The client that sends it."""
        ...

    @property
    def options(self) -> CallOptions:
        """The options of the next request."""
        ...

    @property
    def requests(self) -> Sequence[LLMRequest | EmbeddingRequest]:
        """The requests, one after the other."""
        ...

    @property
    def answer_of(self) -> Callable[[Any], OpenAIObject]:
        """Makes the answer in OpenAI's shape of the responses."""
        ...


class _Chain(Targets):
    """The targets of the command, which serve every line.

    Args:
        arguments: Those of ``LLMClient``: ``config``, ``fallbacks`` and others.
        names_model: Whether their model is that of all lines, whatever model a line names.
    """

    def __init__(self, arguments: Mapping[str, Any], *, names_model: bool) -> None:
        options = dict(arguments)
        config: dict[str, Any] = dict(options.pop("config"))
        fallbacks = read_fallbacks(options.pop("fallbacks", None))
        named = None if config.get("provider") else registry.parse_model_string(config.get("model") or "")
        if named is not None:  # the provider decides which API a line is for
            config["provider"], config["model"] = named
        super().__init__(LLMConfig(**config), None, fallbacks, options)
        self._names_model = names_model

    def read_model(self, model: Any, base_url: str | None, *, needs_model: bool) -> tuple[str | None, str | None]:
        """Return no other provider, and the model that the first target is asked for in place of its own."""
        del base_url
        if model is None or self._names_model:
            return None, None
        if not isinstance(model, str) or not model.strip():
            raise ValidationError("model is no text, or an empty one.")
        del needs_model
        return None, model


CallArguments: TypeAlias = Hidden["tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, bool]"]
"""The arguments of ``Calls``."""


class Calls:
    """Reads the bodies of lines.

    Attributes:
        replaced: Some of the models that lines name, and that the chain's model replaces.

    Args:
        chain: The arguments of ``LLMClient`` for the targets of the command; None where it has none.
        shared: The same, without a target, for lines that name a model: None where the chain serves these too.
        names_model: The chain's model is that of all its lines, whatever model a line names.

    Raises:
        ConfigurationError: A target of the command is wrong, or lacks a key or a package.
    """

    def __init__(
        self, chain: Mapping[str, Any] | None, shared: Mapping[str, Any] | None = None, *, names_model: bool = False
    ) -> None:
        self._arguments = Hidden((chain, shared, names_model))
        self.replaced: set[str] = set()
        self._chain = self._by_model = None
        self._model: frozenset[str | None] | None = None  # names of that of all lines
        if chain is not None:
            self._chain = Settings(_Chain(chain, names_model=names_model))
            first = self._chain.targets.default_client().targets[0]  # what is wrong with it is no failure of each line
            self._model = frozenset({first.name, first.model}) if names_model else None
        if shared is not None:
            self._by_model = Settings.read(dict(shared))
            self._by_model.targets.prefixed = True

    @classmethod
    def of(cls, arguments: CallArguments) -> Self:
        """Make the calls of another process here, with the keys of this one."""
        chain, shared, names_model = arguments.value
        return cls(chain, shared, names_model=names_model)

    @property
    def arguments(self) -> CallArguments:
        """What ``of`` takes: plain data without keys."""
        return self._arguments

    def prepare(self, line: BatchLine) -> PreparedCall:
        """Read the body of a line.

        Raises:
            OpenAIError: A field is unknown or wrong, or the target lacks a key, a URL or a package.
        """
        with family_errors():
            if wrong := sorted(line.body.keys() & _NO_FIELDS):
                raise ValidationError(f"The body has {', '.join(wrong)}, which is no field of OpenAI's API.")
            settings = self._settings_of(line.body.get("model"))
        return _PREPARE[line.url](settings, Hidden(dict(line.body)))

    def _settings_of(self, model: Any) -> Settings:
        is_replaced = self._model is not None and isinstance(model, str) and model not in self._model
        if is_replaced and len(self.replaced) < _MOST_NAMED:
            self.replaced.add(model)
        settings = self._chain if self._by_model is None or model is None else self._by_model
        if settings is None:
            raise ValidationError('The body names no model: add "model" to it, or pass --model.')
        return settings

    @property
    def clients(self) -> list[LLMClient]:
        """The clients that were made."""
        return [client for settings in (self._chain, self._by_model) if settings for client in settings.targets.clients]


_PREPARE: Final[Mapping[str, Callable[[Settings, Hidden[dict[str, Any]]], PreparedCall]]] = {
    CHAT: prepare_chat,
    RESPONSES: prepare_response,
    COMPLETIONS: lambda settings, body: prepare_completion(settings, body.value),
    EMBEDDINGS: lambda settings, body: prepare_embedding(settings, body.value),
}


async def send(call: PreparedCall) -> list[Any]:
    """Send the requests of a call, and return the responses.

    Raises:
        LLMError: One of them failed.
    """
    return [
        await call.client.arun_embedding(request, call.options)
        if isinstance(request, EmbeddingRequest)
        else await call.client.arun(request, call.options)
        for request in call.requests
    ]


def first_target(call: PreparedCall, request: LLMRequest | EmbeddingRequest) -> Target:
    """Return the target that is asked first."""
    return call.client.targets_of_call(request.model, call.options)[0]


def fingerprint_of(call: PreparedCall) -> str:
    """Return the digest of what determines the response to a call."""
    digests = [fingerprint(request, first_target(call, request)) for request in call.requests]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()
