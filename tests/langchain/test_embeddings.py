"""``UnifiedEmbeddings`` and ``register``."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain.embeddings import init_embeddings
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelAuthenticationError
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import EmbeddingResponse, configure, langchain
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import AuthenticationError, BadRequestError, ConfigurationError, GenerationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings, register

SMALL = "openai/text-embedding-3-small"
ELSEWHERE = {"base_url": "https://eu.example", "api_key": f"{KEY}-of-the-other-region"}


def vectors(*rows: list[float]) -> list[Done]:
    return [Done(EmbeddingResponse(list(rows)))]


def embeddings(**fields: Any) -> UnifiedEmbeddings:
    return UnifiedEmbeddings(**{"model": SMALL, "api_key": KEY} | fields)


async def test_documents_and_questions_become_vectors_and_the_request_marks_which_is_which() -> None:
    with ScriptedTargets({SMALL: [vectors([1.0], [2.0]), vectors([3.0])] * 2}).running() as targets:
        model = embeddings(dimensions=1)
        assert isinstance(model, Embeddings)
        assert model.embed_documents(["a", "b"]) == [[1.0], [2.0]]
        assert model.embed_query("c") == [3.0]
        assert await model.aembed_documents(["a", "b"]) == [[1.0], [2.0]]
        assert await model.aembed_query("c") == [3.0]
    assert [(ask.purpose, ask.dimensions) for _, ask in targets.asked] == [("document", 1), ("query", 1)] * 2


def test_many_texts_go_in_batches_and_no_text_asks_nobody() -> None:
    with ScriptedTargets({SMALL: [vectors([1.0], [2.0]), vectors([3.0])]}).running() as targets:
        assert embeddings(chunk_size=2).embed_documents(["a", "b", "c"]) == [[1.0], [2.0], [3.0]]
        assert embeddings().embed_documents([]) == []
    assert [ask.texts for _, ask in targets.asked] == [("a", "b"), ("c",)]


def test_batches_of_different_lengths_are_never_mixed() -> None:
    with (
        ScriptedTargets({SMALL: [vectors([1.0]), vectors([3.0, 4.0])]}).running(),
        pytest.raises(GenerationError, match="A vector of 2 numbers came where 1 were expected"),
    ):
        embeddings(batch_size=1).embed_documents(["a", "b"])


def test_another_region_with_the_same_model_is_a_fallback_and_another_model_never_is() -> None:
    with ScriptedTargets({SMALL: [Failure("auth", 401), vectors([1.0])]}).running() as targets:
        assert embeddings(fallbacks=[ELSEWHERE]).embed_query("a") == [1.0]
    assert targets.names == [SMALL, SMALL]
    with pytest.raises(ConfigurationError, match="ollama/nomic-embed-text cannot replace"):
        embeddings(fallbacks=["ollama/nomic-embed-text", ELSEWHERE])


def test_errors_are_langchains_too() -> None:
    with ScriptedTargets({SMALL: [Failure("auth", 401)]}).running(), pytest.raises(AuthenticationError) as caught:
        embeddings().embed_query("a")
    assert isinstance(caught.value, ModelAuthenticationError)


@each(
    ("fields", "message"),
    [
        ({"fallbacks": [FakeListChatModel(responses=[])]}, "chat model"),
        ({"batch_size": 0}, "batch_size"),
        ({"temperature": 0}, "temperature"),
        ({"model": None}, "model"),
    ],
)
def test_bad_settings_are_found_at_construction(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        embeddings(**fields)


# register


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_once_registered_langchains_factories_make_our_models() -> None:
    register()
    register()
    chat = init_chat_model("unified:openai/gpt-5-mini", api_key=KEY, fallbacks=["ollama/llama2"], temperature=0)
    assert isinstance(chat, ChatUnified)
    assert [target.name for target in chat.client.targets] == ["openai/gpt-5-mini", "ollama/llama2"]
    assert isinstance(init_embeddings(f"unified:{SMALL}", api_key=KEY), UnifiedEmbeddings)
    agent = create_agent("unified:ollama/llama2", tools=[])
    with ScriptedTargets({"ollama/llama2": [say("Hi")]}).running():
        assert agent.invoke({"messages": [HumanMessage("Hi")]})["messages"][-1].content == "Hi"


def test_the_factory_takes_a_profile_too(tmp_path: Path) -> None:
    register()
    path = tmp_path / "settings.json"
    path.write_text('{"profiles": {"local": {"model": "ollama/llama3.2", "temperature": 0}}}')
    configure(config=path)
    chat = init_chat_model("unified:@local", max_tokens=5)
    assert isinstance(chat, ChatUnified)
    assert chat.client.targets[0].name == "ollama/llama3.2"
    assert chat.client.targets[0].defaults == {"temperature": 0.0, "max_tokens": 5}


def test_without_langchain_register_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain.chat_models.base", None)
    with pytest.raises(ConfigurationError, match=r"unified-llm\[agents\]"):
        register()


def test_a_langchain_without_a_table_is_not_broken_into(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("langchain.chat_models.base")
    monkeypatch.delattr(module, "_BUILTIN_PROVIDERS")
    with pytest.raises(ConfigurationError, match="ChatUnified"):
        register()


# Imports


def test_without_langchain_core_the_first_name_asked_for_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UnifiedEmbeddings", "register"):
        monkeypatch.delitem(vars(langchain), name, raising=False)
    monkeypatch.delitem(sys.modules, "unified_llm.langchain.embeddings")
    monkeypatch.setitem(sys.modules, "langchain_core.embeddings", None)
    with pytest.raises(ConfigurationError, match="langchain"):
        _ = langchain.UnifiedEmbeddings
    monkeypatch.setitem(sys.modules, "unified_llm.langchain._register", None)
    with pytest.raises(ModuleNotFoundError):
        _ = langchain.register


def test_the_package_lists_its_names_and_has_no_others() -> None:
    assert dir(langchain) == ["ChatUnified", "UnifiedEmbeddings", "register"]
    assert hasattr(langchain, "ChatUnified")
    with pytest.raises(AttributeError, match="ChatLiteLLM"):
        _ = langchain.ChatLiteLLM


def test_public_names_say_where_they_are_imported_from() -> None:
    for name in langchain.__all__:
        public = getattr(langchain, name)
        assert public.__module__ == "unified_llm.langchain"
        assert pickle.loads(pickle.dumps(public)) is public  # noqa: S301 - made here


def test_a_class_can_be_extended() -> None:
    class Chat(ChatUnified):
        note: str = "none"

    chat = Chat(model="ollama/llama2", stop="###", note="mine")
    assert (chat.stop, chat.note) == (["###"], "mine")
    with ScriptedTargets({"ollama/llama2": [say("Hi")]}).running():
        assert chat.invoke("Hi").content == "Hi"


def test_embeddings_say_what_fails_over() -> None:
    with ScriptedTargets({SMALL: [Failure("bad_request", 400)], "https://eu.example/v1": [vectors([1.0])]}).running():
        with pytest.raises(BadRequestError):
            embeddings(fallbacks=[ELSEWHERE], failover_on={"bad_request": False}).embed_query("a")
        assert embeddings(fallbacks=[ELSEWHERE]).embed_query("a") == [1.0]
    with pytest.raises(ConfigurationError, match="hedge_after"):
        embeddings(hedge_after=2.0)


def test_no_request_has_more_texts_than_the_narrowest_provider_takes() -> None:
    cohere = UnifiedEmbeddings(model="cohere/embed-v4.0", api_key=KEY)
    targets = ScriptedTargets(
        {"cohere/embed-v4.0": [[Done(EmbeddingResponse([[1.0]] * 96))], [Done(EmbeddingResponse([[1.0]] * 4))]]}
    )
    with targets.running():
        assert len(cohere.embed_documents([f"text {number}" for number in range(100)])) == 100
    assert [len(ask.texts) for _, ask in targets.asked] == [96, 4]
