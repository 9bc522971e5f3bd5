"""``parse``: answers as objects of a class, tools whose arguments are objects, refusals and answers cut short."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from unified_llm.openai_style import LengthFinishReasonError, OpenAI, pydantic_function_tool


class Step(BaseModel):
    explanation: str
    result: int


class Solution(BaseModel):
    """A solution of a problem."""

    steps: list[Step]
    title: str = Field(description="A few words.")
    note: str | None = None


class Lookup(BaseModel):
    """Look a city up."""

    city: str


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "Solve 'x' in 2 steps."}]
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        solved: Any = client.chat.completions.parse(model="gpt-4o", messages=question, response_format=Solution)
        parsed = solved.choices[0].message.parsed
        found += [solved, type(parsed).__name__, isinstance(parsed, Solution), parsed.steps[0].result]
        called: Any = client.chat.completions.parse(
            model="gpt-4o",
            messages=question,
            tools=[pydantic_function_tool(Lookup), pydantic_function_tool(Step, name="step")],
        )
        arguments = called.choices[0].message.tool_calls[0].function.parsed_arguments
        found += [called, isinstance(arguments, Lookup), called.choices[0].message.parsed]
        refusing: Any = [{"role": "user", "content": "Please refuse."}]
        refused: Any = client.chat.completions.parse(model="gpt-4o", messages=refusing, response_format=Solution)
        found += [refused, refused.choices[0].message.refusal, refused.choices[0].message.parsed]
        plain: Any = client.chat.completions.parse(model="gpt-4o", messages=question)
        found += [plain, plain.choices[0].message.parsed]
        try:
            client.chat.completions.parse(model="gpt-4o", messages=question, response_format=Solution, max_tokens=2)
        except LengthFinishReasonError as error:
            found += [type(error).__name__, bool(str(error)), error.completion]
    return found
