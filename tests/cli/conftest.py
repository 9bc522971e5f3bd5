"""Commands run in an environment without keys and colours, on a machine on which no model server runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from unified_llm._client import local_servers
from unified_llm._client.local_servers import LocalServer


@pytest.fixture(autouse=True)
def servers(no_keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[LocalServer]]:
    """Yield the servers that a search of this machine finds, to which a test may add some."""
    for name in ("UNIFIED_LLM_MODEL", "FORCE_COLOR", "COLUMNS", "OLLAMA_HOST", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    running: list[LocalServer] = []
    monkeypatch.setattr(local_servers, "find_local_servers", lambda: running)
    with warnings.catch_warnings():  # old versions of Typer import what newer ones of Click deprecate
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="typer")
        yield running
