"""Models that a server loads and unloads on request (Ollama, LM Studio), for targets on standby."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from unified_llm._client.backends import Backends
from unified_llm._client.errors import from_failure
from unified_llm._client.vector_space import is_embedding_model
from unified_llm._core import runtime
from unified_llm._core.codec import UNWRITABLE, Codec
from unified_llm._core.exchange import Exchange
from unified_llm._core.model_loading import FindLoaded, LoadError, LoadModel, Preloaded, UnloadModel
from unified_llm._core.outcome import Failure
from unified_llm._core.seconds import FOREVER
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for

# Ollama unloads a model so long after its last request: if this process ends, the model does not stay loaded. The
# request is sent again in good time, while the primary is in trouble.
_KEEP: Final = "30m"
_RENEWAL: Final = 900.0
# Seconds: a large model is loaded from a disk within minutes.
_LONGEST_LOAD: Final = 900.0
_LONGEST_ANSWER: Final = 30.0

# Whichever API the target's requests have.
_FORMATS: Final[Mapping[str, str]] = {"ollama": "ollama", "lmstudio": "openai_chat"}
_TOO_OLD: Final = "this server has no API that loads models, which LM Studio has from 0.4 on"


class ModelServers:
    """Loads models through requests to their servers, with the keys, headers and certificates of their targets.

    Args:
        exchange: Makes an exchange in a format, in place of connections of its own.
    """

    def __init__(self, exchange: Callable[[Codec, Any, Target], Exchange] | None = None) -> None:
        self._exchange = exchange or Backends().http_exchange

    def preload(self, target: Target) -> Preloaded:
        """Load a model, unless it is loaded already.

        Raises:
            LoadError: The server refused, or cannot be reached.
        """
        before: Preloaded | None = self._send(FindLoaded(), target, _LONGEST_ANSWER)
        if before is not None and target.provider == "lmstudio":  # where a request would load it once more
            return before
        load = LoadModel(embeds=is_embedding_model(target), keep=_KEEP)
        loaded: Preloaded = self._send(load, target, _LONGEST_LOAD)
        return before or loaded

    def unload(self, target: Target, loaded: Preloaded) -> None:
        """Unload a model.

        Raises:
            LoadError: As above.
        """
        self._send(UnloadModel(loaded.instance), target, _LONGEST_ANSWER)

    def unloads_unused(self, target: Target) -> bool:
        """Return whether the server unloads a model by itself: LM Studio keeps one that was loaded by its API."""
        return target.provider == "ollama"

    def seconds_kept(self, target: Target) -> float:
        """Return after how many seconds the request to load has to be repeated."""
        return _RENEWAL if target.provider == "ollama" else FOREVER

    def _send(self, request: Any, target: Target, seconds: float) -> Any:
        until = runtime.current().now() + seconds
        exchange = self._exchange(codec_for(_FORMATS[target.provider]), request, target)
        try:
            outcome = exchange.open(until) or exchange.read(until)
        except UNWRITABLE as error:
            raise LoadError(str(error)) from None
        finally:
            exchange.close()
        if isinstance(outcome, Failure):
            if outcome.status == 404 and target.provider == "lmstudio" and isinstance(request, FindLoaded):
                raise LoadError(_TOO_OLD)
            raise LoadError(str(from_failure(target, outcome)))
        return getattr(outcome, "value", None)
