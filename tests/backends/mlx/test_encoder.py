"""Embeddings by a BERT in this process, against the same network in NumPy."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

import pytest

from unified_llm import EmbeddingResponse, LLMClient
from unified_llm._backends.mlx import demo_folder, encoder, engines, unavailable_reason
from unified_llm._backends.mlx.encoder import Encoder
from unified_llm._backends.mlx.engine_types import Encoded, EngineError, EngineRequest, Output, TextChunk, Texts
from unified_llm._backends.mlx.engines import get_engine
from unified_llm.exceptions import (
    ConfigurationError,
    GenerationError,
    LLMError,
    ServiceUnavailableError,
    TimeoutError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.types import Usage

if (reason := unavailable_reason()) is not None:
    pytest.skip(reason, allow_module_level=True)

from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from tests.support import tiny_bert
from tests.support.mlx_calls import TIMEOUT, prompt
from tests.support.tiny_bert import Weights, hidden, mean, numbers, write_json, write_modules

TEXTS = ("a man eats bread", "the girl runs", "a", "a girl eats the bread : the man runs", "unheard of")
Embed: TypeAlias = Callable[..., EmbeddingResponse]


def embed(client: LLMClient, texts: Any, **options: Any) -> EmbeddingResponse:
    return client.embed(texts, **options)


def aembed(client: LLMClient, texts: Any, **options: Any) -> EmbeddingResponse:
    return asyncio.run(client.aembed(texts, **options))


SYNC_AND_ASYNC = pytest.mark.parametrize("ask", [embed, aembed])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for one model; its engine is closed after the test."""
    yield tmp_path
    engines.close_engines()


@pytest.fixture
def weights(folder: Path) -> Weights:
    """Write a model into the folder; return its weights."""
    return tiny_bert.write(folder)


def client_of(folder: Path, **options: Any) -> LLMClient:
    return LLMClient(f"mlx/{folder}", max_retries=0, **options)


def close_to(vectors: Any) -> Any:
    return [pytest.approx(vector.tolist(), abs=1e-5) for vector in vectors]


@SYNC_AND_ASYNC
def test_vectors_are_those_of_the_network_whatever_is_read_with_them(
    folder: Path, weights: Weights, ask: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_TOKENS_PER_STEP", 16)  # several passes, of texts of different lengths
    answer = ask(client_of(folder), TEXTS)
    assert answer.vectors == close_to(mean(hidden(weights, numbers(text))) for text in TEXTS)
    count = sum(len(numbers(text)) for text in TEXTS)
    assert (answer.usage, answer.provider) == (Usage(prompt_tokens=count, total_tokens=count), "mlx")
    assert [attempt.outcome for attempt in answer.attempts] == ["ok"]


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_networks_differ_in_the_activation(folder: Path, activation: str) -> None:
    weights = tiny_bert.write(folder, hidden_act=activation)
    config = tiny_bert.CONFIG | {"hidden_act": activation}
    assert client_of(folder).embed("a man").vectors == close_to([mean(hidden(weights, numbers("a man"), config))])


def test_checkpoints_may_name_their_weights_as_older_ones_did_and_come_in_parts(folder: Path, weights: Weights) -> None:
    (folder / "model.safetensors").unlink()
    older = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in weights.items()
    }
    names = sorted(older)
    for part, half in enumerate((names[::2], names[1::2])):
        save_file({name: older[name] for name in half}, folder / f"model-{part}-of-2.safetensors")
    assert client_of(folder).embed("a man").vectors == close_to([mean(hidden(weights, numbers("a man")))])


@pytest.mark.parametrize(
    ("pooling", "first"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "include_prompt": True}, True),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, False),
        ({"pooling_mode": "cls"}, True),
        ({"pooling_mode": "mean"}, False),
    ],
)
@pytest.mark.parametrize("normalised", [True, False])
def test_the_folder_says_how_one_vector_is_made_of_many(
    folder: Path, weights: Weights, pooling: dict[str, Any], *, first: bool, normalised: bool
) -> None:
    write_modules(folder, pooling, tiny_bert.MODULES[: 3 if normalised else 2])
    x = hidden(weights, numbers("the girl runs"))
    pooled = x[0] if first else x.mean(axis=0)
    expected = pooled / (pooled @ pooled) ** 0.5 if normalised else pooled
    assert client_of(folder).embed("the girl runs").vectors == close_to([expected])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 5}),
        ("tokenizer_config.json", {"model_max_length": 5}),
        ("tokenizer_config.json", {"model_max_length": 1e30}),
        (None, None),
    ],
)
def test_a_long_text_is_read_as_far_as_the_model_can(
    folder: Path, weights: Weights, file: str | None, content: Any
) -> None:
    if file:
        write_json(folder / file, content)
    most = 5 if file and content.get("model_max_length") != 1e30 else 16
    answer = client_of(folder).embed("the " * 20)
    assert answer.vectors == close_to([mean(hidden(weights, numbers("the " * (most - 2))))])
    assert answer.usage == Usage(prompt_tokens=most, total_tokens=most)


