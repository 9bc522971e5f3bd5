"""Error codes that one provider alone uses, and what they mean: for the ``codes`` of its row.

Apart from the rows, so that a row stays short. Codes that mean the same everywhere are in
``_formats/error_codes``. Codes count before the message; one that says ``bad_request`` counts after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unified_llm._core.outcome import FailureKind

# platform.minimax.io/docs/api-reference/errorcode: in base_resp, at HTTP 200. 2013 is about parameters, and about a
# prompt that is too long: its message tells. 2056: what a plan allows is used up for hours.
MINIMAX: Final[Mapping[str, FailureKind]] = {
    "1001": "request_timeout",
    "1002": "rate_limit",
    "1004": "auth",
    "1008": "quota",
    "1026": "filter",
    "1027": "filter",
    "1039": "rate_limit",
    "1041": "rate_limit",
    "2013": "bad_request",
    "2049": "auth",
    "2056": "quota",
}
# docs.z.ai/api-reference/api-code, docs.bigmodel.cn/cn/api/api-code: an empty account comes with status 429. 1308 to
# 1310: what a plan allows is used up for hours or days. 1311: the plan does not have this model.
ZAI: Final[Mapping[str, FailureKind]] = {
    "1000": "auth",
    "1001": "auth",
    "1002": "auth",
    "1003": "auth",
    "1004": "auth",
    "1110": "permission",
    "1111": "permission",
    "1112": "permission",
    "1113": "quota",
    "1121": "permission",
    "1211": "model_not_found",
    "1212": "unsupported",
    "1220": "permission",
    "1261": "context",
    "1300": "filter",
    "1301": "filter",
    "1308": "quota",
    "1309": "quota",
    "1310": "quota",
    "1311": "model_not_found",
}
# platform.kimi.ai/docs/api/errors: an empty account comes with status 429.
MOONSHOT: Final[Mapping[str, FailureKind]] = {"exceeded_current_quota_error": "quota"}
# console.groq.com/docs/errors: the model wrote what is no call of the tool, or no JSON; another try may succeed.
GROQ: Final[Mapping[str, FailureKind]] = {"tool_use_failed": "invalid", "json_validate_failed": "invalid"}
# docs.fireworks.ai/guides/inference-error-codes: a LoRA model that cannot be loaded.
FIREWORKS: Final[Mapping[str, FailureKind]] = {"412": "model_not_found"}
# github.com/Alishahryar1/free-claude-code/issues/956: a model that the account cannot have, and a key that is wrong.
NVIDIA: Final[Mapping[str, FailureKind]] = {"404": "model_not_found", "403": "auth"}
# LiteLLM's proxy 1.106 without a database: a key that it does not know.
LITELLM: Final[Mapping[str, FailureKind]] = {"no_db_connection": "auth"}
