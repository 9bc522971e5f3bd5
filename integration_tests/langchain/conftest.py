"""Fixtures for langchain-tests: files to download, and a recording to replay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from langchain_tests.integration_tests import chat_models
from vcr import VCR  # type: ignore[import-untyped]

import unified_llm
from integration_tests.support.media import PDF, PNG, WAV
from unified_llm.langchain import register

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_FILES: Mapping[str, bytes] = {".png": PNG, ".pdf": PDF, ".wav": WAV}


@pytest.fixture(scope="session", autouse=True)
def _known_to_langchain() -> None:
    """Register our classes: LangChain refuses to load a serialised model of a class that is not registered."""
    register()


@pytest.fixture(autouse=True)
def _downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the files that the suite would download from the internet by small real ones."""

    def get(url: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(content=_FILES[Path(url).suffix])

    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "unified-llm-tests")
    monkeypatch.setattr(chat_models, "httpx", SimpleNamespace(get=get))


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    # Not by host: the upstream listens on another port in every run.
    # Nor with the API key in it: VCR records every header that is not filtered.
    return {
        "match_on": ["method", "path", "body"],
        "allow_playback_repeats": True,
        "record_mode": "none",
        "filter_headers": ["authorization"],
    }


@pytest.fixture
def vcr_cassette_dir(
    request: pytest.FixtureRequest, vcr_markers: list[object], vcr_config: dict[str, Any], tmp_path: Path
) -> str:
    """Return a folder with a fresh recording of the requests of the suite's one VCR test, made with the upstream."""
    if vcr_markers:
        request.getfixturevalue("_fresh_start")
        request.getfixturevalue("_servers")
        model: BaseChatModel = request.getfixturevalue("model")
        name = request.getfixturevalue("default_cassette_name")
        recorded = VCR().use_cassette(str(tmp_path / f"{name}.yaml"), **vcr_config | {"record_mode": "once"})
        with recorded as cassette:
            list(model.stream("Write a story about a cat."))
        assert len(cassette), "nothing was recorded: VCR did not see the requests"
        unified_llm.reset_health()  # or the breaker is open, and the replay sends fewer requests than were recorded
    return str(tmp_path)
