"""``mlx``: models that run in this process: those that are here, and the download of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unified_llm._backends.mlx.process_file import ProcessModel
    from unified_llm.types.responses import ModelInfo


def pull(
    *,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="The hub's name of it: organisation/model.")],
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="NAME", help="A branch, a tag or a commit. [default: main]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    terminal: Terminal,
) -> None:
    """Download a model of the Hugging Face hub, or bring it up to date.

    A download that broke off goes on where it was. The token of gated and private models is that of HF_TOKEN.
    """
    from unified_llm._backends.mlx.download import download_model
    from unified_llm._lib.byte_sizes import show_bytes
    from unified_llm.cli._responses import as_json_line

    _check_platform()
    model = name.removeprefix("mlx/")
    downloaded = download_model(f"{model}@{revision}" if revision else model)
    model_string = f"mlx/{downloaded.model}"
    if as_json:
        facts = {
            "model": model_string, "revision": downloaded.revision, "commit": downloaded.commit,
            "folder": str(downloaded.folder), "size": downloaded.size,
        }  # fmt: skip
        terminal.write(as_json_line(facts))
    else:
        terminal.write(f"{model_string}: {show_bytes(downloaded.size)} in {downloaded.folder}\n")


def list_models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array with all that is known of each.")] = False,
    terminal: Terminal,
) -> None:
    """List the models on this machine that MLX can run.

    The demo model, those in the folders of MLX_MODEL_PATH, and those in the Hugging Face cache.
    """
    from unified_llm._backends.mlx.hub_cache import unfinished_downloads
    from unified_llm._backends.mlx.local_models import find_models
    from unified_llm._backends.mlx.model_names import pull_command
    from unified_llm._lib.byte_sizes import show_bytes
    from unified_llm.cli._models import local_facts
    from unified_llm.cli._responses import as_json_line, model_as_dict

    _check_platform()
    models = find_models()
    limit, needs = _memory(models)
    if as_json:
        known = [{**model_as_dict(m), "memory": n, "fits": n <= limit} for m, n in zip(models, needs, strict=True)]
        terminal.write(as_json_line(known))
        return
    rows = [(*local_facts(model), "yes" if need <= limit else "no") for model, need in zip(models, needs, strict=True)]
    terminal.show_table(("MODEL", "SIZE", "QUANTIZATION", "CONTEXT", "FITS"), rows)
    if max(needs) > limit:
        terminal.note(f"models may take {show_bytes(limit)} of memory together: memory_limit raises that")
    for name in unfinished_downloads():
        terminal.note(f"the download of {name} is not whole: {pull_command(name)} finishes it")
    if len(models) == 1:
        terminal.note("no model was downloaded yet: unified-llm mlx pull mlx-community/Qwen3-4B-4bit gets one")


def _memory(models: Sequence[ModelInfo]) -> tuple[int, list[int]]:
    """Return the bytes that all models may take together, and those that each takes at least, without its context."""
    from unified_llm._backends.mlx.engine_types import EngineKey
    from unified_llm._backends.mlx.loading import has_gpu
    from unified_llm._backends.mlx.memory import default_limit
    from unified_llm._backends.mlx.model_names import resolve_folder
    from unified_llm._backends.mlx.weight_sizes import estimate_size
    from unified_llm._client.client import LLMClient

    limit = LLMClient(provider="mlx").targets[0].memory_limit or default_limit()
    keys = [EngineKey(resolve_folder(model.id)) for model in models]
    return limit, [estimate_size(key, on_gpu=has_gpu()).packed for key in keys]


def ps(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array with all that is known of each.")] = False,
    terminal: Terminal,
) -> None:
    """List the models in the memory of this user's processes.

    The number of requests and the times are at most some seconds old.
    """
    from dataclasses import asdict

    from unified_llm._backends.mlx.memory import default_limit
    from unified_llm._backends.mlx.process_file import read_processes
    from unified_llm._lib.byte_sizes import show_bytes
    from unified_llm.cli._responses import as_json_line

    _check_platform()
    models = read_processes()
    if as_json:
        terminal.write(as_json_line([asdict(model) for model in models]))
        return
    if models:
        columns = ("PID", "PROGRAM", "MODEL", "STATE", "SIZE", "REQUESTS", "IDLE", "UNLOADED IN")
        terminal.show_table(columns, [_process_row(model) for model in models])
    else:
        terminal.note("no process of this user has a model of MLX in memory")
    terminal.note(f"the default of memory_limit for a process that starts now: {show_bytes(default_limit())}")


def _process_row(model: ProcessModel) -> tuple[str, ...]:
    from unified_llm._core import runtime
    from unified_llm._lib.byte_sizes import show_bytes
    from unified_llm._lib.show_seconds import show_seconds

    def seconds(instant: float | None) -> str:
        return "" if instant is None else show_seconds(round(abs(instant - runtime.current().wall())))

    parts = [f"+ {Path(folder).name}" for folder in (model.adapter, model.draft) if folder]
    return (
        str(model.pid),
        model.program,
        " ".join([model.model, *parts]),
        model.state,
        show_bytes(model.size) if model.size else "",
        str(model.requests),
        seconds(model.idle_since),
        seconds(model.unload_at),
    )


def _check_platform() -> None:
    """Refuse a machine on which nothing of it can run.

    Raises:
        UnsupportedOperationError: It is one.
    """
    from unified_llm._backends.mlx import unavailable_reason
    from unified_llm.exceptions import UnsupportedOperationError

    if reason := unavailable_reason():
        raise UnsupportedOperationError(reason)
