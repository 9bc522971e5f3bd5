"""Copies, dumps and pickles: what they share, what they keep, and that they have no keys."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import ssl
import subprocess
import sys
import threading
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import MockLLM
from llama_index.core.rate_limiter import TokenBucketRateLimiter

from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import HELLO, PRIMARY, SECOND, model
from tests.support.llama_index_models import Plain
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import BreakerConfig, LLMConfig, llama_index
from unified_llm._core.api_key import Secret
from unified_llm.exceptions import ConfigurationError
from unified_llm.llama_index import UnifiedLLM


def targets(llm: UnifiedLLM) -> list[str]:
    return [target.name for target in llm.client.targets]


def test_a_field_that_is_set_takes_effect_with_the_next_call() -> None:
    llm = model()
    client = llm.client
    llm.callback_manager = CallbackManager([])
    llm.system_prompt = "Be brief."
    assert llm.client is client, "LlamaIndex sets callbacks at every turn"
    llm.model = "openai/gpt-5"
    llm.temperature = 0.5
    llm.api_key = KEY + "x"  # type: ignore[assignment]
    with ScriptedTargets({"openai/gpt-5": [say("Hi")]}).running():
        answer: Any = llm.chat(HELLO).raw
        assert answer["model_name"] == "gpt-5"
    assert llm.client.targets[0].defaults == {"temperature": 0.5}
    assert llm.client.targets[0].key == Secret(KEY + "x", "api_key=")
    llm.model_name = "openai/gpt-5-nano"
    llm.fallbacks = ["ollama/llama2", LLMConfig(model="groq/llama")]
    assert targets(llm) == ["openai/gpt-5-nano", "ollama/llama2", "groq/llama"]


@pytest.mark.parametrize(
    "how", [copy.copy, copy.deepcopy, UnifiedLLM.model_copy, lambda llm: llm.model_copy(deep=True)]
)
def test_a_copy_has_the_same_connections_and_a_life_of_its_own(how: Any) -> None:
    other, counter = MockLLM(), TokenCountingHandler()
    llm = model(
        api_key=KEY,
        fallbacks=[other],
        verify_ssl=ssl.create_default_context(),
        callback_manager=CallbackManager([counter]),
        rate_limiter=TokenBucketRateLimiter(requests_per_minute=600),
    )
    copied = how(llm)
    assert copied.client is llm.client
    assert copied.fallbacks[0] is other
    assert copied.callback_manager is llm.callback_manager
    assert copied.rate_limiter is llm.rate_limiter
    copied.temperature = 0.5
    assert (llm.temperature, llm.client.targets[0].defaults) == (None, {})
    assert copied.client.targets[0].key == llm.client.targets[0].key


def test_model_copy_takes_every_name_of_a_field_and_refuses_others() -> None:
    copied = model().model_copy(update={"model_name": "openai/gpt-5", "fallbacks": []})
    assert targets(copied) == ["openai/gpt-5"]
    with pytest.raises(ConfigurationError, match="temperature"):
        model().model_copy(update={"temprature": 0})


def full(**fields: Any) -> UnifiedLLM:
    return model(**{
        "api_key": KEY,
        "fallbacks": [
            {"model": SECOND, "api_key": KEY, "temperature": 0.5},
            MockLLM(),
        ],
        "default_headers": {"x-trace": "1", "x-api-key": KEY},
        "breaker": BreakerConfig(failures=2),
        "additional_kwargs": {"seed": 1},
        "verify_ssl": ssl.create_default_context(),
    } | fields)  # fmt: skip


def test_a_key_is_in_no_repr_dump_payload_or_pickle() -> None:
    llm = full()
    texts = (
        repr(llm), str(llm), repr(llm.to_dict()), llm.to_json(), llm.json(), repr(llm.dict()), llm.model_dump_json(),
        repr(llm.model_dump()), repr(llm.to_payload()), repr(llm.client),
    )  # fmt: skip
    assert [text for text in texts if KEY in text] == []
    assert KEY.encode() not in pickle.dumps(llm)
    assert KEY.encode() not in pickle.dumps(llm.client)


def test_a_dump_is_plain_does_not_change_with_health_and_loads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = full(fallbacks=[{"model": SECOND, "temperature": 0.5}, "groq/llama"])
    dump = llm.to_dict()
    assert json.loads(llm.to_json()) == json.loads(json.dumps(dump))
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running():
        llm.chat(HELLO)
    assert llm.to_dict() == dump
    loaded = UnifiedLLM.from_dict(dump)
    assert targets(loaded) == [PRIMARY, SECOND, "groq/llama"]
    assert loaded.client.targets[1].defaults == {"temperature": 0.5}
    assert loaded.breaker == BreakerConfig(failures=2)
    assert loaded.to_dict() == dump


def test_a_pickled_copy_looks_for_its_key_in_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(full(temperature=0.5, fallbacks=["ollama/llama2"]))
    loaded = pickle.loads(data)  # noqa: S301 - made above
    assert (loaded.temperature, loaded.default_headers, loaded.verify_ssl) == (0.5, {"x-trace": "1"}, True)
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running():
        assert loaded.chat(HELLO).message.content == "Hi"
        assert asyncio.run(loaded.achat(HELLO)).message.content == "Hi"
    monkeypatch.delenv("OPENAI_API_KEY")
    without = pickle.loads(data)  # noqa: S301 - made above
    assert without.metadata == loaded.metadata
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        without.chat(HELLO)


class Subclass(UnifiedLLM):
    """A user's own class, with another field."""

    language: str = "en"


