"""The chat suite again for each way to structured output that is not the default, with a primary that is down.

JSON mode has a test of its own in the suite: OpenAI refuses it where the prompt does not say "JSON".
"""

from __future__ import annotations

from typing import Any, ClassVar

from integration_tests.langchain import standard


class TestFunctionCalling(standard.Chat):
    primary_status = 503
    structured_output_kwargs: ClassVar[dict[str, Any]] = {"method": "function_calling"}


class TestJSONSchema(standard.Chat):
    primary_status = 503
    structured_output_kwargs: ClassVar[dict[str, Any]] = {"method": "json_schema"}
