"""Model lists in a folder: what is stored, what is read again, and what is wrong with a file or a folder."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, ModelInfo, configure
from unified_llm._client.model_lists import model_list_keys
from unified_llm._core import defaults, repeated_warnings
from unified_llm._core.outcome import Done
from unified_llm._state import model_list_cache, model_list_files
from unified_llm._state.model_list_cache import ModelListCache, Models, Wanted
from unified_llm.exceptions import ConfigurationError, ServiceUnavailableError

KEY = ("alpha", "https://alpha/v1", "digest-of-the-account")
MODELS = (ModelInfo("one", "alpha", context_window=4096, features=frozenset({"tools", "images"})),)
NEW = (ModelInfo("two", "alpha"),)
STALE = (ModelInfo("one", "alpha", context_window=4096, features=frozenset({"tools", "images"}), stale=True),)
posix = pytest.mark.skipif(os.name != "posix", reason="files have owners and modes on POSIX only")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    configure(model_cache=folder)
    return folder


def never() -> Models:
    raise AssertionError("it was requested")


def failing() -> Models:
    raise ConnectionError


@pytest.fixture(params=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Any:
    """Return a function that reads the cache of a new process: sync or async."""

    def get(fetch: Callable[[], Models] = lambda: MODELS, *, ttl: float = 300.0, use_cache: bool = True) -> Models:
        async def afetch() -> Models:
            return fetch()

        cache, wanted = ModelListCache(), Wanted(KEY, ttl, time.monotonic, use_cache)
        return cache.get(wanted, fetch) if request.param == "sync" else asyncio.run(cache.aget(wanted, afetch))

    return get


def stored(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def change(path: Path, **changes: Any) -> None:
    path.write_text(changed(**changes)(path.read_text("utf-8")), encoding="utf-8")


def grow_old(path: Path, seconds: float) -> None:
    change(path, requested=time.time() - seconds)


def test_nothing_is_stored_unless_it_is_configured(get: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    get()
    configure(model_cache=False)
    get()
    assert list(tmp_path.iterdir()) == []


def test_a_later_process_reads_what_an_earlier_one_stored(get: Any, folder: Path) -> None:
    assert get() == MODELS
    assert get(never) == MODELS
    assert get(lambda: NEW, use_cache=False) == NEW
    assert get(never) == NEW
    assert get(lambda: MODELS, ttl=0) == MODELS, "a caller that keeps no list reads none"
    assert get(never) == NEW, "and stores none"
    assert len(list(folder.iterdir())) == 1


def test_an_old_list_of_another_process_stands_in_for_a_day_at_most(get: Any, folder: Path) -> None:
    get()
    grow_old(stored(folder), 301)
    assert get(never, ttl=400) == MODELS
    with pytest.raises(ConnectionError):
        get(failing, use_cache=False)
    assert get(lambda: NEW) == NEW, "a new list comes within a moment"
    get(lambda: MODELS, use_cache=False)
    grow_old(stored(folder), 86_300)

    def unavailable() -> Models:
        raise ServiceUnavailableError("503")

    assert get(unavailable) == STALE
    for seconds in (86_401, -60):
        grow_old(stored(folder), seconds)
        with pytest.raises(ServiceUnavailableError):
            get(unavailable)


@posix
def test_files_and_folder_are_the_owners_alone_whatever_the_umask(get: Any, folder: Path) -> None:
    before = os.umask(0)
    try:
        get()
    finally:
        os.umask(before)
    assert stored(folder).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_key_is_in_a_file_or_its_name(folder: Path) -> None:
    client = LLMClient("openai/gpt-5", api_key="sk-CANARY-stored", default_headers={"X-Api-Key": "CANARY-too"})
    [key] = model_list_keys(client._chain)
    cache = ModelListCache()
    cache.get(key.wanted(use_cache=True), lambda: MODELS)
    path = stored(folder)
    assert "CANARY" not in path.read_text("utf-8") + path.name
    digest, other = client._chain[0].target.account[0], path.stem  # type: ignore[index]
    assert digest not in path.read_text("utf-8") + other, "nor the digest of an account by itself"


def test_simulated_providers_store_nothing(folder: Path) -> None:
    with ScriptedTargets({"openai": [[Done((MODELS, None))]]}).running():
        LLMClient("openai/gpt-5", api_key="sk-x").list_models()
    assert not folder.exists()


def test_dropping_a_list_removes_its_file(get: Any, folder: Path) -> None:
    get()
    model_list_cache.current().forget([KEY])
    assert list(folder.iterdir()) == []
    assert get(lambda: NEW) == NEW


# What is wrong with a file


def changed(**changes: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **changes})


CONTENTS: dict[str, Callable[[str], str]] = {
    "truncated": lambda text: text[:-20],
    "empty": lambda _: "",
    "binary": lambda _: "".join(map(chr, range(256))),
    "a list": lambda _: "[]",
    "wrong models": changed(models=[{"id": 1}]),
    "no time": changed(requested="now"),
    "renamed": changed(list="0" * 32),
    "huge": lambda text: " " * (5 << 20) + text,
}
MODES = {"readable by others": 0o644, "writable by others": 0o602}
OTHER_FILES = ("a link", "a pipe")


def damage(path: Path, kind: str) -> None:
    if kind in CONTENTS:
        path.write_text(CONTENTS[kind](path.read_text("utf-8")), encoding="utf-8")
    elif kind in MODES:
        path.chmod(MODES[kind])
    else:
        elsewhere = path.parent.parent / "elsewhere"
        path.rename(elsewhere)
        path.symlink_to(elsewhere) if kind == "a link" else os.mkfifo(path, 0o600)


@posix
@pytest.mark.parametrize("use", ["sync", "async"])
def test_a_file_that_is_wrong_is_requested_again_and_replaced_with_one_warning(
    use: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def get(fetch: Callable[[], Models]) -> Models:
        async def afetch() -> Models:
            return fetch()

        wanted = Wanted(KEY, 300.0, time.monotonic)
        cache = ModelListCache()
        return cache.get(wanted, fetch) if use == "sync" else asyncio.run(cache.aget(wanted, afetch))

    for kind in (*CONTENTS, *MODES, *OTHER_FILES):
        folder = tmp_path / kind / "cache"
        folder.parent.mkdir()
        configure(model_cache=folder)
        repeated_warnings.reset()
        caplog.clear()
        get(lambda: MODELS)
        damage(stored(folder), kind)
        assert get(lambda: NEW) == NEW, kind
        [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert record.getMessage().startswith(f"model cache: a file in {folder} cannot be used ("), kind
        assert get(never) == NEW, f"{kind}: the file was replaced"
        assert stored(folder).stat().st_mode & 0o777 == 0o600


@posix
def test_a_file_of_another_user_is_not_read(get: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get()
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert get(lambda: NEW) == NEW


def test_a_file_of_another_version_is_ignored_without_a_warning(
    get: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    get()
    change(stored(folder), format="unified-llm 9.9 model list 7", models="?")
    assert get(lambda: NEW) == NEW
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@each(
    "error",
    [PermissionError(13, "Permission denied"), OSError(28, "No space left on device"), OSError(30, "Read-only")],
)
def test_a_folder_that_cannot_be_written_costs_one_warning(error: OSError, tmp_path: Path, caplog: Any) -> None:
    repeated_warnings.reset()
    caplog.clear()
    configure(model_cache=tmp_path / "cache")

    def refuse(*_: object, **__: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_list_files, "_write_file", refuse)
        cache = ModelListCache()
        for key in ("a", "b"):
            wanted = Wanted((key, "https://alpha/v1", "me"), 300.0, time.monotonic)
            assert cache.get(wanted, lambda: MODELS) == MODELS
            assert cache.get(wanted, never) == MODELS, "it is kept in memory"
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert f"({error.strerror})" in warnings[0]


def test_a_folder_that_is_a_file_costs_one_warning(get: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_text("mine", "utf-8")
    assert get() == MODELS
    assert get(lambda: NEW) == NEW
    assert folder.read_text("utf-8") == "mine"
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_a_write_that_fails_half_way_leaves_the_list_of_before_and_no_other_file(
    get: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        assert get(lambda: NEW, use_cache=False) == NEW
    assert get(never) == MODELS
    assert len(list(folder.iterdir())) == 1


def test_many_writers_and_readers_see_whole_lists(folder: Path) -> None:
    lists = [tuple(ModelInfo(f"{name}-{number}", "alpha") for number in range(50)) for name in "abcd"]

    def work(number: int) -> bool:
        model_list_files.write(KEY, lists[number % 4])
        found = model_list_files.read(KEY)
        return found is not None and found.models in lists

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(80)))
    assert len(list(folder.iterdir())) == 1


def test_old_files_are_removed_where_there_are_many_and_those_of_others_never(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_list_files, "_MANY_FILES", 3)
    folder.mkdir()
    names = [f"{number:032x}.json" for number in range(4)] + [f".{1:032x}.{1:016x}.tmp", "notes.json", "a.tmp"]
    for name in names:
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    (folder / f"{9:032x}.json").touch()
    model_list_files.write(KEY, MODELS)
    left = {path.name for path in folder.iterdir()}
    assert left > {"notes.json", "a.tmp", f"{9:032x}.json"}
    assert len(left) == 4


# The setting


def test_the_folder_is_that_of_the_platform_or_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("UNIFIED_LLM_MODEL_CACHE", "true")
    assert model_list_files.folder() == home / ".cache/unified-llm/models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert model_list_files.folder() == home / ".cache/unified-llm/models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert model_list_files.folder() == tmp_path / "unified-llm/models"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert model_list_files.folder() == home / "Library/Caches/unified-llm/models"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert model_list_files.folder() == tmp_path / "Local/unified-llm/models"
    monkeypatch.setenv("UNIFIED_LLM_MODEL_CACHE", "~/lists")
    assert model_list_files.folder() == home / "lists"
    for off in ("0", "False", ""):
        monkeypatch.setenv("UNIFIED_LLM_MODEL_CACHE", off)
        assert model_list_files.folder() is None
    configure(model_cache="here")
    monkeypatch.chdir(tmp_path)
    assert model_list_files.folder() != tmp_path / "here", "it is the folder of then"
    configure(model_cache=None)


@each("value", ["", "  ", 7, ["folder"], "~nobody-of-this-name/x"])
def test_a_setting_that_is_no_folder_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be True, False or the path of a folder"):
        configure(model_cache=value)
    assert defaults.configured("model_cache") is None
