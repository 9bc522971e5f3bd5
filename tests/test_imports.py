"""Imports: nothing is loaded before it is used, and a missing extra is reported in one sentence.

The duration of imports is measured by the benchmarks; these tests do not depend on the load of the machine.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from tests.support.each import each

EXTRAS = (
    "langchain_core", "langchain", "langgraph", "langsmith", "mlx", "mlx_lm", "transformers", "opentelemetry", "redis",
    "llama_index", "openai", "typer", "click", "rich", "yaml", "dotenv", "truststore",
)  # fmt: skip
HEAVY = (
    *EXTRAS, "httpx", "httpcore", "pydantic", "pydantic_core", "numpy", "jinja2", "requests", "asyncio", "ssl",
    "concurrent", "email", "logging", "json",
)  # fmt: skip
# Makes the import of these names fail, as where they are not installed.
WITHOUT_MODULES = "import sys\nfor name in {names!r}: sys.modules[name] = None\n"


def run(code: str, *, without: tuple[str, ...] = ()) -> str:
    """Return the output of a new interpreter; fail if it fails."""
    command = [sys.executable, "-W", "error", "-c", (WITHOUT_MODULES.format(names=without) if without else "") + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded(code: str) -> set[str]:
    """Return the heavy packages that this code loads."""
    program = f"""
import sys
before = set(sys.modules)
{code}
print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
"""
    return set(run(program).splitlines()[-1].split()) & set(HEAVY)


# What a program does at its start, in this order, in one interpreter.
BEGINNING = {
    "import": "import unified_llm",
    "look": "dir(unified_llm); unified_llm.__version__; unified_llm.__doc__",
    "catch": "from unified_llm.exceptions import LLMError, RateLimitError",
    "class": "from unified_llm import LLMClient",
    "sync client": "LLMClient('ollama/llama2')",
    "clients": """LLMClient(
    "openai/gpt-5-mini", api_key="sk-canary-x", fallbacks=["ollama/llama2", "mlx/demo"], skip_unconfigured=True
)""",
}


@cache
def loaded_at_the_beginning() -> dict[str, set[str]]:
    """Return what had been loaded after each step of the beginning, by its name."""
    steps = "".join(f"{code}\nprint(*{{*sys.modules}} - before)\n" for code in BEGINNING.values())
    lines = run(f"import sys\nbefore = {{*sys.modules}}\n{steps}").split("\n")
    return dict(zip(BEGINNING, (set(line.split()) for line in lines), strict=True))


def heavy(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} & {*HEAVY}


@each("step", ["import", "look", "catch"])
def test_importing_the_package_loads_nothing(step: str) -> None:
    modules = loaded_at_the_beginning()[step]
    assert "unified_llm" in modules
    assert heavy(modules) == set()


def test_making_a_client_loads_no_transport_and_no_model() -> None:
    unused = {"httpx", "httpcore", "langchain_core", "mlx", "mlx_lm", "transformers", "numpy"}
    assert not heavy(loaded_at_the_beginning()["clients"]) & unused


def test_a_sync_caller_does_not_load_asyncio() -> None:
    assert "asyncio" not in loaded_at_the_beginning()["sync client"]


@pytest.mark.case(72)
def test_what_few_programs_use_is_loaded_where_they_use_it() -> None:
    modules = loaded_at_the_beginning()
    assert "pydantic.plugin._loader" not in modules["class"]  # loaded with the first validator
    of_few = ("redis", "unified_llm._state.redis", "unified_llm._state.model_list")
    assert [name for name in modules["clients"] if name.startswith(of_few)] == []


def test_a_call_loads_nothing_of_an_extra() -> None:
    code = """
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import ChatCompletion, Embedding, LLMClient
with ScriptedTargets({"ollama/llama2": [say("Hello")]}).running():
    client = LLMClient("ollama/llama2", fallbacks=["openai/gpt-5-mini"], skip_unconfigured=True)
    client.generate("Hello?")
    print(*client.stream("Hello?"))
    messages = [{"role": "user", "content": "Hello?"}]
    ChatCompletion.create("ollama/llama2", messages)
    print(*ChatCompletion.create("ollama/llama2", messages, stream=True))
    Embedding.create("ollama/llama2", "Hello?")
"""
    assert not loaded(code) & {*EXTRAS}
    assert "opentelemetry" in loaded("import opentelemetry.trace")


def test_a_chat_loads_nothing_of_media_until_it_is_asked_for_some() -> None:
    code = """
