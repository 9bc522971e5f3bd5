"""Models by name: their download from a hub on this machine, and what is done with what is left of one that failed."""

from __future__ import annotations

import errno
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub.file_download
import pytest

from integration_tests.fakes.hub import COMMIT, Hub
from integration_tests.support.tiny_models import Shape, make_model
from unified_llm import LLMClient, LLMConfig
from unified_llm._backends.mlx import unavailable_reason
from unified_llm._backends.mlx.download import download_model
from unified_llm._backends.mlx.hub_cache import find_snapshot
from unified_llm._backends.mlx.local_models import find_models
from unified_llm.cli import main
from unified_llm.exceptions import ConfigurationError, UnconfiguredError
from unified_llm.langchain import ChatUnified

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason="MLX is not installed")

PULL = "unified-llm mlx pull org/tiny"
OTHERS = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"# tiny\n",
    "modeling_tiny.py": b"raise SystemExit('run')\n",
    "pytorch_model.bin": b"\x80\x04.",
    "original/model.pt": b"\x80\x04.",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a model's repository, those included that are not for MLX."""
    folder = make_model(tmp_path_factory.mktemp("source") / "tiny", Shape(vocabulary=400))
    return {**{path.name: path.read_bytes() for path in sorted(folder.iterdir())}, **OTHERS}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no token."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "MLX_MODEL_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    return tmp_path / "hub"