def test_a_question_is_marked_as_one_where_the_model_wants_that(folder: Path, weights: Weights) -> None:
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "query : ", "passage": "a "}})
    write_json(folder / "sentence_bert_config.json", {"do_lower_case": True})
    client = client_of(folder)
    cases: list[tuple[Any, str]] = [("query", "query : girl"), ("document", "a girl"), (None, "girl")]
    for purpose, read in cases:
        assert client.embed("Girl", purpose=purpose).vectors == close_to([mean(hidden(weights, numbers(read)))])


def test_a_question_does_not_wait_until_a_library_has_been_read(
    folder: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_TOKENS_PER_STEP", 16)
    queue: SimpleQueue[EngineRequest | None] = SimpleQueue()
    outputs: list[tuple[str, Output]] = []

    def ask(name: str, count: int, then: Callable[[], object] = lambda: None) -> EngineRequest:
        def on_output(output: Output) -> None:
            outputs.append((name, output))
            then()

        request = EngineRequest(Texts(("the girl runs",) * count), on_output, queue.put)
        queue.put(request)
        return request

    ask("library", 100)
    given_up = ask("given up", 100)
    ask("short", 1, then=given_up.cancel)
    ask("question", 4, then=lambda: queue.put(None))
    Encoder(folder).serve(queue)
    assert [name for name, _ in outputs] == ["short", "question", "library"]
    assert [type(output) for _, output in outputs] == [Encoded, Encoded, EngineError]
    assert "was closed during the answer" in str(outputs[-1][1])


@SYNC_AND_ASYNC
def test_vectors_that_do_not_come_in_time_are_given_up(
    folder: Path, weights: Weights, ask: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[EngineRequest] = []

    class SilentEngine:
        def submit(self, texts: Texts, on_output: Callable[[Output], None]) -> EngineRequest:
            requests.append(EngineRequest(texts, on_output, lambda _: None))
            return requests[-1]

    monkeypatch.setattr("unified_llm._backends.mlx.exchange.get_engine", lambda *_, **__: SilentEngine())
    with pytest.raises(TimeoutError, match="no response came"):
        ask(client_of(folder, timeout=0.001), "a")
    assert [request.cancelled for request in requests] == [True]


# What cannot be


def damage_model(folder: Path, *, remove: str = "", **changes: Any) -> None:
    write_json(folder / "config.json", tiny_bert.CONFIG | changes)
    if remove:
        (folder / remove).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"remove": "config.json"}, "There is no model in .*: give the path of a folder that holds config.json"),
        ({"remove": "tokenizer.json"}, "has no tokenizer.json: save its tokenizer once"),
        ({"remove": "model.safetensors"}, "has no model.safetensors, the only format that is loaded"),
        ({"architectures": ["BertForSequenceClassification"]}, "is a BertForSequenceClassification, which cannot run"),
        ({"architectures": None, "model_type": "mpnet"}, "is a mpnet, which cannot run here: for embeddings use"),
    ],
)
def test_what_a_folder_lacks_is_reported_when_the_client_is_made(
    folder: Path, weights: Weights, damage: dict[str, Any], message: str
) -> None:
    damage_model(folder, **damage)
    with pytest.raises(ConfigurationError, match=message):
        client_of(folder)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_configuration_is_reported_when_the_client_is_made(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ConfigurationError, match="check that the file is whole"):
        client_of(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "swish"}, "since its hidden_act is not known here; use another"),
        ({"position_embedding_type": "relative_key"}, "since it is a variant of BERT that is not known here"),
        ({"is_decoder": True}, "a variant of BERT"),
        ({"quantization": {"bits": 4}}, "since its weights are quantized"),
        ({"hidden_size": None}, "since its config.json is incomplete"),
        ({"num_hidden_layers": 3}, r"since its weights lack encoder.layer.2.attention.self.query.weight of the shape"),
        ({"vocab_size": 15}, r"its weights lack embeddings.word_embeddings.weight of the shape \(15, 8\); use another"),
    ],
)
def test_a_network_that_would_give_wrong_vectors_is_not_run(
    folder: Path, weights: Weights, changes: dict[str, Any], message: str
) -> None:
    damage_model(folder, **changes)
    with pytest.raises(LLMError, match=message):
        client_of(folder).embed("a")


def test_a_damaged_file_of_weights_is_reported(folder: Path, weights: Weights) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(LLMError, match=r"model\.safetensors is no whole safetensors file; download the model again"):
        client_of(folder).embed("a")