import sys
import unified_llm._backends.http.body_readers
from unified_llm import LLMClient
from unified_llm._formats.codecs import codec_for
client, codec = LLMClient("openai/gpt-5-mini", api_key="sk-canary-x"), codec_for("openai_chat")
def names(): return {name.rpartition(".")[2] for name in sys.modules if name.startswith("unified_llm.")}
before = names()
from unified_llm.types import ImageRequest
codec.encode(ImageRequest("A cat"), client.targets[0])
print(*before, "/", *names())
"""
    before, _, after = run(code).partition("/")
    of_media = {"media_requests", "read_media", "media_stream", "media_readers", "images", "audio", "videos", "further"}
    assert not set(before.split()) & of_media
    assert {"images", "media_requests"} <= set(after.split())


def test_importing_the_adapter_for_langchain_loads_langchain_when_it_is_used() -> None:
    assert not loaded("import unified_llm.langchain") & {"langchain_core", "httpx", "pydantic"}
    code = "import sys\nfrom unified_llm.langchain import ChatUnified\nprint(*sys.modules)"
    modules = {"mlx", "mlx_lm", "transformers", "langchain", "langchain_core.embeddings", "httpx"}
    assert not set(run(code).split()) & (modules | {"unified_llm._client.client", "unified_llm.types"})


# reliability.md, case 72
@pytest.mark.case(72)
@pytest.mark.usefixtures("no_keys")
def test_the_core_works_without_any_extra() -> None:
    code = """
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm.exceptions import ConfigurationError
client = LLMClient("ollama/llama2", fallbacks=["openai/gpt-5-mini"], skip_unconfigured=True)
print(client, health_snapshot())
import unified_llm
assert unified_llm.LLMClient is LLMClient is vars(unified_llm)["LLMClient"], "a name is looked up once"
"""
    assert run(code, without=EXTRAS).splitlines()[-1] == "LLMClient(ollama/llama2) []"


@pytest.mark.case(72)
def test_without_langchain_its_adapter_says_how_to_install_it() -> None:
    code = """
from unified_llm.exceptions import ConfigurationError
import unified_llm.langchain
for name in ("ChatUnified", "UnifiedEmbeddings", "register"):
    try:
        getattr(unified_llm.langchain, name)()
    except ConfigurationError as error:
        print(type(error).__name__, error)
"""
    lines = run(code, without=("langchain_core",)).splitlines()
    assert len(lines) == 3, "a line for each name"
    for line in lines:
        assert line.startswith("ConfigurationError LangChain is not installed: run ")
        assert "unified-llm[langchain]" in line


@pytest.mark.case(72)
def test_without_llama_index_its_adapter_says_how_to_install_it() -> None:
    code = """
from importlib import import_module
from unified_llm.exceptions import ConfigurationError
for name in ("UnifiedLLM", "UnifiedEmbedding", "UnifiedRerank"):
    try:
        getattr(import_module("unified_llm.llama_index"), name)
    except ConfigurationError as error:
        print(error)
"""
    lines = run(code, without=("llama_index",)).splitlines()
    assert lines == ["LlamaIndex is not installed: run pip install 'unified-llm[llama-index]'."] * 3


def test_another_missing_module_is_not_taken_for_langchain() -> None:
    code = """
try:
    from unified_llm.langchain import UnifiedEmbeddings
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code, without=("unified_llm.langchain.embeddings",)) == "unified_llm.langchain.embeddings"


def test_without_redis_shared_state_says_how_to_install_it() -> None:
    code = """
from unified_llm import configure
from unified_llm.exceptions import ConfigurationError
try:
    configure(state="redis://localhost")
except ConfigurationError as error:
    print(error)
"""
    output = run(code, without=("redis",))
    assert output == "Shared state needs the client of Redis: run pip install 'unified-llm[redis]'."


def test_without_mlx_a_target_says_how_to_install_it() -> None:
    code = """
import unified_llm._backends.mlx
unified_llm._backends.mlx.is_supported_platform = lambda: True
unified_llm._backends.mlx.find_spec = lambda name: None
from unified_llm import LLMClient
from unified_llm.exceptions import ConfigurationError
try:
    LLMClient("mlx/demo")
except ConfigurationError as error:
    print(error)
print(LLMClient("ollama/llama2", fallbacks=["mlx/demo"], skip_unconfigured=True))
"""
    output = run(code, without=("mlx", "mlx_lm"))
    refused, made = output.splitlines()
    assert refused.startswith("mlx/demo is not configured: MLX is not installed: run pip install 'unified-llm[mlx]'. ")
    assert made == "LLMClient(ollama/llama2)"
