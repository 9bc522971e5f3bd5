"""Dumps of objects in OpenAI's shape are those of a Pydantic model with the same fields, as OpenAI's SDK has them."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pydantic

from unified_llm.openai_style._objects import OpenAIObject


class Part(OpenAIObject):
    text: str
    note: str | None


class Whole(OpenAIObject):
    id: str
    parts: list[Part]
    part: Part | None
    note: str | None


class _Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class PartModel(_Open):
    text: str
    note: str | None = None


class WholeModel(_Open):
    id: str
    parts: list[PartModel]
    part: PartModel | None = None
    note: str | None = None


BODIES: list[dict[str, Any]] = [
    {"id": "a", "parts": []},
    {"id": "é", "parts": [{"text": "1"}, {"text": "2", "note": None}], "note": None, "later": {"a": None, "b": [1]}},
    {"id": "a", "parts": [{"text": "1", "x": True}], "part": {"text": "3", "note": "n"}, "later": None},
]
SELECTIONS: list[dict[str, Any]] = [
    {},
    {"include": {"id", "note"}},
    {"include": {"id": True, "parts": {0: {"text"}}}},
    {"include": {"parts": {"__all__": {"text": True}}, "later": ...}},
    {"exclude": {"id", "later"}},
    {"exclude": {"parts": {0}, "part": {"note": True}}},
    {"exclude": {"parts": {"__all__": {"note"}}, "id": True}},
    {"include": {"id", "parts"}, "exclude": {"parts": True}},
]
FLAGS = ("exclude_unset", "exclude_none", "exclude_defaults")


def test_every_option_does_what_it_does_in_pydantic() -> None:
    for body, selection, chosen in product(BODIES, SELECTIONS, product([False, True], repeat=len(FLAGS))):
        options: dict[str, Any] = {**selection, **dict(zip(FLAGS, chosen, strict=True))}
        ours, model = Whole.from_json(body), WholeModel.model_validate(body)
        assert ours.model_dump(**options) == model.model_dump(**options), (body, options)
        assert ours.model_dump(mode="json", **options) == model.model_dump(mode="json", **options)
        assert json.loads(ours.model_dump_json(**options)) == json.loads(model.model_dump_json(**options))
        assert ours.dict(**options) == ours.model_dump(**options)
        assert ours.json(**options) == ours.model_dump_json(**options)
    for body in BODIES:
        ours, model = Whole.from_json(body), WholeModel.model_validate(body)
        assert ours.model_dump_json() == model.model_dump_json()
        assert ours.model_dump_json(indent=2) == model.model_dump_json(indent=2)


def test_dictionaries_and_texts_are_of_what_came_unless_more_is_asked_for() -> None:
    for body in BODIES:
        ours, model = Whole.from_json(body), WholeModel.model_validate(body)
        assert ours.to_dict() == ours.to_dict(mode="json") == body
        assert ours.to_json() == model.model_dump_json(indent=2, exclude_unset=True)
        assert ours.to_json(indent=None) == model.model_dump_json(exclude_unset=True)
        for flag, value in product(FLAGS, [False, True]):
            options: dict[str, Any] = {flag: value}
            expected = model.model_dump(**{"exclude_unset": True, **options})
            assert ours.to_dict(**options) == json.loads(ours.to_json(**options)) == expected, flag


def test_a_copy_shares_what_is_inside_unless_it_is_deep() -> None:
    whole = Whole.from_json({"id": "a", "parts": [{"text": "1"}]})
    shallow, deep = whole.model_copy(update={"id": "b"}), whole.model_copy(deep=True)
    assert (shallow.id, deep.id, whole.id) == ("b", "a", "a")
    deep.parts[0].text = "2"
    assert whole.parts[0].text == "1"
    assert whole.copy().parts[0] is whole.parts[0]


def test_values_of_a_programs_own_classes_are_plain_in_a_dump() -> None:
    class Answer(pydantic.BaseModel):
        day: int = pydantic.Field(serialization_alias="Day")

    whole: Any = Whole.from_json({"id": "a", "parts": []})
    whole.answer = Answer(day=1)
    assert whole.model_dump()["answer"] == {"day": 1}
    assert whole.model_dump(by_alias=True)["answer"] == {"Day": 1}