@pytest.mark.parametrize(
    ("pooling", "kinds", "message"),
    [
        ({"pooling_mode_max_tokens": True}, tiny_bert.MODULES, "wants the pooling 'max_tokens', which is not known"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, tiny_bert.MODULES, "cls_token and mean"),
        ({"pooling_mode": "mean"}, (*tiny_bert.MODULES, ("x.Dense", "3_Dense")), "wants a step 'Dense'"),
        ({"pooling_mode": "mean"}, ((5, ""),), "wants a step ''"),
    ],
)
@pytest.mark.usefixtures("weights")
def test_a_step_that_is_not_known_is_refused(folder: Path, pooling: dict[str, Any], kinds: Any, message: str) -> None:
    write_modules(folder, pooling, kinds)
    with pytest.raises(UnsupportedOperationError, match=message):
        client_of(folder).embed("a")


@SYNC_AND_ASYNC
def test_another_length_of_vectors_than_the_models_own_is_refused(folder: Path, weights: Weights, ask: Embed) -> None:
    with pytest.raises(UnsupportedOperationError, match="makes vectors of 8 numbers; leave out dimensions"):
        ask(client_of(folder), "a", dimensions=4)
    assert len(ask(client_of(folder), "a", dimensions=8).vectors[0]) == 8


def test_a_tokenizer_that_is_not_the_networks_own_is_refused(folder: Path, weights: Weights) -> None:
    tokenizer = Tokenizer.from_file(f"{folder / 'tokenizer.json'}")
    tokenizer.add_tokens(["another"])
    tokenizer.save(f"{folder / 'tokenizer.json'}")
    with pytest.raises(UnsupportedOperationError, match="its tokenizer has more tokens than its network knows"):
        client_of(folder).embed("a")


def test_a_text_without_tokens_has_no_vector(folder: Path, weights: Weights) -> None:
    tokenizer = Tokenizer.from_file(f"{folder / 'tokenizer.json'}")
    tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    tokenizer.save(f"{folder / 'tokenizer.json'}")
    with pytest.raises(ValidationError, match="A text has no tokens; leave out empty texts"):
        client_of(folder).embed(["a", ""])


def test_a_failure_in_the_network_does_not_affect_the_next_request(
    folder: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "_encode", None)
        with pytest.raises(ServiceUnavailableError, match=r"failed \(TypeError\)"):
            client.embed(["a", "man"])
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "_prepare", lambda *_: [b"no text"])
        with pytest.raises(ValidationError, match=r"refused a text \(TypeError\)"):
            client.embed("a")
    assert len(client.embed("a").vectors) == 1


def test_an_embedding_model_is_not_chatted_with_nor_a_chat_model_embedded(folder: Path, weights: Weights) -> None:
    client = LLMClient(f"mlx/{folder}", fallbacks=["mlx/demo"])
    with pytest.raises(UnsupportedOperationError, match="makes embeddings and writes no text; use another model"):
        client_of(folder).generate("What is failover?")
    assert client.generate("What is failover?").used_fallback
    assert "".join(chunk.content for chunk in client.stream("What is failover?")).startswith("Failover")
    with pytest.raises(UnsupportedOperationError, match="mlx/demo cannot make embeddings"):
        LLMClient("mlx/demo").embed("a")


@pytest.mark.parametrize(
    ("payload", "message"), [(prompt("Hi"), "makes embeddings"), (Texts(("a",)), "makes no embeddings")]
)
def test_an_engine_whose_folder_was_exchanged_refuses_the_wrong_kind(
    folder: Path, weights: Weights, payload: Any, message: str
) -> None:
    outputs: SimpleQueue[Output] = SimpleQueue()
    get_engine(demo_folder() if isinstance(payload, Texts) else folder).submit(payload, outputs.put)
    refused = outputs.get(timeout=TIMEOUT)
    assert isinstance(refused, EngineError)
    assert (refused.kind, message in str(refused)) == ("unsupported", True)


def test_an_embedding_model_needs_mlx(folder: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(folder)
    monkeypatch.setattr(encoder, "unavailable_reason", lambda: "MLX is not installed: run pip.")
    with pytest.raises(UnsupportedOperationError, match="MLX is not installed; run pip"):
        client.embed("a")


def test_a_folder_may_move_under_a_client(folder: Path, weights: Weights) -> None:
    client = client_of(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(LLMError, match="There is no model in"):
        client.embed("a")


def test_text_in_place_of_vectors_is_no_answer(folder: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    class ChatEngine:
        def submit(self, texts: Texts, on_output: Callable[[Output], None]) -> EngineRequest:
            on_output(TextChunk("Hello"))
            return EngineRequest(texts, on_output, lambda _: None)

    monkeypatch.setattr("unified_llm._backends.mlx.exchange.get_engine", lambda *_, **__: ChatEngine())
    with pytest.raises(GenerationError, match="what came back is no response"):
        client_of(folder).embed("a")
