"""Names that other packages have for providers, services that no row exists for, and organisations that publish models.

Sources: LangChain's ``init_chat_model`` (langchain/chat_models/base.py), LiteLLM's list of providers
(docs.litellm.ai/docs/providers), pydantic-ai's (ai.pydantic.dev/models), LlamaIndex's packages ``llama-index-llms-*``,
OpenRouter's and Hugging Face's lists of models. Names are compared in lower case, with ``_`` for ``-``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Accepted in place of a provider's own name, since they name the same service and the same API.
ALIASES: Final[Mapping[str, str]] = MappingProxyType({
    "hf": "huggingface",
    # LangChain
    "azure_openai": "azure", "google_genai": "gemini", "mistralai": "mistral",
    # LiteLLM
    "cohere_chat": "cohere", "custom_openai": "openai-compatible", "fireworks_ai": "fireworks", "hosted_vllm": "vllm",
    "litellm_proxy": "litellm", "lm_studio": "lmstudio", "nvidia_nim": "nvidia", "ollama_chat": "ollama",
    "openai_like": "openai-compatible", "together_ai": "together",
    # pydantic-ai
    "google_gla": "gemini", "moonshotai": "moonshot",
    # other spellings
    "openai_compatible": "openai-compatible",
})  # fmt: skip
# Of these, the ones that organisations at Hugging Face and OpenRouter have as well: ``mistralai/Mistral-7B`` is a model
# of theirs, so the alias is for ``mistralai:...`` and ``provider="mistralai"``.
ALSO_ORGANISATIONS: Final = frozenset({"mistralai", "moonshotai"})

# Not accepted, but clear: another name for a provider, its makers' or its models' name, or an API of it.
MEANT: Final[Mapping[str, str]] = MappingProxyType({
    "amazon": "bedrock", "amazon_bedrock": "bedrock", "anthropic_text": "anthropic", "aws": "bedrock",
    "aws_bedrock": "bedrock", "azureopenai": "azure", "azure_text": "azure",
    "bedrock_mantle_openai": "bedrock", "bigmodel": "zai",
    "chatgpt": "openai", "claude": "anthropic", "codestral": "mistral", "command": "cohere", "gemini_api": "gemini",
    "generativelanguage": "gemini", "glm": "zai", "google": "gemini", "google_ai": "gemini",
    "google_aistudio": "gemini", "google_cloud": "vertex", "google_vertex": "vertex", "google_vertexai": "vertex",
    "google_generativeai": "gemini", "google_palm": "gemini", "googleai": "gemini", "gpt": "openai", "grok": "xai",
    "hugging_face": "huggingface", "huggingface_api": "huggingface", "huggingface_hub": "huggingface",
    "kimi": "moonshot", "llama.cpp": "llamacpp", "llama_cpp": "llamacpp", "llama_cpp_python": "llamacpp",
    "llama_server": "llamacpp", "mistral_ai": "mistral", "nim": "nvidia", "openai_chat": "openai",
    "openai_responses": "openai", "palm": "gemini", "perplexityai": "perplexity", "pplx": "perplexity",
    "text_completion_openai": "openai", "togetherai": "together", "vertex_ai": "vertex", "vertex_ai_beta": "vertex",
    "vertexai": "vertex", "x_ai": "xai", "z_ai": "zai", "zhipu": "zai",
    "zhipu_ai": "zai", "zhipuai": "zai",
})  # fmt: skip

_BY_SERVICE: Final[Mapping[str, tuple[str, ...]]] = {
    "Amazon Bedrock's Converse API": ("bedrock_converse",),
    "Amazon Bedrock's API for Claude": ("anthropic_bedrock", "bedrock_mantle_anthropic"),
    "Amazon SageMaker": ("sagemaker", "sagemaker_chat", "sagemaker_nova"),
    "Amazon Nova's own API": ("amazon_nova",),
    "Google Vertex AI's API for Claude": ("google_anthropic_vertex",),
    "Azure AI Foundry": ("azure_ai", "azure_inference"),
    "IBM watsonx": ("ibm", "watsonx", "watsonx_text"),
    "Alibaba Cloud Model Studio (DashScope)": ("alibaba", "dashscope", "tongyi"),
    "GitHub Models": ("github", "github_models"),
    "GitHub Copilot": ("github_copilot",),
    "Cloudflare Workers AI": ("@cf", "cloudflare", "workers_ai"),
    "Meta's Llama API": ("meta", "meta_llama_api"),
    "Oracle Cloud": ("oci",),
    "Databricks": ("databricks",), "Snowflake": ("snowflake",), "Replicate": ("replicate",),
    "AI21": ("ai21", "ai21_chat"), "Aleph Alpha": ("aleph_alpha",), "Anyscale": ("anyscale",),
    "Baseten": ("baseten",), "Clarifai": ("clarifai",), "DataRobot": ("datarobot",), "FriendliAI": ("friendliai",),
    "Featherless AI": ("featherless_ai",), "Gradient": ("gradient_ai",), "Heroku": ("heroku",),
    "Hyperbolic": ("hyperbolic",), "Lambda": ("lambda_ai",), "Lemonade": ("lemonade",), "llamafile": ("llamafile",),
    "Docker Model Runner": ("docker_model_runner",), "Nebius": ("nebius",), "NLP Cloud": ("nlp_cloud",),
    "Novita": ("novita",), "Nscale": ("nscale",), "OVHcloud": ("ovhcloud",), "Petals": ("petals",),
    "Predibase": ("predibase",), "Text Generation WebUI": ("oobabooga",), "Triton": ("triton",),
    "Upstage": ("upstage",), "v0": ("v0",), "Vercel's AI gateway": ("vercel", "vercel_ai_gateway"),
    "Volcengine": ("doubao", "volcengine"), "Voyage AI": ("voyage", "voyageai"), "Jina AI": ("jina", "jina_ai"),
    "Weights & Biases": ("wandb",), "Xinference": ("xinference",), "Infinity": ("infinity",),
    "Writer": ("writer",), "Reka": ("reka",), "AI/ML API": ("aiml",), "Baidu Qianfan": ("qianfan",),
    "Baichuan": ("baichuan",), "Yandex": ("yandex",), "GigaChat": ("gigachat",), "MariTalk": ("maritalk",),
    "LangSmith's gateway": ("langsmith",), "Portkey": ("portkey",), "Helicone": ("helicone",),
    "SiliconFlow": ("siliconflow",), "StepFun": ("stepfun",), "Tencent Hunyuan": ("hunyuan",),
    "ModelScope": ("modelscope",), "Scaleway": ("scaleway",), "Inception": ("inception",),
}  # fmt: skip
NOT_SUPPORTED: Final[Mapping[str, str]] = MappingProxyType(
    {name: service for service, names in _BY_SERVICE.items() for name in names}
)
"""Services without a row, by the names that others have for them."""

# Before the slash of a model's name at Hugging Face, OpenRouter or Together, where that is like a provider's name.
ORGANISATIONS: Final = frozenset({
    *ALSO_ORGANISATIONS, "01_ai", "ai21labs", "ai21", "alibaba", "allenai", "amazon", "baai", "baidu", "bigscience",
    "bytedance", "cohereforai", "coherelabs", "deepseek_ai", "facebook", "google", "google_bert", "huggingfaceh4",
    "huggingfacetb", "ibm", "ibm_granite", "inflection", "intfloat", "liquid", "meta", "meta_llama", "microsoft",
    "minimaxai", "mixedbread_ai", "mlx_community", "nex_agi", "nomic_ai", "nousresearch", "openai_community",
    "openchat",
    "qwen", "rekaai", "sentence_transformers", "stabilityai", "stepfun_ai", "tencent", "thebloke", "tiiuae", "tngtech",
    "unsloth", "upstage", "writer", "x_ai", "xai_org", "z_ai", "zai_org", "zhipuai", "thudm",
})  # fmt: skip


# Patterns of names that are written without a provider, beside those of ``models.py``, and where most people run them.
FAMILIES: Final = (
    ("gpt*", "openai"), ("chatgpt*", "openai"), ("text-embedding-*", "openai"), ("whisper-*", "openai"),
    ("tts-*", "openai"), ("dall-e*", "openai"), ("davinci*", "openai"), ("claude*", "anthropic"), ("gemini*", "gemini"),
    ("gemma*", "ollama"), ("command*", "cohere"), ("embed-*", "cohere"), ("rerank-*", "cohere"), ("grok*", "xai"),
    ("kimi*", "moonshot"), ("glm*", "zai"), ("minimax*", "minimax"), ("sonar*", "perplexity"),
    ("mistral-*", "mistral"), ("ministral*", "mistral"), ("magistral*", "mistral"), ("codestral*", "mistral"),
    ("devstral*", "mistral"), ("pixtral*", "mistral"), ("open-mi*", "mistral"), ("deepseek-*", "deepseek"),
    ("llama*", "ollama"), ("qwen*", "ollama"), ("phi*", "ollama"), ("mixtral*", "ollama"), ("nomic-embed*", "ollama"),
    ("mxbai-embed*", "ollama"), ("all-minilm*", "ollama"), ("bge-*", "ollama"), ("granite*", "ollama"),
)  # fmt: skip


def key(name: str) -> str:
    """Return a name as these tables have it."""
    return name.strip().lower().replace("-", "_")
