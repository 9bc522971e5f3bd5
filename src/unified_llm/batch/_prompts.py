"""Rows with a prompt in a column, or with columns of which a template makes one: the request of each.

{"text": "Guten Tag", "to": "French"}    --template "Translate to {to}: {text}"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from unified_llm.batch._lines import CHAT, COMPLETIONS, RESPONSES, BadLine, BatchLine, default_id, without_nulls
from unified_llm.batch._template import MissingColumnError, Template, as_text, value_of


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Makes a request of a row.

    Attributes:
        column: The column with the prompt, a text or a list of messages; None with a template.
        template: The template, or None for the column as it is.
        system: The system prompt, or None.
        url: The endpoint that the prompts are sent to.
    """

    column: str | None = None
    template: Template | None = None
    system: str | None = None
    url: str = CHAT

    @property
    def columns(self) -> list[str]:
        """The columns that it needs."""
        if self.template is None:
            return [] if self.column is None else [self.column]
        return self.template.columns

    def read(self, number: int, fields: object) -> BatchLine | BadLine:
        """Make the request of a row.

        Args:
            number: The number of its line, from 1.
            fields: The row.
        """
        if not isinstance(fields, dict):
            return BadLine(number, "it is no JSON object of columns", default_id(number))
        row = cast("dict[str, Any]", fields)
        given = row.get("custom_id")
        custom_id = default_id(number) if given in (None, "") else str(given)
        try:
            prompt = value_of(row, self.column or "") if self.template is None else self.template.fill(row)
        except MissingColumnError as error:
            return BadLine(number, str(error), custom_id, row)
        if prompt == "":
            return BadLine(number, "its prompt is empty", custom_id, row)
        return BatchLine(number, custom_id, self.url, self._body(prompt), row, is_row=True)

    def _body(self, prompt: Any) -> dict[str, Any]:
        value = without_nulls(prompt) if isinstance(prompt, list) else as_text(prompt)
        if self.url == CHAT:
            system = [] if self.system is None else [{"role": "system", "content": self.system}]
            messages = value if isinstance(value, list) else [{"role": "user", "content": value}]
            return {"messages": [*system, *messages]}
        if self.url == RESPONSES and self.system is not None:
            return {"instructions": self.system, "input": value}
        return {"prompt" if self.url == COMPLETIONS else "input": value}
