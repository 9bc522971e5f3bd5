"""Images, and texts to continue: which models of MLX get them, from every surface."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from tests.support.command_line import run
from tests.support.mlx_fake_engine import END, FakeEngine
from tests.support.mlx_ways import agenerate, astream, generate, stream
from unified_llm import ChatCompletion, Completion, LLMClient, Message
from unified_llm._backends.mlx import model_loads, vision_folder
from unified_llm._core.target import Target
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

# The oldest Typer imports what a newer Click calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:typer")

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
QUESTION = "What is this?"
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
CONTENT: list[str | dict[Any, Any]] = [
    {"type": "text", "text": QUESTION},
    {"type": "image_url", "image_url": {"url": URL}},
]
CONFIGS: Mapping[str, dict[str, Any]] = {
    "reads": {"model_type": "qwen2_vl", "vision_config": {"depth": 2}},
    "texts": {"model_type": "qwen3"},
}
Script = Callable[..., FakeEngine]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return a model that reads images and one that does not, where mlx-vlm is installed."""
    types = {"mlx_lm": frozenset({"qwen3", "qwen2_vl"}), "mlx_vlm": frozenset({"qwen2_vl"})}
    monkeypatch.setattr(vision_folder, "known_types", lambda package: types[package])
    for name, config in CONFIGS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return {name: f"mlx/{tmp_path / name}" for name in CONFIGS}


def by_client(way: Callable[..., Any]) -> Callable[[str, Path], object]:
    return lambda model, _: way(LLMClient(model), [Message.user(QUESTION, images=[PNG])])


def by_chat_unified(model: str, _: Path) -> object:
    chat, messages = ChatUnified(model=model), [HumanMessage(CONTENT)]
    return [chat.invoke(messages), asyncio.run(chat.ainvoke(messages)), list(chat.stream(messages))]


def by_unified_llm(model: str, _: Path) -> object:
    message = ChatMessage(role="user", blocks=[TextBlock(text=QUESTION), ImageBlock(image=PNG)])
    return UnifiedLLM(model=model).chat([message])


def by_openai_style(model: str, _: Path) -> object:
    return ChatCompletion.create(model=model, messages=[{"role": "user", "content": CONTENT}])


def by_command(model: str, folder: Path) -> object:
    path = folder / "picture.png"
    path.write_bytes(PNG)
    ended = run("generate", QUESTION, "-m", model, "--image", str(path))
    if ended.code:
        raise UnsupportedOperationError(ended.err)
    return ended


SURFACES: Mapping[str, Callable[[str, Path], object]] = {
    **{way.__name__: by_client(way) for way in (generate, agenerate, stream, astream)},
    "ChatUnified": by_chat_unified,
    "UnifiedLLM": by_unified_llm,
    "ChatCompletion": by_openai_style,
    "command": by_command,
}


def test_an_image_reaches_a_model_that_reads_images_from_every_surface(
    script: Script, models: dict[str, str], tmp_path: Path
) -> None:
    for name, surface in SURFACES.items():
        engine = script("a dot", END)
        assert surface(models["reads"], tmp_path), name
        assert {prompt.images for prompt in engine.prompts} == {(PNG,)}, name


def test_a_model_that_reads_no_images_refuses_them_on_every_surface_before_it_is_loaded(
    script: Script, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = script("a dot", END)

    def refuse_everywhere(model: str) -> None:
        for surface in SURFACES.values():
            with pytest.raises(UnsupportedOperationError, match="cannot read images"):
                surface(model, tmp_path)

    refuse_everywhere(models["texts"])
    refuse_everywhere("mlx/demo")
    without = {"mlx_lm": frozenset({"qwen3", "qwen2_vl"}), "mlx_vlm": frozenset[str]()}
    monkeypatch.setattr(vision_folder, "known_types", lambda package: without[package])
    refuse_everywhere(models["reads"])  # without the extra vision
    assert engine.prompts == []


def test_an_image_goes_to_the_first_target_of_a_chain_that_reads_images(script: Script, models: dict[str, str]) -> None:
    script("a dot", END)
    client = LLMClient(models["texts"], fallbacks=[models["reads"]])
    pictured = [Message.user(QUESTION, images=[PNG])]
    assert [client.generate(messages).model for messages in (pictured, QUESTION)] == [
        models[name].removeprefix("mlx/") for name in ("reads", "texts")
    ]
    with pytest.raises(UnsupportedOperationError, match="by URL"):
        client.generate([Message.user(QUESTION, images=["https://example.com/a.png"])])


def test_the_list_of_models_says_which_of_them_read_images(
    script: Script, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("a dot", END)
    monkeypatch.setenv("MLX_MODEL_PATH", str(tmp_path))
    monkeypatch.setattr("unified_llm._backends.mlx.local_models.can_run", lambda _: True)
    client = LLMClient("mlx/demo")
    assert [info.id for info in client.list_models(supports="images")] == ["reads"]
    assert "demo" not in {info.id for info in client.list_models(supports="as_text")}


def test_a_text_is_continued_without_the_chat_template(script: Script, models: dict[str, str]) -> None:
    engine = script("jumps", END)
    client = LLMClient(models["texts"])
    assert client.complete("The fox", as_text=True).content == "jumps"
    assert Completion.create(model=models["texts"], prompt="The fox").choices[0].text == "jumps"
    assert [prompt.text for prompt in engine.prompts] == ["The fox"] * 2


def test_a_call_with_images_waits_for_what_reads_them_before_it_is_sent(
    script: Script, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = script("a dot", END)
    asked: list[bool] = []
    begun: list[int] = []

    def state_of(_: Target, *, images: bool) -> str:
        asked.append(images)
        return "unloaded" if images and not begun else "loaded"

    def begin(_: Target, *, images: bool) -> None:
        begun.append(images)
        assert engine.prompts == []

    monkeypatch.setattr(model_loads, "state_of", state_of)
    monkeypatch.setattr(model_loads, "begin", begin)
    client = LLMClient(models["reads"])
    assert client.generate([Message.user(QUESTION, images=[PNG])]).content
    assert ({*asked}, begun) == ({True}, [True])
    asked.clear()
    assert client.generate(QUESTION).content
    assert ({*asked}, begun) == ({False}, [True])
