"""Row of the provider table for one provider, and the sets of features that its rows are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from unified_llm._core.features import CHAT, Feature
from unified_llm._core.outcome import FailureKind
from unified_llm._core.quirks import Quirks

# For ``apis``: providers with OpenAI's Responses format at the same address. The usual format can be named as well,
# since some models use the other by default.
RESPONSES: Final[Mapping[str, str]] = {"chat": "openai_chat", "responses": "openai_responses"}
# The same, and Anthropic's Messages format.
BOTH_APIS: Final[Mapping[str, str]] = {**RESPONSES, "messages": "anthropic"}
# For ``drop``. Vectors as lists of numbers: for endpoints that are not known to take ``encoding_format: base64``.
FLOAT_VECTORS: Final = frozenset({"encoding_format"})
# ``tool_choice`` as ``auto``, ``none`` or ``required`` only: naming one tool becomes ``required`` with that tool alone.
NO_NAMED_TOOL_CHOICE: Final = frozenset({"tool_choice.function"})

# For ``limits``: ranges of OpenAI (types/chat/completion_create_params.py of its SDK), which many have taken over.
OPENAI_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "top_logprobs": (0, 20),
}


# For ``hosts``: one label that is a region of AWS (us-east-1), and no other subdomain: a bucket can have any name.
REGION: Final = "[a-z][a-z]-*-[0-9]"


@dataclass(frozen=True, slots=True)
class UrlPart:
    """A part of a provider's address that differs between accounts.

    Attributes:
        variables: The environment variables that may hold it; the first that is set wins.
        default: What it is where none is set; empty where one has to be set.
        left_out: The value that the host's name leaves out, with the hyphen after it (Google's ``global``).
    """

    variables: tuple[str, ...]
    default: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider.

    Attributes:
        name: The part of a model string before the slash.
        title: Its name for people.
        base_url: The default base URL, with the version path; empty where there is no common address.
        url_template: The default base URL where it has parts that differ between accounts, in braces.
        url_parts: These parts, by their names.
        version: The version path, appended to a ``base_url`` of the user's that has none.
        key_env: Environment variables that may hold the key; the first that is set wins.
        base_url_env: The same for the address.
        token_env: Environment variables that may hold a token, which goes as ``Authorization: Bearer`` even where a key
            has a header of its own; they come before ``key_env``.
        version_env: Environment variables that may hold the version of the API.
        model_env: Environment variables that may hold the model of a target that names none.
        timeout_env: Environment variables that may hold the timeout, in seconds.
        key_required: Whether it refuses requests without a key.
        format: Its wire format: a name of ``_formats.codecs.FORMATS``, ``mlx``, or ``user``.
        apis: Other formats that it speaks at the same address, by the name to choose them with (``api="responses"``).
        features: What its models can do unless ``models.py`` knows better.
        api_features: The same for those other formats in which it is not ``features``.
        quirks: Where it differs from its format.
        hosts: Hosts that may receive a key from the environment (``*.example.com`` for all below, ``*`` elsewhere for a
            part of one label); the host of ``base_url`` if empty.
        local: It runs on this machine or network and may have to load a model first.
        standby: Its models can be loaded in advance (``standby="warm"``).
        literal_models: Its models have slashes in their names (``org/name``): a model named in a call is taken
            literally, and paths of URLs keep the slash.
        owner_in_names: All of its models are named like that, with the provider that made them before the slash.
        first_token: Seconds to the first token of a stream, where those of its kind do not fit.
        embeds_at_once: The most texts that one embedding request can have.
        headers: Sent with every request.
        docs: The page that the row was written from.
        note: What users should know, for the documentation.
        otel_name: Its ``gen_ai.provider.name``, where that is not ``name``.
        langsmith_name: Its ``ls_provider``, where that is not ``name``.
        advice: What to do after a failure of some kind, in place of the general advice; ``{model}`` is filled in.
        instance: For ``format="user"``: a number that belongs to the object which answers, and the object.
    """

    name: str
    title: str
    base_url: str = ""
    url_template: str = ""
    url_parts: Mapping[str, UrlPart] = field(default_factory=dict[str, UrlPart])
    version: str = "/v1"
    key_env: tuple[str, ...] = ()
    base_url_env: tuple[str, ...] = ()
    token_env: tuple[str, ...] = ()
    version_env: tuple[str, ...] = ()
    model_env: tuple[str, ...] = ()
    timeout_env: tuple[str, ...] = ()
    key_required: bool = True
    format: str = "openai_chat"
    apis: Mapping[str, str] = field(default_factory=dict[str, str])
    features: frozenset[Feature] = CHAT
    api_features: Mapping[str, frozenset[Feature]] = field(default_factory=dict[str, frozenset[Feature]])
    quirks: Quirks = field(default_factory=Quirks)
    hosts: tuple[str, ...] = ()
    local: bool = False
    standby: bool = False
    literal_models: bool = False
    owner_in_names: bool = False
    first_token: float | None = None
    embeds_at_once: int = 2048
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    docs: str = ""
    note: str = ""
    otel_name: str = ""
    langsmith_name: str = ""
    advice: Mapping[FailureKind, str] = field(default_factory=dict[FailureKind, str])
    instance: Any = field(default=None, repr=False, compare=False)

    @property
    def address_env(self) -> tuple[str, ...]:
        """The environment variables that may hold the address, or a part of it."""
        return (*self.base_url_env, *(name for part in self.url_parts.values() for name in part.variables))

    def __post_init__(self) -> None:
        """Default to the host of the base URL as the only host that may receive a key."""
        if not self.hosts and self.base_url:
            object.__setattr__(self, "hosts", (urlsplit(self.base_url).hostname or "",))
