"""State of other providers in items of reasoning, from where a program sends it back with the next request.

Some providers refuse a conversation with tools unless their own state comes back: signed reasoning of Anthropic,
thought signatures of Gemini. A program for the Responses API sends items of reasoning back, so the state is in their
``encrypted_content``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from unified_llm.types.messages import ProviderState

_MARK: Final = "unified-llm:"


def write_state(state: ProviderState) -> str:
    """Return the value of ``encrypted_content`` for a state."""
    text = json.dumps(state.as_dict(), ensure_ascii=False, separators=(",", ":"))
    return _MARK + base64.b64encode(text.encode(errors="surrogatepass")).decode()


def is_ours(item: Any) -> bool:
    """Return whether an item of reasoning holds the state of another provider than OpenAI."""
    content = item.get("encrypted_content") if isinstance(item, Mapping) else None
    return isinstance(content, str) and content.startswith(_MARK)


def read_state(item: Mapping[str, Any]) -> ProviderState | None:
    """Return the state in an item of reasoning; None where there is none, or it was changed."""
    if not is_ours(item):
        return None
    try:
        text = base64.b64decode(item["encrypted_content"].removeprefix(_MARK), validate=True)
        return ProviderState.from_dict(json.loads(text.decode(errors="surrogatepass")))
    except (binascii.Error, ValueError):
        return None