def test_a_class_is_named_by_the_module_that_it_is_imported_from_and_can_be_subclassed() -> None:
    for name in llama_index.__all__:
        assert getattr(llama_index, name).__module__ == "unified_llm.llama_index"
    llm = Subclass(model=PRIMARY, stop="x", language="fr")
    loaded = pickle.loads(pickle.dumps(llm))  # noqa: S301 - made above
    assert (type(loaded), loaded.stop, loaded.language) == (Subclass, ["x"], "fr")
    assert Subclass.from_dict(llm.to_dict()).language == "fr"


def test_pickling_takes_nothing_from_the_original(caplog: pytest.LogCaptureFixture) -> None:
    other = Plain(wait=threading.Event())
    limiter = TokenBucketRateLimiter(requests_per_minute=600)
    llm = full(fallbacks=[other], rate_limiter=limiter, on_attempt=lambda attempt: None)
    loaded = pickle.loads(pickle.dumps(llm))  # noqa: S301
    pickle.dumps(llm.client.targets[1].instance)
    assert llm.rate_limiter is limiter
    assert llm.on_attempt is not None
    assert llm.fallbacks[0].wait is other.wait is not None
    assert (loaded.on_attempt, targets(loaded)) == (None, [PRIMARY, "custom_llm/plain-1"])
    assert "Removing unpickleable attribute" in caplog.text


def test_importing_the_adapter_loads_nothing_before_it_is_used() -> None:
    program = """
import sys
import unified_llm.llama_index
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"llama_index", "pydantic", "httpx"}))
assert set(unified_llm.llama_index.__all__) <= set(dir(unified_llm.llama_index))
try:
    unified_llm.llama_index.Nothing
except AttributeError as problem:
    print(problem)
"""
    assert _printed(program) == ["[]", "module 'unified_llm.llama_index' has no attribute 'Nothing'"]


def test_a_name_is_looked_up_once_and_another_missing_module_is_not_taken_for_llama_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import unified_llm.llama_index as adapter

    assert "UnifiedLLM" in dir(adapter)
    monkeypatch.delitem(vars(adapter), "UnifiedLLM")
    assert adapter.UnifiedLLM is UnifiedLLM is vars(adapter)["UnifiedLLM"]
    for missing, expected in (
        ("llama_index.core.llms.function_calling", ConfigurationError),
        ("unified_llm.llama_index.llm", ImportError),
    ):
        monkeypatch.delitem(vars(adapter), "UnifiedLLM", raising=False)
        with monkeypatch.context() as without:
            without.delitem(sys.modules, "unified_llm.llama_index.llm")
            without.setitem(sys.modules, missing, None)
            with pytest.raises(expected):
                adapter.__getattr__("UnifiedLLM")


def test_without_llama_index_the_adapter_says_how_to_install_it() -> None:
    program = """
import sys
sys.modules["llama_index.core"] = None
try:
    from unified_llm.llama_index import UnifiedLLM
except Exception as problem:
    print(type(problem).__name__, problem)
sys.modules["unified_llm.llama_index.llm"] = None
try:
    from unified_llm.llama_index import UnifiedLLM
except ModuleNotFoundError as problem:
    print(problem.name)
"""
    message = "ConfigurationError LlamaIndex is not installed: run pip install 'unified-llm[llama-index]'."
    assert _printed(program) == [message, "unified_llm.llama_index.llm"]


def _printed(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
