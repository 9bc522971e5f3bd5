"""Models that read images, made on the spot with random weights: what they write depends on each image."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import pickle
import shutil
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.pictures import BLUE, RED, picture
from unified_llm import LLMClient, LLMResponse, Message
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.engine_types import EngineKey
from unified_llm._backends.mlx.engines import close_engines
from unified_llm._backends.mlx.model_files import read_object
from unified_llm._backends.mlx.model_types import known_types
from unified_llm._backends.mlx.vision import VisionModel
from unified_llm._backends.mlx.vision_loading import _load_beside, load
from unified_llm.exceptions import (
    BadRequestError,
    ContextOverflowError,
    LLMError,
    UnsupportedOperationError,
)
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.openai_style import OpenAI

pytestmark = pytest.mark.skipif(
    unavailable_reason() is not None or not known_types("mlx_vlm"), reason="MLX or mlx-vlm is not installed"
)
QUESTION = "What is this?"


def ask(folder: Path, *images: Any, text: str = QUESTION, **options: Any) -> LLMResponse:
    client = LLMClient(f"mlx/{folder}", max_tokens=12)
    return client.generate([Message.user(text, images=images)], **options)


def test_the_response_depends_on_each_image_and_on_their_order(folder: Path) -> None:
    red, blue = picture(RED), picture(BLUE)
    before = ask(folder)
    responses = [ask(folder, *images) for images in ((red,), (blue,), (red, blue), (blue, red), (red, red))]
    texts = [response.content for response in (before, *responses)]
    assert len({*texts}) == len(texts)
    assert all(texts)
    assert [ask(folder, *images).content for images in ((red,), (blue, red))] == [texts[1], texts[4]]
    assert ask(folder).content == texts[0], "nothing is left of earlier images"


def test_tokens_of_images_are_counted_and_max_tokens_ends_the_response(folder: Path) -> None:
    none, one, two = (ask(folder, *[picture()] * number, max_tokens=5) for number in (0, 1, 2))
    counts = [response.usage.prompt_tokens for response in (none, one, two) if response.usage]
    assert counts[0] + 4 <= counts[1]
    assert counts[2] - counts[1] == counts[1] - counts[0]
    assert one.finish_reason == "length"
    assert one.usage is not None
    assert (one.usage.completion_tokens, one.usage.total_tokens) == (5, counts[1] + 5)


def test_an_image_keeps_its_place_between_texts(folder: Path) -> None:
    def content(*parts: str) -> list[dict[str, Any]]:
        return [
            {"type": "image_url", "image_url": {"url": url(picture())}} if part == "image" else
            {"type": "text", "text": part}
            for part in parts
        ]  # fmt: skip

    client = LLMClient(f"mlx/{folder}", max_tokens=12)
    orders = (("image", "Before", "after"), ("Before", "image", "after"), ("Before", "after", "image"))
    texts = [client.generate([{"role": "user", "content": content(*order)}]).content for order in orders]
    assert len({*texts}) == len(orders)


def url(file: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(file).decode()}"


def test_all_ways_to_give_an_image_and_all_formats_are_the_same(folder: Path, tmp_path: Path) -> None:
    file = picture()
    path = tmp_path / "picture.png"
    path.write_bytes(file)
    exact: list[Any] = [picture(kind="WEBP", lossless=True), picture(kind="GIF")]
    exact += [url(picture(kind=kind), f"image/{kind.lower()}") for kind in ("BMP", "TIFF")]
    expected = ask(folder, file).content
    for given in (str(path), path, BytesIO(file), url(file), *exact):
        assert ask(folder, given).content == expected
    with path.open("rb") as opened:
        assert ask(folder, opened).content == expected
    assert ask(folder, picture(kind="JPEG", quality=95)).content


def test_every_surface_sends_the_image(qwen: Path) -> None:
    from langchain_core.messages import HumanMessage
    from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

    file = picture()
    expected = ask(qwen, file)
    model = f"mlx/{qwen}"
    chat = ChatUnified(model=model, max_tokens=12)
    blocks: list[list[str | dict[str, Any]]] = [
        [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url(file)}}],
        [
            {"type": "text", "text": QUESTION},
            {"type": "image", "base64": base64.b64encode(file).decode(), "mime_type": "image/png"},
        ],
    ]
    for content in blocks:
        message = chat.invoke([HumanMessage(content)])
        assert message.text == expected.content
        assert message.usage_metadata is not None
        assert expected.usage is not None
        assert message.usage_metadata["input_tokens"] == expected.usage.prompt_tokens
    llm = UnifiedLLM(model=model, max_tokens=12)
    answer = llm.chat([ChatMessage(role="user", blocks=[TextBlock(text=QUESTION), ImageBlock(image=file)])])
    assert answer.message.content == expected.content
    completion = OpenAI().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": [*blocks[0]]}],
        max_tokens=12,
    )
    assert completion.choices[0].message.content == expected.content


def test_a_stream_has_the_same_text_and_can_be_left(folder: Path) -> None:
    client = LLMClient(f"mlx/{folder}", max_tokens=12)
    messages = [Message.user(QUESTION, images=[picture()])]
    whole = client.generate(messages)
    chunks = list(client.stream(messages))
    assert "".join(chunk.content or "" for chunk in chunks) == whole.content
    assert (chunks[-1].finish_reason, chunks[-1].usage) == (whole.finish_reason, whole.usage)
    with client.stream(messages) as stream:
        next(iter(stream))
    assert client.generate(messages).content == whole.content


def test_requests_at_once_are_answered_as_if_each_were_alone(folder: Path) -> None:
    images = [(picture(RED),), (), (picture(BLUE),), (picture(BLUE), picture(RED))]
    alone = [ask(folder, *each).content for each in images]

    async def together() -> list[str]:
        client = LLMClient(f"mlx/{folder}", max_tokens=12)
        calls = [client.agenerate([Message.user(QUESTION, images=each)]) for each in images]
        return [response.content for response in await asyncio.gather(*calls)]

    assert asyncio.run(together()) == alone


def test_stop_strings_seeds_and_sampling_work_as_for_other_models(folder: Path) -> None:
    plain = ask(folder, picture())
    stop = plain.content[6:12]
    stopped = ask(folder, picture(), stop=[stop])
    assert stopped.content == plain.content.partition(stop)[0]
    assert stopped.finish_reason == "stop"
    drawn = [ask(folder, picture(), temperature=1.5, seed=seed).content for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert ask(folder, picture(), temperature=1.5, top_p=1e-9).content == plain.content


def test_a_conversation_keeps_the_images_of_earlier_turns(qwen: Path) -> None:
    def answer(color: str) -> str:
        question = Message.user(QUESTION, images=[picture(color)])
        client = LLMClient(f"mlx/{qwen}", max_tokens=12)
        return client.generate([question, Message.assistant("A picture."), Message.user("Sure?")]).content

    assert answer(RED) != answer(BLUE)


def test_what_cannot_be_read_is_refused_with_the_reason(qwen: Path) -> None:
    cases: list[tuple[Any, type[Exception], str]] = [
        ([Message.user(QUESTION, images=[picture()[:70]])], BadRequestError, "damaged"),
        ([Message.user(QUESTION, images=[picture(), b"GIF89a"])], BadRequestError, "Image 2 of 2"),
        ([Message.user(QUESTION, images=["https://example.com/a.png"])], UnsupportedOperationError, "by URL"),
        ([Message.user(QUESTION, audio=[b"RIFF0000WAVE"])], UnsupportedOperationError, "hear audio"),
        (
            [Message("system", Message.user("Rules", images=[picture()]).content), Message.user(QUESTION)],
            UnsupportedOperationError,
            "'system' has an image",
        ),
        ([Message.user("word " * 4_000, images=[picture()])], ContextOverflowError, "the model reads 4096"),
    ]
    client = LLMClient(f"mlx/{qwen}", max_tokens=12)
    for messages, kind, said in cases:
        with pytest.raises(kind, match=said):
            client.generate(messages)
    assert ask(qwen, picture()).content


def test_an_image_goes_to_the_first_target_that_reads_images(qwen: Path) -> None:
    client = LLMClient("mlx/demo", fallbacks=[f"mlx/{qwen}"], max_tokens=12)
    response = client.generate([Message.user(QUESTION, images=[picture()])])
    assert response.model == str(qwen)
    assert response.content == ask(qwen, picture()).content
    with pytest.raises(UnsupportedOperationError, match="read images"):
        LLMClient("mlx/demo").generate([Message.user(QUESTION, images=[picture()])])


def test_vision_model_is_the_default_and_the_list_marks_what_reads_images(
    qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_MODEL", str(qwen))
    monkeypatch.delenv("MLX_MODEL_PATH", raising=False)
    client = LLMClient(provider="mlx", max_tokens=12)
    assert client.generate([Message.user(QUESTION, images=[picture()])]).content == ask(qwen, picture()).content
    monkeypatch.setenv("MLX_MODEL_PATH", str(qwen.parent))
    listed = {model.id: model.features for model in LLMClient("mlx/demo").list_models()}
    assert {"qwen2_vl", "idefics3"} <= {name for name, features in listed.items() if "images" in (features or ())}
    assert "images" not in (listed["demo"] or ())


def test_penalties_and_biases_work_as_for_other_models(folder: Path) -> None:
    bias = {"65": 100}
    repeated = ask(folder, picture(), extra_body={"logit_bias": bias}).content
    assert len({*repeated}) == 1
    for penalties in ({"extra_body": {"logit_bias": bias, "repetition_penalty": 1e6}}, {"presence_penalty": 2.0}):
        options: dict[str, Any] = {"extra_body": {"logit_bias": bias}, "frequency_penalty": 2.0, **penalties}
        assert ask(folder, picture(), max_tokens=80, **options).content != repeated[:1] * 80


def test_constraints_and_log_probabilities_work_as_for_other_models(folder: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"color": {"enum": ["red", "blue"]}, "certain": {"type": "boolean"}},
        "required": ["color", "certain"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "picture", "schema": schema}}
    for images in ((), (picture(),)):
        seen = json.loads(ask(folder, *images, response_format=wanted, max_tokens=60).content)
        assert (seen["color"] in {"red", "blue"}, {*seen}) == (True, {"color", "certain"})
    choice = {"structured_outputs": {"choice": ["a cat", "a dog"]}}
    assert ask(folder, picture(), extra_body=choice).content in {"a cat", "a dog"}
    listed = ask(folder, picture(), logprobs=True, max_tokens=4).logprobs
    assert listed is not None
    assert len(listed) == 4


def test_a_tool_is_called_about_an_image_and_its_result_is_read(folder: Path) -> None:
    color = {"type": "object", "properties": {"color": {"enum": ["red", "blue"]}}, "required": ["color"]}
    paint = {"type": "function", "function": {"name": "paint", "description": "Paint.", "parameters": color}}
    client = LLMClient(f"mlx/{folder}", max_tokens=80)
    turns = [Message.user("Paint this.", images=[picture()])]
    response = client.generate(turns, tools=[paint], tool_choice="required")
    (call,) = response.tool_calls
    assert (call.name, response.finish_reason) == ("paint", "tool_calls")
    assert call.arguments["color"] in {"red", "blue"}
    turns += [Message.assistant("", tool_calls=response.tool_calls), Message.tool("Done.", tool_call_id=call.id)]
    after = client.generate(turns, tools=[paint])
    assert after.usage is not None
    assert after.usage.cached_tokens > 100


def test_options_that_do_not_go_together_with_images_are_refused(qwen: Path, tmp_path: Path) -> None:
    for settings, said in (({"kv_bits": 8}, "kv_bits"), ({"draft_model": str(qwen)}, "draft_model")):
        client = LLMClient({"model": f"mlx/{qwen}", "mlx": settings}, max_retries=0, max_tokens=5)
        with pytest.raises(UnsupportedOperationError, match=said):
            client.generate([Message.user(QUESTION, images=[picture()])])


def test_the_network_for_images_shares_the_weights_of_that_for_texts(qwen: Path) -> None:
    from mlx.utils import tree_flatten

    loaded = load(EngineKey(qwen))
    network, _, size = _load_beside(qwen, read_object(qwen / "config.json"), loaded, None)
    texts, images = (dict(tree_flatten(module.parameters())) for module in (loaded.model, network))
    assert [name for name, weight in texts.items() if images[name] is not weight] == []
    assert len(images) > len(texts)
    assert size == sum(weight.nbytes for name, weight in images.items() if name not in texts)


def test_requests_without_images_run_in_the_batch_and_load_no_network_for_images(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    run = VisionModel.generate

    def count(*given: Any, **options: Any) -> Iterator[Any]:
        steps.append(1)
        return run(*given, **options)

    monkeypatch.setattr(VisionModel, "generate", count)
    for kind, runs in (("qwen2_vl", [0, 1, 1]), ("idefics3", [1, 2, 3])):
        steps.clear()
        counts = []
        for images in ((), (picture(),), ()):
            assert ask(folders[kind], *images).content
            counts.append(len(steps))
        assert counts == runs, kind


class Touches:
    """A value whose pickle makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_no_code_of_a_model_is_run_whatever_names_it(qwen: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    coded = Path(shutil.copytree(qwen, tmp_path / "coded"))
    code = f"from pathlib import Path\nPath({str(ran)!r}).touch()\nclass Own: ..."
    (coded / "custom_generate").mkdir()
    for name in ("own.py", "__init__.py", "processing_qwen2_vl.py", "chat_template.py", "custom_generate/generate.py"):
        (coded / name).write_text(code)
    for name in ("pytorch_model.bin", "model.pt", "vocab.pkl", "adapters.npz", "model.npy"):
        (coded / name).write_bytes(pickle.dumps(Touches(ran)))
    named: dict[str, Any] = {
        "auto_map": {"AutoProcessor": "own.Own", "AutoTokenizer": ["own.Own", None]},
        "custom_pipelines": {"own": {"impl": "own.Own"}},
        "model_file": "own.py",
        **dict.fromkeys(("processor_class", "tokenizer_class", "image_processor_type", "model_type"), "own.Own"),
    }
    assert ask(coded, picture()).content, "code that nothing names does no harm"
    settings = ("config.json", "tokenizer_config.json", "preprocessor_config.json")
    for name, (field, value) in product(settings, named.items()):
        close_engines()
        path = coded / name
        before = path.read_text()
        path.write_text(json.dumps({**json.loads(before), field: value}))
        with contextlib.suppress(LLMError):
            assert ask(coded, picture(), max_tokens=1, max_retries=0).content
            assert field not in {"auto_map", "custom_pipelines"}, f"{field} of {name} is refused"
        path.write_text(before)
        assert not ran.exists(), f"{field} of {name}"


def test_files_that_are_damaged_are_named(qwen: Path, tmp_path: Path) -> None:
    cut = Path(shutil.copytree(qwen, tmp_path / "cut"))
    (cut / "model.safetensors").write_bytes((qwen / "model.safetensors").read_bytes()[:1_000])
    with pytest.raises(UnsupportedOperationError, match=r"cannot be read|is no whole"):
        ask(cut, picture())


def test_a_further_turn_about_the_same_images_reads_what_is_new_and_writes_the_same(folder: Path) -> None:
    def turns(color: str) -> list[Message]:
        question = Message.user(QUESTION * 40, images=[picture(color)])
        return [question, Message.assistant("A picture."), Message.user("Are you sure?")]

    client = LLMClient(f"mlx/{folder}", max_tokens=12)
    client.generate(turns(RED)[:1])
    again = client.generate(turns(RED))
    assert again.usage is not None
    assert again.usage.cached_tokens > again.usage.prompt_tokens * 0.8
    other = client.generate(turns(BLUE))
    assert other.usage is not None
    assert other.usage.cached_tokens == 0
    assert other.content != again.content
    close_engines()
    assert client.generate(turns(RED)).content == again.content
