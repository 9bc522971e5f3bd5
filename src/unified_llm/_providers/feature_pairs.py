"""Pairs of features that providers can or cannot combine in one request; docs/providers.md shows them as a table.

What a target cannot combine is emulated (JSON and forced tool calls are asked for by prompt and checked, a stream is
made of a whole response), or the target is skipped where no emulation exists. Sources are the providers' documentation
or issues; "unverified" marks what was not looked up. Where nothing is known, a pair is emulated ("unknown: emulated");
one without an emulation is sent as it is, and a refusal goes on to the next target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias, get_args

from unified_llm._core.features import Feature, FeaturePair

Support: TypeAlias = Literal["native", "emulated", "skipped"]

PAIRS: Final[tuple[FeaturePair, ...]] = get_args(FeaturePair)
UNKNOWN: Final = "unknown: emulated"
# The features of each pair, without which a model needs no combination of them.
NEEDS: Final[Mapping[FeaturePair, frozenset[Feature]]] = {
    "tools with JSON": frozenset({"tools"}),
    "streaming with JSON": frozenset({"streaming"}),
    "thinking with a forced tool": frozenset({"tools"}),
    "built-in tools with functions": frozenset({"tools"}),
    "prefill with thinking": frozenset(),
    "tools with streaming": frozenset({"tools", "streaming"}),
}


@dataclass(frozen=True, slots=True)
class PairSupport:
    """Answer of the models of a provider to a pair of features.

    Attributes:
        support: ``native``, ``emulated`` or ``skipped``.
        source: Where that is documented.
        providers: Names of rows; empty for all.
        models: A shell pattern over the name in lower case.
    """

    support: Support
    source: str
    providers: tuple[str, ...] = ()
    models: str = "*"


_OPENAI: Final = ("openai", "azure")
_OPENAI_JSON: Final = "platform.openai.com/docs/guides/structured-outputs"
_OPENAI_TOOLS: Final = "platform.openai.com/docs/guides/function-calling"
_CLAUDE_THINKING: Final = "platform.claude.com/docs/en/build-with-claude/extended-thinking"
_NO_JSON: Final = PairSupport("emulated", "it takes no schema")
_NO_CHOICE: Final = PairSupport("emulated", "it has no tool_choice")
_MLX: Final = "unified_llm/_backends/mlx/tool_formats/grammars.py"
_SENT: Final = "no exclusion documented, and no emulation: sent as it is"

# The first match wins, so the particular stands before the general; the last line of each pair is for all rows.
SUPPORT: Final[Mapping[FeaturePair, tuple[PairSupport, ...]]] = {
    "tools with JSON": (
        PairSupport("native", _OPENAI_JSON, _OPENAI),
        PairSupport(
            "native", "platform.claude.com/docs/en/build-with-claude/structured-outputs", ("anthropic",)
        ),
        PairSupport("native", "ai.google.dev/gemini-api/docs/structured-output", ("gemini",), "gemini-3*"),
        PairSupport("native", "ai.google.dev/gemini-api/docs/structured-output", ("gemini",), "gemini-*latest"),
        PairSupport("emulated", "github.com/google-gemini/cookbook/issues/393", ("gemini",)),
        PairSupport("emulated", "docs.cohere.com/docs/structured-outputs", ("cohere",)),
        PairSupport("emulated", "github.com/vercel/ai/pull/16540", ("groq",)),
        PairSupport("native", "docs.x.ai/docs/guides/structured-outputs (unverified)", ("xai",), "grok-4*"),
        PairSupport("native", _MLX, ("mlx",)),  # one grammar of calls and of the JSON
        # With a grammar for the answer no call of a tool can be written.
        PairSupport("emulated", "github.com/ollama/ollama/issues/8095", ("ollama",)),
        PairSupport("emulated", "github.com/vllm-project/vllm/issues/39929", ("vllm", "nvidia")),
        PairSupport("emulated", "github.com/modelship-ai/modelship/pull/71", ("llamacpp",)),
        PairSupport("emulated", UNKNOWN),
    ),
    "streaming with JSON": (
        PairSupport("emulated", "github.com/langchain-ai/langchain/issues/23629", ("groq",)),
        PairSupport("emulated", "hexdocs.pm/req_llm/1.9.0/cerebras.html", ("cerebras",)),
        # The tokens are sampled by a grammar, one after another, streamed or not.
        PairSupport("native", _MLX, ("mlx",)),
        PairSupport("native", "docs.vllm.ai/en/latest/features/structured_outputs.html", ("vllm", "nvidia")),
        PairSupport("native", "github.com/ggml-org/llama.cpp/tree/master/grammars", ("llamacpp",)),
        PairSupport("native", "docs.ollama.com/capabilities/structured-outputs", ("ollama",)),
        PairSupport("native", "openrouter.ai/docs/structured-outputs", ("openrouter",)),
        PairSupport("native", "ai.google.dev/gemini-api/docs/structured-output", ("gemini",)),
        PairSupport("native", f"{_OPENAI_JSON}#streaming", (*_OPENAI, "openai-compatible")),
        PairSupport("native", "platform.claude.com/docs/en/build-with-claude/structured-outputs", ("anthropic",)),
        PairSupport("native", "docs.cohere.com/docs/structured-outputs", ("cohere",)),
        PairSupport("native", "docs.fireworks.ai/structured-responses/structured-response-formatting", ("fireworks",)),
        PairSupport("native", "docs.litellm.ai/docs/completion/json_mode", ("litellm",)),
        PairSupport("native", "docs.x.ai/docs/guides/streaming-response", ("xai",)),
        PairSupport("native", "docs.mistral.ai/capabilities/structured-output (unverified)", ("mistral",)),
        PairSupport("native", "docs.perplexity.ai/guides/structured-outputs (unverified)", ("perplexity",)),
        PairSupport("native", "docs.together.ai/docs/json-mode (unverified)", ("together",)),
        PairSupport("native", "lmstudio.ai/docs/developer/openai-compat/structured-output (unverified)", ("lmstudio",)),
        PairSupport("emulated", UNKNOWN),
    ),
    "thinking with a forced tool": (
        PairSupport("emulated", f"{_CLAUDE_THINKING}#extended-thinking-with-tool-use", ("anthropic",)),
        PairSupport("emulated", "github.com/deepseek-ai/DeepSeek-V3/issues/1376", ("deepseek",)),
        PairSupport("native", "platform.openai.com/docs/guides/reasoning", _OPENAI),
        PairSupport("native", _MLX, ("mlx",)),  # the grammar begins after the reasoning
        PairSupport("native", "ai.google.dev/gemini-api/docs/function-calling", ("gemini",)),
        PairSupport("native", "docs.vllm.ai/en/latest/features/reasoning_outputs.html", ("vllm",)),
        PairSupport("native", "docs.x.ai/docs/guides/function-calling (unverified)", ("xai",)),
        PairSupport("emulated", UNKNOWN),
    ),
    "built-in tools with functions": (
        PairSupport("skipped", "the format has no built-in tools", ("cohere", "ollama", "mlx")),
        # Gemini 3 combines them if a field asks for it, and answers in parts that are not read here.
        PairSupport("skipped", "ai.google.dev/gemini-api/docs/tools", ("gemini",)),
        PairSupport("native", "platform.openai.com/docs/guides/tools", _OPENAI),
        PairSupport("native", "platform.claude.com/docs/en/agents-and-tools/tool-use/overview", ("anthropic",)),
        PairSupport("native", _SENT),
    ),
    "prefill with thinking": (
        PairSupport("skipped", _CLAUDE_THINKING, ("anthropic",)),
        PairSupport("skipped", "github.com/ggml-org/llama.cpp, tools/server (unverified)", ("llamacpp",)),
        PairSupport("native", _SENT),
    ),
    "tools with streaming": (
        PairSupport("emulated", "hexdocs.pm/req_llm/1.9.0/cerebras.html", ("cerebras",)),
        PairSupport("emulated", "docs.langchain.com/oss/python/integrations/chat/deepinfra", ("deepinfra",)),
        PairSupport("native", "github.com/langchain-ai/langchain/pull/26391", ("groq",)),
        PairSupport("native", "ollama.com/blog/streaming-tool", ("ollama",)),
        PairSupport("native", "docs.vllm.ai/en/latest/features/tool_calling.html", ("vllm", "nvidia")),
        PairSupport("native", "github.com/ggml-org/llama.cpp/pull/12379", ("llamacpp",)),
        PairSupport("native", "docs.cohere.com/docs/tool-use-streaming", ("cohere",)),
        PairSupport("native", "ai.google.dev/gemini-api/docs/function-calling", ("gemini",)),
        PairSupport("native", "platform.claude.com/docs/en/build-with-claude/streaming", ("anthropic",)),
        PairSupport("native", "lmstudio.ai/docs/developer/openai-compat/tools", ("lmstudio",)),
        PairSupport("native", f"{_OPENAI_TOOLS}#streaming, whose format it has"),
    ),
}  # fmt: skip


def find_support(provider: str, model: str, pair: FeaturePair) -> PairSupport:
    """Return what a model of a provider does with a pair of features."""
    name = model.lower()
    return next(
        line
        for line in SUPPORT[pair]
        if (not line.providers or provider in line.providers)
        and (fnmatchcase(name, line.models) or fnmatchcase(name.rpartition("/")[2], line.models))
    )


def describe_support(provider: str, features: frozenset[Feature], model: str, pair: FeaturePair) -> PairSupport | None:
    """Return what a model with these features does with a pair; None where it cannot do one half in any way."""
    if not NEEDS[pair] <= features:
        return None
    if pair.endswith("JSON") and "json_schema" not in features:
        return _NO_JSON
    if pair == "thinking with a forced tool" and "tool_choice" not in features:
        return _NO_CHOICE
    return find_support(provider, model, pair)


def exclusive_pairs(provider: str, model: str) -> frozenset[FeaturePair]:
    """Return the pairs of features that a model of a provider cannot combine in one request."""
    return frozenset(pair for pair in PAIRS if find_support(provider, model, pair).support != "native")
