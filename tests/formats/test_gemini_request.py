"""Requests in Gemini's format."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import CANARY, calm
from tests.support.each import each
from tests.support.gemini_checks import (
    answer_of,
    body_of,
    call,
    candidate,
    contents_of,
    fixtures,
    pieces_of,
    read_pieces,
    sse,
    target,
)
from unified_llm._formats.gemini import CODEC
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
    CachePoint,
    CountRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    LLMRequest,
    LLMResponse,
    Message,
    ModelRequest,
    ModelsRequest,
    ProviderState,
    RerankRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

HELLO = Message.user("Hello")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "The weather.", SCHEMA)
BASE = "https://generativelanguage.googleapis.com/v1beta"


class TestRequests:
    def test_each_question_has_its_own_path_and_the_key_is_in_one_header(self) -> None:
        chat, where = LLMRequest((HELLO,)), target("gemini-2.5-flash")
        cases: list[tuple[Any, str, str]] = [
            (chat, "POST", "/models/gemini-2.5-flash:generateContent"),
            (replace(chat, stream=True), "POST", "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
            (EmbeddingRequest(("a",)), "POST", "/models/gemini-2.5-flash:batchEmbedContents"),
            (CountRequest(chat), "POST", "/models/gemini-2.5-flash:countTokens"),
            (ModelsRequest(), "GET", "/models?pageSize=1000"),
            (ModelsRequest("a&b="), "GET", "/models?pageSize=1000&pageToken=a%26b%3D"),
            (ModelRequest(), "GET", "/models/gemini-2.5-flash"),
        ]
        for request, method, path in cases:
            wire = CODEC.encode(request, where)
            assert (wire.method, wire.url) == (method, BASE + path)
            assert [name for name, value in wire.headers if CANARY in value] == ["x-goog-api-key"]
            assert CANARY.encode() not in wire.body
        with pytest.raises(UnsupportedOperationError, match=r"gemini/gemini-2\.5-flash has no such request"):
            CODEC.encode(RerankRequest("q", ("d",)), where)

    def test_a_model_may_be_named_with_its_collection(self) -> None:
        for model, path in (("models/gemini-3-pro", "models/gemini-3-pro"), ("tunedModels/mine", "tunedModels/mine"),
                            ("a b?", "models/a%20b%3F")):  # fmt: skip
            assert CODEC.encode(ModelRequest(), target(model)).url == f"{BASE}/{path}"

    def test_a_request_has_every_setting_under_gemini_s_name(self) -> None:
        request = LLMRequest(
            (Message.system("Be brief."), HELLO), temperature=0.5, max_tokens=9, top_p=0.9, stop=("END",), seed=7,
            frequency_penalty=0.1, presence_penalty=-0.1, n=2, top_logprobs=3, parallel_tool_calls=True,
            response_format=ResponseFormat(),
        )  # fmt: skip
        assert body_of(request) == {
            "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {
                "temperature": 0.5, "topP": 0.9, "maxOutputTokens": 9, "stopSequences": ["END"], "seed": 7,
                "frequencyPenalty": 0.1, "presencePenalty": -0.1, "candidateCount": 2, "logprobs": 3,
                "responseLogprobs": True, "responseMimeType": "application/json",
            },
        }  # fmt: skip
        assert "candidateCount" not in body_of(replace(request, stream=True))["generationConfig"]

    def test_a_question_alone_is_all_that_is_sent(self) -> None:
        assert body_of(LLMRequest((HELLO,))) == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}

    def test_what_the_call_leaves_open_is_the_target_s_and_what_a_model_refuses_is_left_out(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        where = target("gemini-3.8-flash", defaults={"temperature": 0.1, "presence_penalty": 1.0, "top_p": 0.5})
        with caplog.at_level(logging.DEBUG, "unified_llm"):
            body = body_of(LLMRequest((HELLO,), temperature=0.2), where)
        assert body["generationConfig"] == {"temperature": 0.2, "topP": 0.5}
        assert [r.message for r in caplog.records] == [
            "presence_penalty is not sent to gemini/gemini-3.8-flash, which does not take it"
        ]

    def test_extra_fields_stand_beside_ours(self) -> None:
        where = target(extra_body={"generationConfig": {"topK": 40}, "safetySettings": []})
        request = LLMRequest(
            (HELLO,), temperature=0, extra_body={"generationConfig": {"topK": 9}, "labels": {"a": "b"}}
        )
        body = body_of(request, where)
        assert body["generationConfig"] == {"temperature": 0, "topK": 9}
        assert (body["safetySettings"], body["labels"]) == ([], {"a": "b"})

    def test_what_has_no_json_form_is_named_by_its_place(self) -> None:
        broken = Message.assistant(tool_calls=[call(place={1})])
        with pytest.raises(ValidationError, match=r"^contents\[1\]\.parts\[0\]\.functionCall\.args\.place cannot"):
            CODEC.encode(LLMRequest((HELLO, broken)), target())

    def test_embeddings_say_what_they_are_for(self) -> None:
        request = EmbeddingRequest(("a", "ö"), purpose="query", dimensions=8, extra_body={"title": "t"})
        one = {"model": "models/gemini-embedding-001", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8}
        assert body_of(request, target("gemini-embedding-001")) == {
            "requests": [{**one, "content": {"parts": [{"text": text}]}, "title": "t"} for text in ("a", "ö")]
        }
        document = body_of(replace(request, purpose="document", dimensions=None, extra_body={}))["requests"][0]
        assert document["taskType"] == "RETRIEVAL_DOCUMENT"
        assert set(document) == {"model", "content", "taskType"}

    def test_tokens_are_counted_for_all_that_is_asked(self) -> None:
        contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
        assert body_of(CountRequest(LLMRequest((HELLO,)))) == {"contents": contents}
        written = body_of(CountRequest(LLMRequest((Message.system("S"), HELLO), tools=(WEATHER,))))
        assert set(written["generateContentRequest"]) == {"model", "contents", "systemInstruction", "tools"}
        assert written["generateContentRequest"]["model"] == "models/gemini-2.5-flash"


class TestThinking:
    def test_an_effort_is_a_budget_or_a_level_by_the_model(self) -> None:
        cases: list[tuple[str, str, dict[str, Any]]] = [
            ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
            ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
            ("gemini-2.5-flash-lite", "minimal", {"thinkingBudget": 1024, "includeThoughts": True}),
            ("models/gemini-live-2.5-flash", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
            ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
            ("gemini-3-flash-preview", "none", {"thinkingLevel": "MINIMAL"}),
            ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "LOW"}),
            ("gemini-3.8-flash", "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}),
            ("gemini-3-pro-preview", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
            ("gemini-3.6-flash", "Medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
            ("gemini-flash-latest", "xhigh", {"thinkingLevel": "HIGH", "includeThoughts": True}),
            ("gemini-flash-latest", "none", {"thinkingLevel": "LOW"}),
            ("gemma-4-31b-it", "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
            ("gemini-exp-1206", "deep", {"thinkingLevel": "DEEP", "includeThoughts": True}),
        ]
        for model, effort, config in cases:
            body = body_of(LLMRequest((HELLO,), reasoning_effort=effort), target(model))
            assert body["generationConfig"] == {"thinkingConfig": config}, (model, effort)
        assert "generationConfig" not in body_of(
            LLMRequest((HELLO,), reasoning_effort="low"), target("gemini-2.0-flash")
        )


class TestTools:
    def test_functions_are_declared_together_and_google_s_own_tools_beside_them(self) -> None:
        tools = (WEATHER, Tool.from_dict({"googleSearch": {}}), Tool("clock"))
        assert body_of(LLMRequest((HELLO,), tools=tools))["tools"] == [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "The weather.", "parametersJsonSchema": SCHEMA},
                    {"name": "clock"},
                ]
            },
            {"googleSearch": {}},
        ]

    def test_the_choice_is_a_mode(self) -> None:
        modes: dict[str | None, Any] = {
            None: None, "auto": {"mode": "AUTO"}, "none": {"mode": "NONE"}, "required": {"mode": "ANY"},
            "weather": {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        }  # fmt: skip
        for choice, mode in modes.items():
            body = body_of(LLMRequest((HELLO,), tools=(WEATHER,), tool_choice=choice))
            assert body.get("toolConfig", {}).get("functionCallingConfig") == mode
        searching = body_of(LLMRequest((HELLO,), tools=(Tool("s", builtin={"googleSearch": {}}),), tool_choice="auto"))
        assert searching["tools"] == [{"googleSearch": {}}]
        assert "toolConfig" not in searching

    def test_another_provider_s_built_in_tool_is_refused_by_name(self) -> None:
        search = Tool.from_dict({"type": "web_search_20250305", "name": "web_search"})
        with pytest.raises(ValidationError, match=r"The tool 'web_search' is another provider's tool"):
            body_of(LLMRequest((HELLO,), tools=(search,)))


class TestSchemas:
    def test_a_schema_is_sent_as_it_is(self) -> None:
        wanted = ResponseFormat(SCHEMA, "place", strict=True)
        assert body_of(LLMRequest((HELLO,), response_format=wanted))["generationConfig"] == {
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        }

    def test_what_would_be_refused_or_lost_is_written_with_keywords_that_gemini_supports(self) -> None:
        schema = {
            "type": "object",
            "properties": {
                "const": {"const": "a"},
                "flag": {"const": True},
                "home": {"$ref": "#/definitions/Place", "description": "Where."},
                "work": {"allOf": [{"$ref": "#/definitions/Place"}], "title": "Work"},
                "bare": {"$ref": "#/$defs/Place"},
                "list": {"type": "array", "items": {"anyOf": [{"const": 1}, {"type": "null"}]}, "minItems": 1},
                "$ref": {"type": "string"},
            },
            "additionalProperties": False,
            "definitions": {"Place": {"type": "object", "properties": {"n": {"type": ["string", "null"]}}}},
        }
        sent = body_of(LLMRequest((HELLO,), response_format=ResponseFormat(schema)))["generationConfig"]
        assert sent["responseJsonSchema"] == {
            "type": "object",
            "properties": {
                "const": {"enum": ["a"]},
                "flag": {"const": True},
                "home": {"description": "Where.", "anyOf": [{"$ref": "#/$defs/Place"}]},
                "work": {"anyOf": [{"$ref": "#/$defs/Place"}], "title": "Work"},
                "bare": {"$ref": "#/$defs/Place"},
                "list": {"type": "array", "items": {"anyOf": [{"enum": [1]}, {"type": "null"}]}, "minItems": 1},
                "$ref": {"type": "string"},
            },
            "additionalProperties": False,
            "$defs": {"Place": {"type": "object", "properties": {"n": {"type": ["string", "null"]}}}},
        }

    def test_a_schema_that_holds_itself_is_refused_by_name(self) -> None:
        endless: dict[str, Any] = {"type": "object"}
        endless["properties"] = {"again": endless}
        with pytest.raises(ValidationError, match=r"generationConfig\.responseJsonSchema.* cannot be sent"):
            body_of(LLMRequest((HELLO,), response_format=ResponseFormat(endless)))


class TestMedia:
    def test_bytes_go_inline_and_everything_else_by_its_address(self) -> None:
        parts: list[tuple[Any, dict[str, Any]]] = [
            (ImagePart(data=b"x", media_type="image/webp"), {"inlineData": {"mimeType": "image/webp", "data": "eA=="}}),
            (AudioPart(b"x", "mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "eA=="}}),
            (FilePart(b"x"), {"inlineData": {"mimeType": "application/pdf", "data": "eA=="}}),
            (FilePart(b"x", "video/mp4"), {"inlineData": {"mimeType": "video/mp4", "data": "eA=="}}),
            (ImagePart(url="https://a.example/c.jpg?s=1"),
             {"fileData": {"fileUri": "https://a.example/c.jpg?s=1", "mimeType": "image/jpeg"}}),
            (ImagePart(url="https://a.example/c"), {"fileData": {"fileUri": "https://a.example/c"}}),
            (FilePart(url="https://a.example/c.pdf"),
             {"fileData": {"fileUri": "https://a.example/c.pdf", "mimeType": "application/pdf"}}),
            (FilePart(url="https://youtu.be/x"), {"fileData": {"fileUri": "https://youtu.be/x"}}),
            (FilePart(url="gs://b/c", media_type="video/mp4"),
             {"fileData": {"fileUri": "gs://b/c", "mimeType": "video/mp4"}}),
            (FilePart(file_id="files/abc", filename="a.mp4"),
             {"fileData": {"fileUri": f"{BASE}/files/abc", "mimeType": "video/mp4"}}),
            (FilePart(file_id="https://f.example/1"), {"fileData": {"fileUri": "https://f.example/1"}}),
        ]  # fmt: skip
        message = Message("user", (TextPart("What?"), CachePoint(), TextPart(""), *(part for part, _ in parts)))
        assert contents_of(message)[0]["parts"] == [{"text": "What?"}, *(written for _, written in parts)]
        assert contents_of(HELLO, Message("user", (TextPart(""), CachePoint()))) == contents_of(HELLO)
        for nothing in (ImagePart(), FilePart()):
            with pytest.raises(ValidationError, match="neither data nor a URL"):
                contents_of(Message("user", (nothing,)))

    def test_what_a_function_returned_besides_text_is_in_its_result_or_right_behind_it(self) -> None:
        image, sound = ImagePart(data=b"x"), AudioPart(b"y")
        call_turn = Message.assistant(tool_calls=[call()])
        result = replace(Message.tool("", "c1"), content=(TextPart("Here."), image, sound))
        image_part, audio_part = (
            {"inlineData": {"mimeType": m, "data": d}} for m, d in (("image/png", "eA=="), ("audio/wav", "eQ=="))
        )
        plain = {"id": "c1", "name": "weather", "response": {"output": "Here."}}
        label = {"text": "Returned by the function weather:"}
        assert contents_of(HELLO, call_turn, result, model="gemini-2.5-pro")[2:] == [
            {"role": "user", "parts": [{"functionResponse": plain}]},
            {"role": "user", "parts": [label, image_part, audio_part]},
        ]
        assert contents_of(HELLO, call_turn, result, model="gemini-3-pro-preview")[2:] == [
            {"role": "user", "parts": [{"functionResponse": {**plain, "parts": [image_part]}}]},
            {"role": "user", "parts": [label, audio_part]},
        ]


class TestHistory:
    def test_turns_of_one_role_are_one_and_instructions_stand_apart(self) -> None:
        body = body_of(
            LLMRequest((
                HELLO, Message.system("A"), Message.user("You?"), Message.assistant("Hi."), Message.assistant(""),
                Message.assistant("Well?"), Message("system", (TextPart("B"), CachePoint())), Message.user("Go on."),
            ))
        )  # fmt: skip
        assert body["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
        assert body["contents"] == [
            {"role": "user", "parts": [{"text": "Hello"}, {"text": "You?"}]},
            {"role": "model", "parts": [{"text": "Hi."}, {"text": "Well?"}]},
            {"role": "user", "parts": [{"text": "Go on."}]},
        ]

    def test_instructions_alone_are_sent_as_the_user_s_turn(self) -> None:
        assert body_of(LLMRequest((Message.system("Greet."),))) == {
            "contents": [{"role": "user", "parts": [{"text": "Greet."}]}]
        }
        greet = {"contents": [{"role": "user", "parts": [{"text": "Greet."}]}]}
        assert body_of(LLMRequest((Message.system("Greet."), Message.user("")))) == greet  # langchain M
        with pytest.raises(ValidationError, match="no message in it has content"):
            contents_of(Message.user(""))
        with pytest.raises(ValidationError, match=r"^messages\[1\] holds more than text"):
            contents_of(HELLO, Message("system", (ImagePart(data=b"x"),)))

    def test_results_follow_their_calls_in_their_order_and_none_is_missing(self) -> None:
        calls = [call("a", "f", x=1), call("b", "g"), call("", "h")]
        contents = contents_of(
            HELLO, Message.assistant("Wait.", tool_calls=calls), Message.tool("two", "b", is_error=True),
            Message.user("Well?"), Message.tool("one", "a"), Message.tool("lost", "z"),
        )  # fmt: skip
        *before, responses, rest = contents
        assert before[1]["parts"] == [
            {"text": "Wait."},
            {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
            {"functionCall": {"id": "b", "name": "g", "args": {}}},
            {"functionCall": {"name": "h", "args": {}}},
        ]
        assert responses["parts"] == [
            {"functionResponse": {"id": "a", "name": "f", "response": {"output": "one"}}},
            {"functionResponse": {"id": "b", "name": "g", "response": {"error": "two"}}},
            {"functionResponse": {"name": "h", "response": {"error": "This call was not answered."}}},
        ]
        assert rest == {"role": "user", "parts": [{"text": "Well?"}, {"text": "lost"}]}

    def test_a_history_that_begins_with_a_call_gets_a_user_who_came_before(self) -> None:
        first, second, _ = contents_of(Message.assistant(tool_calls=[call()]), Message.tool("x", "c1"))
        assert (first["role"], second["role"]) == ("user", "model")

    def test_arguments_that_were_no_json_are_shown_as_they_were_written(self) -> None:
        broken = ToolCall.parse("c1", "f", "{no")
        assert contents_of(HELLO, Message.assistant(tool_calls=[broken]))[1]["parts"] == [
            {"functionCall": {"id": "c1", "name": "f", "args": {"arguments": "{no"}}}
        ]

    @given(
        st.lists(st.tuples(st.sampled_from(("user", "assistant", "call", "tool", "system")), st.sampled_from("abc")))
    )
    @calm
    def test_any_history_comes_out_in_the_order_that_gemini_wants(self, turns: list[tuple[str, str]]) -> None:
        messages: list[Message] = []
        for kind, name in turns:
            if kind == "call":
                messages.append(Message.assistant(tool_calls=[call(name), call(name + "2")]))
            elif kind == "tool":
                messages.append(Message.tool("done", name))
            else:
                messages.append(replace(Message.user(name), role=kind))  # type: ignore[arg-type]
        contents = contents_of(Message.user("Hi"), *messages, model="gemini-3-pro-preview")
        kinds = [{next(iter(set(part) - {"thoughtSignature"})) for part in content["parts"]} for content in contents]
        assert contents
        assert all(content["parts"] for content in contents)
        assert "functionCall" not in kinds[0]
        for index, content in enumerate(contents):
            called = [p["functionCall"]["id"] for p in content["parts"] if "functionCall" in p]
            after = contents[index + 1]["parts"] if index + 1 < len(contents) else []
            assert called == [p["functionResponse"]["id"] for p in after if "functionResponse" in p]


class TestSignatures:
    def message(self, answer: LLMResponse, **changes: Any) -> Message:
        message = Message.assistant(answer.content, tool_calls=answer.tool_calls)
        return replace(message, provider_state=answer.provider_state, **changes)

    @each("name", [name for name in fixtures("chat") if "logprobs" not in name])
    def test_an_answer_goes_back_in_its_original_parts(self, name: str) -> None:
        body = fixtures(name)[name]["body"]
        answer = answer_of(body)
        sent = contents_of(HELLO, self.message(answer), Message.user("?"), model="gemini-3-flash-preview")[1]["parts"]
        received = [part for part in body["candidates"][0]["content"]["parts"] if not part.get("thought")]
        if answer.provider_state is None:
            assert "".join(part.get("text", "") for part in sent) == answer.content
        else:
            assert sent == received

    def test_a_streamed_answer_goes_back_with_its_signatures(self) -> None:
        for name, last in (("stream_text", {"text": "", "thoughtSignature": "c2lnLUM="}), ("stream_tools", None)):
            chunks = read_pieces([sse(fixtures(name)[name]["events"])])
            end = chunks[-1].value
            calls = [ToolCall.parse(f.id, f.name, f.arguments) for c in chunks[:-1] for f in c.tool_calls]
            message = Message.assistant("".join(c.content for c in chunks[:-1]), tool_calls=calls)
            parts = contents_of(
                HELLO, replace(message, provider_state=end.provider_state), model="gemini-3-pro-preview"
            )[1]["parts"]
            signed = [part for part in parts if "thoughtSignature" in part]
            assert [part["thoughtSignature"] for part in signed] == ["c2lnLUM=" if last else "c2lnLUQ="]
            assert last is None or parts[-1] == last

    def test_an_edited_answer_keeps_the_signatures_of_its_calls_alone(self) -> None:
        answer = answer_of(fixtures("chat_tools")["chat_tools"]["body"])
        changes: list[dict[str, Any]] = [{"content": "Looking."}, {"tool_calls": answer.tool_calls[:1]}]
        for changed in changes:
            parts = contents_of(HELLO, self.message(answer, **changed), model="gemini-3-pro-preview")[1]["parts"]
            assert [p.get("thoughtSignature") for p in parts[:2]] == [None, "c2lnbmF0dXJlLUE="]
        other = self.message(answer, tool_calls=(call("other"),))
        assert contents_of(HELLO, other)[1]["parts"][1] == {
            "functionCall": {"id": "other", "name": "weather", "args": {}}
        }

    def test_a_step_whose_signed_call_was_removed_skips_validation(self) -> None:
        answer = answer_of(fixtures("chat_tools")["chat_tools"]["body"])
        message = self.message(answer, tool_calls=answer.tool_calls[1:])
        _, clock = contents_of(HELLO, message, model="gemini-3-pro-preview")[1]["parts"]
        assert clock["thoughtSignature"] == "skip_thought_signature_validator"

    def test_provider_state_may_be_corrupted_in_any_way(self) -> None:
        answer = answer_of(fixtures("chat_tools")["chat_tools"]["body"])
        assert answer.provider_state
        digest = answer.provider_state.data["content"]
        corrupted: list[Any] = [
            None,
            7,
            [],
            {},
            {"content": digest, "pieces": 7},
            {"content": digest, "pieces": [7, {}]},
        ]
        corrupted += [
            {"content": digest, "pieces": [{"text": n}, {"call": "fc-1"}, {"call": "fc-2"}]} for n in ("x", -1, 99)
        ]
        corrupted += [
            {
                "content": digest,
                "pieces": [{"text": 12}, {"call": "fc-1", "signature": 7}, {"call": "fc-2"}, {"part": 7}],
            }
        ]
        for data in corrupted:
            message = self.message(replace(answer, provider_state=ProviderState("gemini", "gemini", data)))
            parts = contents_of(HELLO, message)[1]["parts"]
            assert [part.get("text") or part["functionCall"]["name"] for part in parts] == [
                "Let me look.", "weather", "clock",
            ]  # fmt: skip
            assert not any("thoughtSignature" in part for part in parts)

    def test_the_state_of_another_provider_is_not_restored(self) -> None:
        answer = answer_of(fixtures("chat_thoughts")["chat_thoughts"]["body"])
        assert answer.provider_state
        for provider, format_name in (("anthropic", "gemini"), ("gemini", "openai_chat")):
            message = self.message(
                replace(answer, provider_state=ProviderState(provider, format_name, answer.provider_state.data))
            )
            assert contents_of(HELLO, message)[1]["parts"] == [{"text": "There are 25."}]

    def test_another_model_s_calls_of_the_current_turn_skip_validation_where_signatures_are_demanded(self) -> None:
        def turn(name: str) -> list[Message]:
            both = Message.assistant(tool_calls=[call(name), call(name + "2")])
            return [both, Message.tool("x", name), Message.tool("y", name + "2")]

        history = [HELLO, *turn("a"), Message.user("And now?"), *turn("b"), *turn("c")]
        for model, skipped in (("gemini-3-flash-preview", ["b", "c"]), ("gemini-flash-latest", ["b", "c"]),
                               ("gemini-2.5-pro", []), ("gemma-4-31b-it", [])):  # fmt: skip
            parts = [part for content in contents_of(*history, model=model) for part in content["parts"]]
            signed = [part for part in parts if "thoughtSignature" in part]
            assert [part["functionCall"]["id"] for part in signed] == skipped
            assert {part["thoughtSignature"] for part in signed} <= {"skip_thought_signature_validator"}

    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("text"), st.text(max_size=3), st.sampled_from([None, "s1"])),
                st.tuples(st.just("call"), st.sampled_from("abc"), st.sampled_from([None, "s2"])),
            ),
            max_size=6,
        )
    )
    @calm
    def test_in_any_division_nothing_is_lost_or_doubled(self, pieces: list[tuple[str, str, str | None]]) -> None:
        parts: list[dict[str, Any]] = []
        for number, (kind, what, signature) in enumerate(pieces):
            part = {"text": what} if kind == "text" else {"functionCall": {"id": f"{number}", "name": what, "args": {}}}
            parts.append({**part, "thoughtSignature": signature} if signature else part)
        answer = answer_of(candidate(*parts, finishReason="MAX_TOKENS"))
        message = self.message(answer)
        sent = [part for content in contents_of(HELLO, message)[1:2] for part in content["parts"]]
        kept = [part for part in parts if part.get("text") != "" or "thoughtSignature" in part]
        assert [p for p in sent if "thoughtSignature" in p] == [p for p in kept if "thoughtSignature" in p]
        assert "".join(p.get("text", "") for p in sent) == "".join(p.get("text", "") for p in kept)
        assert [p["functionCall"]["id"] for p in sent if "functionCall" in p] == [
            p["functionCall"]["id"] for p in kept if "functionCall" in p
        ]
        provider_state = message.provider_state.as_dict() if message.provider_state else None
        assert ProviderState.from_dict(json.loads(json.dumps(provider_state))) == message.provider_state, (
            "it is plain JSON"
        )
        assert (pieces_of(message.provider_state) is None) == (not any("thoughtSignature" in part for part in parts))
