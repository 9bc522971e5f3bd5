"""Schemas of classes, and tools made of them, are those of OpenAI's SDK."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal

import pydantic.dataclasses
import pytest
from openai import pydantic_function_tool as sdk_tool
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field, TypeAdapter

from unified_llm.openai_style._parse import pydantic_function_tool, strict_schema


class Kind(enum.Enum):
    BIG = "big"
    SMALL = "small"


class Place(BaseModel):
    """A place."""

    name: str = Field(description="Its name.")
    kind: Kind = Field(default=Kind.BIG, description="Its kind.")


class Tree(BaseModel):
    value: int | None = None
    children: list[Tree] = []
    place: Place | None = Field(default=None, description="Where it is.")
    other: Literal["a", "b"] = "a"
    table: dict[str, Place] = {}


class Choice(BaseModel):
    either: Place | Tree
    pair: tuple[int, str]
    first: Place = Field(description="The first one.")


class Open(BaseModel):
    model_config = {"extra": "allow"}
    x: float = Field(ge=0, le=1)


@pydantic.dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Plain:
    x: int


@pytest.mark.parametrize("kind", [Place, Tree, Choice, Open])
def test_the_schema_of_a_model_is_that_of_the_sdk(kind: type[BaseModel]) -> None:
    assert strict_schema(kind) == to_strict_json_schema(kind)
    assert pydantic_function_tool(kind) == sdk_tool(kind)
    assert pydantic_function_tool(kind, name="n", description="d") == sdk_tool(kind, name="n", description="d")


@pytest.mark.parametrize("kind", [Point, Plain])
def test_the_schema_of_a_dataclass_is_that_of_the_sdk(kind: Any) -> None:
    assert strict_schema(kind) == to_strict_json_schema(TypeAdapter(kind))
