"""What is said of a model string, or of a provider's name, that is not known: what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from unified_llm._core.redaction import looks_like_a_key, quoted
from unified_llm._lib.close_names import closest
from unified_llm._providers import models
from unified_llm._providers.other_names import FAMILIES, MEANT, NOT_SUPPORTED, ORGANISATIONS, key

_GENERAL: Final = 'write "provider/model", such as "openai/gpt-5-mini", or pass provider=.'
_SEPARATOR: Final = re.compile(r"[/:]")
# The part behind the colon of an Ollama model: a size, a quantization, or a word of its own.
_TAG: Final = re.compile(
    r"(?:e?\d+(?:\.\d+)?(?:x\d+(?:\.\d+)?)?[bm](?:[-_].*)?|latest|cloud|.*[-_]?i?q\d(?:_\w+)*|.*\bb?f(?:p)?(?:16|32))",
    re.IGNORECASE,
)
# OpenRouter's variants of a model.
_VARIANTS: Final = frozenset({"beta", "exacto", "extended", "floor", "free", "nitro", "online", "thinking"})
# ``us.anthropic.claude-sonnet-4-20250514-v1:0``: the model at Amazon Bedrock, and its name at its maker.
_BEDROCK: Final = re.compile(
    r"(?:arn:aws:bedrock:.*|(?:(?:us|us-gov|eu|apac|global|jp|au|ca)\.)?"
    r"(?P<maker>anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|stability|writer)\."
    r"(?P<model>[a-z][\w.-]*?)(?P<version>-v\d+(?::\d+)*|:\d+)?(?::\d+k)?)",
    re.IGNORECASE,
)
# Beginnings of the names that a service has for its own models, and the provider to write before them.
_OWN_FORMS: Final = (
    ("models/", "gemini", "models/"), ("tunedmodels/", "gemini", ""), ("accounts/", "fireworks", ""),
    ("ft:", "openai", ""), ("hf.co/", "ollama", ""), ("huggingface.co/", "ollama", ""),
    ("https://huggingface.co/", "hf", "https://huggingface.co/"),
)  # fmt: skip
_VERTEX: Final = re.compile(r"(?:projects/.+/)?publishers/(?P<publisher>[\w-]+)/models/(?P<model>[\w.@-]+)")
_PATH: Final = re.compile(r"(?:[~.]{0,2}[/\\]|[a-z]:\\)", re.IGNORECASE)
_NOT_SEPARATORS: Final = " .-_|\\>,;@"
# Organisations whose models run in this process.
_IN_PROCESS: Final = frozenset({"mlx_community", "sentence_transformers", "baai", "intfloat"})


def misread(model: str, name: str, *, local: bool) -> str | None:
    """Describe a model string that begins with a provider's name, and yet can hardly mean a model of that provider.

    Args:
        model: The model string.
        name: What follows the provider and the separator.
        local: The provider is a server that people run.
    """
    if name != (stripped := name.strip()):
        meant = model.removesuffix(name).rstrip() + stripped
        return f"The model in {quoted(model)} has blanks around it: did you mean {quoted(meant)}?"
    if not local and model.endswith(f":{name}") and _TAG.fullmatch(name):  # mistral:7b
        return f"{quoted(model)} has the tag of an Ollama model: did you mean {quoted(f'ollama/{model}')}?"
    return None


def explain_provider(name: str, known: Sequence[str]) -> str:
    """Say what a provider's name may mean that is not known: the end of a sentence."""
    if service := NOT_SUPPORTED.get(key(name)):
        return f"{service} is not supported. {_alternatives(known)}"
    near = MEANT.get(key(name)) or closest(name, known)
    return f"did you mean {near!r}?" if near else f"known are {', '.join(known)}."


def explain_model(model: str, known: Sequence[str]) -> str:
    """Say what is wrong with a model string that names no known provider.

    Args:
        model: The model string.
        known: The names of the providers that are known.
    """
    mistake = f"{quoted(model)} names no known provider"
    if service := _not_supported(model):
        return f"{mistake}: {service} is not supported. {_at_maker(model)}{_alternatives(known)}"
    if "://" in model and not model.startswith("https://huggingface.co/"):
        return f'{mistake}: an address belongs into base_url=, beside "openai-compatible/model".'
    if bare := _bare_name(model, known):
        return f"{mistake}: did you mean {bare}?"
    if at_cloud := _bedrock_name(model) or _vertex_name(model):  # of a form that no key has
        return f"{mistake}: did you mean {_quoted_all(at_cloud)}?"
    if looks_like_a_key(model):  # which must not be repeated behind a provider's name either
        return f"{mistake}: {_GENERAL}"
    if meant := next((meanings for guess in _GUESSES if (meanings := guess(model, known))), []):
        return f"{mistake}: did you mean {_quoted_all(meant)}?"
    if "/" in model and model.strip("/. "):
        places = _quoted_all(_at_hosts(model))
        return f'{mistake}: write "provider/model", by where the model runs: {places}; or pass provider=.'
    return f"{mistake}: {_GENERAL}"