@pytest.fixture
def serve(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    @contextmanager
    def serve(**fields: Any) -> Iterator[Hub]:
        with Hub(**{"files": dict(files), **fields}) as hub:
            monkeypatch.setenv("HF_ENDPOINT", hub.address)
            yield hub

    return serve


def refusal(name: str = "org/tiny") -> str:
    with pytest.raises(ConfigurationError) as refused:
        download_model(name)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_client_that_is_asked_to_downloads_the_model_that_is_not_here_and_then_runs_it(
    serve: Any, files: dict[str, bytes]
) -> None:
    with serve() as hub:
        client = LLMClient("mlx/org/tiny", download=True)
        wanted = sorted(files.keys() - OTHERS.keys())
        assert hub.downloads() == wanted, "neither Python nor pickles"
        folder = find_snapshot("org/tiny")
        assert folder is not None
        assert sorted(path.name for path in folder.iterdir()) == wanted
        assert client.targets[0].context_window == 4096
        answered = client.generate("Hello", max_tokens=3)
        assert (answered.provider, answered.model) == ("mlx", "org/tiny")
        before = len(hub.requests)
        LLMClient("mlx/org/tiny", download=True)
        assert len(hub.requests) == before, "what is here is used as it is"
    (_, listed) = find_models()
    assert (listed.id, listed.size, listed.family) == ("org/tiny", len(files["model.safetensors"]), "qwen3")
    assert ChatUnified(model="mlx/org/tiny").invoke("Hello", max_tokens=2).response_metadata["model_name"] == "org/tiny"


def test_nothing_is_downloaded_unless_it_is_asked_for_nor_by_a_call(serve: Any) -> None:
    with serve() as hub:
        with pytest.raises(ConfigurationError, match=PULL):
            LLMClient("mlx/org/tiny")
        client = LLMClient({"model": "mlx/demo", "download": True})
        with pytest.raises(ConfigurationError, match=f"not on this machine.*{PULL}"):
            client.generate("Hello", model="mlx/org/tiny")
        with pytest.raises(ConfigurationError):
            client.generate("Hello", fallbacks=[{"model": "mlx/org/tiny", "download": True}])
        assert hub.requests == []


def test_a_draft_model_is_downloaded_as_well_and_its_absence_found_at_construction(serve: Any) -> None:
    target = {"model": "mlx/demo", "mlx": {"draft_model": "org/tiny"}}
    with serve() as hub:
        with pytest.raises(ConfigurationError, match=f"mlx.draft_model: .*{PULL}"):
            LLMClient(target)
        assert hub.requests == []
        LLMClient({**target, "download": True})
        assert hub.downloads()
    with pytest.raises(ConfigurationError, match=r"no folder of a LoRA adapter at mlx\.adapter_path '/absent'"):
        LLMClient({"model": "mlx/demo", "mlx": {"adapter_path": "/absent"}})


def test_what_only_models_in_this_process_have_is_refused_elsewhere() -> None:
    fields: dict[str, Any] = {"download": True, "memory_limit": "8GB", "mlx": {"kv_bits": 8}}
    for field, value in fields.items():
        with pytest.raises(ConfigurationError, match=f"{field}= is for a model in this process"):
            LLMClient("ollama/llama3.2", **{field: value})


def test_the_command_downloads_a_model_and_a_second_time_only_what_is_new(
    serve: Any, files: dict[str, bytes], capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    with serve() as hub:
        assert main(["mlx", "pull", "mlx/org/tiny", "--json"]) == 0
        pulled = json.loads(capsys.readouterr().out)
        folder = cache / "models--org--tiny" / "snapshots" / COMMIT
        size = sum(len(data) for name, data in files.items() if name not in OTHERS)
        expected = {"model": "mlx/org/tiny", "revision": "main", "commit": COMMIT, "folder": str(folder), "size": size}
        assert pulled == expected
        hub.requests.clear()
        hub.files["config.json"] += b"\n"
        hub.revisions["main"] = "f" * 40
        assert main(["mlx", "pull", "org/tiny"]) == 0
        assert hub.downloads() == ["config.json"]
    assert "mlx/org/tiny: " in capsys.readouterr().out
    assert find_snapshot("org/tiny") == folder.with_name("f" * 40)
    assert find_snapshot(f"org/tiny@{COMMIT}") == folder
    assert main(["mlx", "list"]) == 0
    assert "mlx/org/tiny" in capsys.readouterr().out


def test_a_revision_is_a_branch_a_tag_or_a_commit(serve: Any) -> None:
    other = "e" * 40
    with serve(revisions={"main": COMMIT, "refs/pr/1": other}):
        client = LLMClient("mlx/org/tiny@refs/pr/1", download=True)
        assert client.targets[0].name == "mlx/org/tiny@refs/pr/1"
        assert client.generate("Hello", max_tokens=1).model == "org/tiny@refs/pr/1"
        assert main(["mlx", "pull", "org/tiny", "--revision", COMMIT]) == 0
        assert "no revision gone" in refusal("org/tiny@gone")
    folder = find_snapshot("org/tiny@refs/pr/1")
    assert folder is not None
    assert folder.name == other == getattr(find_snapshot(f"org/tiny@{other}"), "name", None)
    assert find_snapshot("org/tiny@v2") is None


def test_a_file_that_breaks_off_is_resumed_where_it_was(
    serve: Any, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # what is lost of a connection
    with serve(break_after={"model.safetensors": 100_000}) as hub:
        folder = download_model("org/tiny").folder
        assert hub.ranges == ["bytes=100000-"]
    assert "%" not in capfd.readouterr().err, "a progress bar where there is no terminal"
    assert (folder / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_what_is_left_of_a_download_that_failed_is_no_model_and_the_next_one_goes_on(serve: Any) -> None:
    with serve() as hub:
        data = hub.files["model.safetensors"]
        hub.missing.add("model.safetensors")
        assert PULL in refusal()
        assert find_snapshot("org/tiny") is None
        assert [model.id for model in find_models()] == ["demo"]
        with pytest.raises(ConfigurationError, match=f"not whole: run {PULL}"):
            LLMClient("mlx/org/tiny")
        hub.missing.clear()
        hub.requests.clear()
        assert (download_model("org/tiny").folder / "model.safetensors").read_bytes() == data
        assert hub.downloads() == ["model.safetensors"]


def test_a_file_with_another_hash_is_refused_and_removed(serve: Any, files: dict[str, bytes], cache: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        with serve(damaged={name}) as hub:
            assert refusal().startswith(f"{name} of org/tiny arrived damaged")
            assert find_snapshot("org/tiny") is None
            assert [model.id for model in find_models()] == ["demo"]
            with pytest.raises(UnconfiguredError, match="arrived damaged"):
                LLMClient("mlx/org/tiny", download=True)
            hub.damaged.clear()
            folder = download_model("org/tiny").folder
            assert (folder / name).read_bytes() == files[name]
        shutil.rmtree(cache)


def test_a_download_that_ended_before_its_hashes_were_checked_is_no_model(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with serve():
        with monkeypatch.context() as patched:
            patched.setattr("unified_llm._backends.mlx.download._verify", killed)
            with pytest.raises(KeyboardInterrupt):
                download_model("org/tiny")
        assert find_snapshot("org/tiny") is None
        download_model("org/tiny")
    assert find_snapshot("org/tiny") is not None


def test_an_update_that_failed_leaves_the_model_that_was_there(serve: Any) -> None:
    with serve() as hub:
        before = download_model("org/tiny").folder
        hub.revisions["main"] = "f" * 40
        hub.files["model.safetensors"] = hub.files["model.safetensors"][:-1] + b"\0"
        hub.missing.add("model.safetensors")
        refusal()
        assert find_snapshot("org/tiny") == before


@pytest.mark.parametrize("token", [None, "hf_CANARYCANARYCANARY"])
def test_gated_and_private_models_say_what_to_do_and_never_the_token(
    serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, token: str | None
) -> None:
    caplog.set_level(logging.DEBUG)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    state = "" if token else ", which is not set now"
    with serve(gated=True, token=token) as hub:
        page = f"{hub.address}/org/tiny"
        assert refusal() == (
            f"org/tiny is open only to those who accepted its licence: accept it at {page}, and set HF_TOKEN to a "
            f"token of that account{state}."
        )
    with serve(token="hf_ANOTHERANOTHERANOTHER"):
        asked = f"set HF_TOKEN to a token that may read it{state}"
        assert asked in refusal()
    with serve(token=token):
        assert download_model("org/tiny").commit == COMMIT
        assert asked in refusal("org/absent") or token
    assert "CANARY" not in caplog.text


def test_a_hub_that_is_away_or_fails_says_what_to_run(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(status=503):
        assert refusal() == f"The Hugging Face hub answered 503, so org/tiny was not downloaded: run {PULL} later."
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    assert f"run {PULL} once the network is back" in refusal()
    with pytest.raises(UnconfiguredError, match=PULL):
        LLMClient(LLMConfig(model="mlx/org/tiny", download=True))
    chain = LLMClient("mlx/demo", fallbacks=[{"model": "mlx/org/tiny", "download": True}], skip_unconfigured=True)
    assert [target.name for target in chain.targets] == ["mlx/demo"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert refusal().endswith(f"HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it, and run {PULL}.")


def test_what_cannot_be_a_model_of_mlx_is_refused_before_its_download(serve: Any, files: dict[str, bytes]) -> None:
    without = {name: data for name, data in files.items() if not name.endswith(".safetensors")}
    with serve(files=without) as hub:
        assert refusal().startswith("org/tiny has no weights as safetensors")
        for name in (
            "tiny",
            "",
            "../tiny",
            "org/../tiny",
            "org/tiny/more",
            "/etc/passwd",
            "org/ti\0ny",
            "org/tiny@../x",
        ):
            assert "is no name of a model" in refusal(name)
        assert hub.downloads() == []


def test_a_full_disk_is_found_before_the_download_or_during_it(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serve() as hub:
        with monkeypatch.context() as patched:
            patched.setattr(huggingface_hub.file_download, "http_get", full)
            assert refusal().startswith("The disk is full, so org/tiny was not downloaded whole")
        usage = shutil.disk_usage("/")._replace(free=1000)
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
        hub.requests.clear()
        assert "org/tiny needs" in refusal()
        assert "1.0 KB are free" in refusal()
        assert hub.downloads() == []


async def test_a_download_in_an_event_loop_is_warned_of(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serve():
        LLMClient("mlx/org/tiny", download=True)
    assert "org/tiny: the download blocks the event loop" in caplog.text


def test_names_that_the_hub_lists_lead_nowhere_else(serve: Any, cache: Path) -> None:
    with serve() as hub:
        hub.files["../../../../escape.json"] = b"{}"
        assert "org/tiny" in refusal()
        assert not list(cache.parent.rglob("escape.json"))
    assert find_snapshot("org/tiny") is None
