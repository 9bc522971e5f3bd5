"""Objects in OpenAI's shape: attributes, items, dumps, copies, and what their repr leaves out."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import pydantic
import pytest

from unified_llm.openai_style import NOT_GIVEN
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style._plain import plain
from unified_llm.openai_style.types import CompletionUsage, CreateEmbeddingResponse
from unified_llm.openai_style.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall,
    ParsedChatCompletion,
)


def body() -> dict[str, Any]:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "secret"}'}},
        {"id": "2", "type": "custom", "custom": {"name": "run", "input": "secret"}},
        {"id": "3", "type": "later"},
    ]
    message = {"role": "assistant", "content": "secret", "refusal": None, "reasoning_details": [{"text": "secret"}]}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "gpt-5", "x_groq": {"id": "r"},
        "choices": [{"index": 0, "finish_reason": "stop", "message": {**message, "tool_calls": calls}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }  # fmt: skip


def completion() -> ChatCompletion:
    return ChatCompletion.from_json(body())


def test_fields_are_attributes_and_items() -> None:
    response: Any = completion()
    assert response.choices[0].message.content == "secret" == response["choices"][0]["message"]["content"]
    assert response.usage.total_tokens == response["usage"].get("total_tokens") == 3
    assert response.choices[0].message.tool_calls[0].function.name == "look_up"
    assert "choices" in response
    assert "choice" not in response
    assert response.get("nothing", 1) == 1
    assert dict(response)["id"] == "chatcmpl-1"


def test_a_declared_field_that_did_not_come_is_none_and_others_are_refused() -> None:
    response: Any = completion()
    assert response.system_fingerprint is None
    assert response["system_fingerprint"] is None
    assert response.get("system_fingerprint", "none") == "none"
    assert response.choices[0].message.audio is None
    with pytest.raises(AttributeError, match="'ChatCompletion' object has no attribute 'text'"):
        _ = response.text
    with pytest.raises(KeyError, match="text"):
        response["text"]
    with pytest.raises(AttributeError):
        _ = response._request_id
    with pytest.raises(AttributeError):
        _ = response.unified_llm


def test_an_undeclared_field_is_plain_json() -> None:
    response: Any = completion()
    assert response.x_groq == {"id": "r"}
    assert response.choices[0].message.reasoning_details == [{"text": "secret"}]
    assert response.model_extra == {"x_groq": {"id": "r"}}


def test_calls_have_the_class_of_their_type() -> None:
    calls: Any = completion().choices[0].message.tool_calls
    kinds = [ChatCompletionMessageFunctionToolCall, ChatCompletionMessageCustomToolCall]
    assert [type(call) for call in calls] == [*kinds, ChatCompletionMessageFunctionToolCall]
    assert calls[2].function is None


def test_an_object_is_made_when_it_is_read_and_is_then_the_same() -> None:
    response = completion()
    assert vars(response) == {}
    assert response.choices is response.choices
    response.choices[0].message.content = "changed"
    assert response.model_dump()["choices"][0]["message"]["content"] == "changed"
    assert response["choices"][0]["message"]["content"] == "changed"


def test_a_dump_has_all_declared_fields_in_their_order_and_then_the_others() -> None:
    dumped = completion().model_dump()
    assert list(dumped) == [
        "id", "choices", "created", "model", "object", "metadata", "moderation", "service_tier", "system_fingerprint",
        "usage", "x_groq",
    ]  # fmt: skip
    assert dumped["choices"][0]["message"]["tool_calls"][1] == {
        "id": "2", "custom": {"input": "secret", "name": "run"}, "type": "custom",
    }  # fmt: skip
    assert dumped["usage"]["completion_tokens_details"] is None
    assert completion().to_dict() == body()
    assert completion().model_dump(exclude_unset=True) == body()
    assert "metadata" not in completion().model_dump(exclude_none=True)
    assert json.loads(completion().model_dump_json()) == dumped == json.loads(completion().json())
    assert completion().to_json().startswith('{\n  "id": "chatcmpl-1"')


def test_a_dump_can_be_of_a_part() -> None:
    response = completion()
    assert response.model_dump(include={"id", "created"}) == {"id": "chatcmpl-1", "created": 7}
    assert response.model_dump(include={"choices": {0: {"index"}}}) == {"choices": [{"index": 0}]}
    without = response.model_dump(exclude={"choices": {"__all__": {"message": {"content"}}}})
    assert "content" not in without["choices"][0]["message"]
    assert "refusal" in without["choices"][0]["message"]
    assert "choices" not in response.model_dump(exclude={"choices": True})
    assert response.model_dump(exclude={"choices": {0}})["choices"] == []


def test_copies_and_pickles_are_equal() -> None:
    response = completion()
    response._request_id, response.unified_llm = "req-1", {"served_by": "openai/gpt-5"}
    assert response.choices
    others = [copy.copy(response), copy.deepcopy(response), pickle.loads(pickle.dumps(response))]  # noqa: S301
    for other in [*others, response.model_copy(), response.model_copy(deep=True)]:
        assert other == response
        assert other._request_id == "req-1"
        assert other.unified_llm == {"served_by": "openai/gpt-5"}
    assert response.model_copy(update={"id": "other"}) != response
    assert completion() == completion()
    assert completion() != body()
    copy.deepcopy(response).choices[0].index = 5
    assert response.choices[0].index == 0


def test_a_repr_has_no_text() -> None:
    response = completion()
    texts = [repr(response), str(response), repr(response.choices), repr(response.choices[0].message.tool_calls)]
    assert "secret" not in "".join(texts)
    assert texts[0].startswith("ChatCompletion(id='chatcmpl-1', choices=[1 item], created=7, model='gpt-5'")


def test_an_object_can_be_made_of_fields_or_of_a_dictionary() -> None:
    usage = CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    message = ChatCompletionMessage.model_validate({"role": "assistant", "content": "Hi"})
    made = ChatCompletion.model_construct(id="a", choices=[{"index": 0, "message": message}], usage=usage)
    assert made.choices[0].message is message
    assert made.usage is usage
    assert ChatCompletion.model_validate(made) is made
    assert ChatCompletion.model_validate_json(completion().model_dump_json()).model_dump() == completion().model_dump()
    with pytest.raises(ValueError, match="ChatCompletion is made of a mapping, not of list"):
        ChatCompletion.model_validate([])


def test_a_pydantic_model_may_have_such_fields() -> None:
    class Record(pydantic.BaseModel):
        response: ChatCompletion

    record = Record(response=body())
    assert record.response == completion()
    assert record.model_dump()["response"] == completion().model_dump()
    with pytest.raises(pydantic.ValidationError):
        Record(response=3)


def test_a_parsed_answer_keeps_the_object_of_its_own_class() -> None:
    class Word(pydantic.BaseModel):
        text: str

    parsed: ParsedChatCompletion[Word] = ParsedChatCompletion.from_json(body())
    message = parsed.choices[0].message
    assert message.parsed is None
    message.parsed = Word(text="secret")
    assert parsed.model_dump()["choices"][0]["message"]["parsed"] == {"text": "secret"}
    assert "secret" not in repr(message)


def test_json_of_another_shape_is_passed_on() -> None:
    wrong: Any = ChatCompletionChunk.from_json({"choices": "none", "usage": [1], "id": 5})
    assert (wrong.choices, wrong.usage, wrong.id) == ("none", [1], 5)
    vectors = CreateEmbeddingResponse.from_json({"data": [{"embedding": [0.5], "index": 0}]})
    assert vectors.data[0].embedding == [0.5]


def test_a_field_can_have_another_name_in_the_json() -> None:
    class Schema(OpenAIObject):
        ALIASES = {"schema_": "schema"}  # noqa: RUF012
        schema_: dict[str, Any]

    made = Schema.from_json({"schema": {"type": "object"}})
    assert made.schema_ == {"type": "object"}
    assert made.model_dump() == {"schema_": {"type": "object"}}
    assert made.model_dump(by_alias=True) == made.to_dict() == {"schema": {"type": "object"}}
    assert Schema(schema_={}).to_dict() == {"schema": {}}
    assert made.model_fields_set == {"schema_"}


def test_an_object_made_of_a_dump_is_equal_and_names_its_fields_in_schemas() -> None:
    made = completion()
    assert ChatCompletion.parse_obj(made.model_dump()) == made
    assert made.copy(update={"id": "other"}).id == "other"
    schema = pydantic.TypeAdapter(ChatCompletion).json_schema()
    assert list(schema["properties"]) == list(made.model_dump())[:-1]  # all but one that is not declared
    assert ChatCompletion.model_json_schema() == schema


def test_programs_that_import_the_module_alone_find_its_types() -> None:
    code = (
        "import unified_llm.openai_style as openai\n"
        "assert openai.types.chat.ChatCompletion and openai.types.responses.Response and openai.types.Completion\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_objects_of_other_packages_go_back_as_their_json_without_what_was_parsed() -> None:
    class Message:
        __api_exclude__ = frozenset({"secret"})

        def model_dump(self, **options: Any) -> dict[str, Any]:
            assert options == {"mode": "json", "exclude_unset": True, "exclude": {"secret"}, "by_alias": True}
            return {"role": "assistant", "parsed": 1, "calls": [{"parsed_arguments": 2, "name": "f"}]}

    assert plain({"a": [Message()], "b": NOT_GIVEN}) == {"a": [{"role": "assistant", "calls": [{"name": "f"}]}]}
    assert plain(Message) is Message, "a class is no message"
    assert plain(b"bytes") == b"bytes"
    assert plain(text for text in "ab") == ["a", "b"]