def _split(model: str) -> tuple[str, str]:
    parts = _SEPARATOR.split(model, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _is_organisation(model: str) -> bool:
    prefix = model.partition("/")[0]
    return prefix != model and key(prefix) in ORGANISATIONS


# Services without a row


def _not_supported(model: str) -> str | None:
    prefix, rest = _split(model)
    return NOT_SUPPORTED.get(key(prefix)) if rest and not _is_organisation(model) else None


def _find_bedrock(model: str) -> re.Match[str] | None:
    match = _BEDROCK.fullmatch(model)
    return match if match and (match["version"] or match["maker"] in {None, "anthropic", "amazon"}) else None


def _at_maker(model: str) -> str:
    """Say how a model of another service is called at its maker, where that is a known provider."""
    rest = _split(model)[1]
    bedrock = _find_bedrock(rest)
    named = _named_by_maker(bedrock["model"] if bedrock and bedrock["maker"] else rest)
    return f"{quoted(named)} is the model at its maker. " if named else ""


def _named_by_maker(name: str) -> str | None:
    maker = models.maker(name)
    # Ollama makes no models.
    return f"{maker}/{name}" if maker and maker != "ollama" and "/" not in name else None


def _alternatives(known: Sequence[str]) -> str:
    return (
        f"Known providers are {', '.join(known)}; an OpenAI-compatible endpoint is 'openai-compatible/<model>' with "
        "base_url=."
    )


# What a model string may mean, the most likely first


def _own_form(model: str, _known: Sequence[str]) -> list[str]:
    forms = ((f"{provider}/", model[len(cut) :]) for start, provider, cut in _OWN_FORMS if _begins(model, start))
    return ["".join(form) for form in forms][:1]


def _begins(model: str, start: str) -> bool:
    return model.lower().startswith(start)


def _bare_name(model: str, known: Sequence[str]) -> str | None:
    if _SEPARATOR.search(model):
        return None
    if model.lower() in known:
        return f"{model.lower()}/<model>"
    family = next((provider for pattern, provider in FAMILIES if fnmatchcase(model.lower(), pattern)), None)
    if maker := models.maker(model) or family:
        return f"{maker}/{model}"
    for name in known:  # openai.gpt-4o, openai gpt-4o
        rest = model[len(name) + 1 :].strip()
        if rest and _begins(model, name) and model[len(name)] in _NOT_SEPARATORS and not looks_like_a_key(rest):
            return f"{name}/{rest}"
    return None


def _bedrock_name(model: str) -> list[str]:
    bedrock = _find_bedrock(model)
    if not bedrock:
        return []
    at_maker = _named_by_maker(bedrock["model"]) if bedrock["maker"] else None
    return [*([at_maker] if at_maker else []), f"bedrock/{model}"]


def _vertex_name(model: str) -> list[str]:
    """Return the name at Vertex AI of a resource, or of a model without its publisher."""
    prefix, rest = _split(model)
    if MEANT.get(key(prefix)) == "vertex" and rest.lower().startswith("gemini"):
        return [f"vertex/google/{rest}"]
    resource = _VERTEX.fullmatch(model)
    return [f"vertex/{resource['publisher']}/{resource['model']}"] if resource else []


def _path(model: str, _known: Sequence[str]) -> list[str]:
    return [f"mlx/{model}"] if _PATH.match(model) and model.strip("./\\~") else []


def _variant(model: str, _known: Sequence[str]) -> list[str]:
    return [f"openrouter/{model}"] if model.rpartition(":")[2].lower() in _VARIANTS and "/" in model else []


def _ollama_tag(model: str, _known: Sequence[str]) -> list[str]:
    return [f"ollama/{model}"] if ":" in model and _TAG.fullmatch(model.rpartition(":")[2]) else []


def _organisation(model: str, _known: Sequence[str]) -> list[str]:
    if not _is_organisation(model):
        return []
    last, maker = model.rpartition("/")[2], models.maker(model)
    if key(model.partition("/")[0]) in _IN_PROCESS:
        return [f"mlx/<folder of {last}>", f"hf/{model}"]
    return [f"{maker}/{last}", f"openrouter/{model}"] if maker and maker != "ollama" else _at_hosts(model)


def _at_hosts(model: str) -> list[str]:
    return [f"{host}/{model}" for host in ("hf", "openrouter", "together")]


def _other_name(model: str, known: Sequence[str]) -> list[str]:
    prefix, rest = _split(model)
    near = (MEANT.get(key(prefix)) or closest(prefix, known)) if rest else None
    return [near + model[len(prefix) :]] if near else []


_GUESSES: Final[tuple[Callable[[str, Sequence[str]], list[str]], ...]] = (
    _own_form, _path, _variant, _ollama_tag, _organisation, _other_name,
)  # fmt: skip


def _quoted_all(names: Sequence[str]) -> str:
    shown = [quoted(name) for name in dict.fromkeys(names)]
    return " or ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
