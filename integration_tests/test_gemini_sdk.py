"""Google's own client and ours, side by side: the requests that they send and the responses that they read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from integration_tests.fakes.gemini import KEY, FakeGemini
from integration_tests.support.media import PDF, PNG, WAV
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig, LLMRequest, LLMResponse, Message, Usage
from unified_llm import exceptions as problems
from unified_llm._core.chunks import as_response
from unified_llm.types import AudioPart, FilePart, ImagePart, ResponseFormat, TextPart, Tool

need("google.genai", install="pip install google-genai")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Python warns of escapes in its texts, once, when it compiles them
    from google import genai
    from google.genai import errors, types

pytestmark = [
    pytest.mark.proves(
        "gemini", "chat", "stream", "tools", "schema", "images", "audio", "files", "reasoning", "logprobs", "n",
        "embeddings", "models", "count_tokens", "errors", against="google-genai 3 and a strict fake",
    ),
    # Google's client warns of every answer that holds more than text, and of tools that it cannot call by itself.
    pytest.mark.filterwarnings("ignore::UserWarning:google"),
]  # fmt: skip

OLD, NEW = "gemini-2.5-flash", "gemini-3-flash-preview"
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": ["integer", "null"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER, CLOCK = Tool("weather", "The weather.", PLACE), Tool("clock")
DECLARED = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name="weather", description="The weather.", parameters_json_schema=PLACE),
            types.FunctionDeclaration(name="clock"),
        ]
    )
]
SEARCH = Tool("search", builtin={"googleSearch": {}})
USAGE = {
    "prompt_tokens": "prompt_token_count",
    "cached_tokens": "cached_content_token_count",
    "reasoning_tokens": "thoughts_token_count",
    "total_tokens": "total_token_count",
}


@dataclass(frozen=True)
class Case:
    """One request, as our client and as theirs takes it."""

    prompt: str | tuple[Any, ...] = "Hello"
    ours: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Any, ...] = ()
    theirs: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None
    model: str = OLD

    def request(self) -> LLMRequest:
        before = (Message.system(self.system),) if self.system else ()
        return LLMRequest((*before, Message("user", self.prompt)), model=f"gemini/{self.model}", **self.ours)

    def call(self) -> dict[str, Any]:
        parts = self.parts or (types.Part(text=str(self.prompt)),)
        config = types.GenerateContentConfig(system_instruction=self.system, **self.theirs)
        return {"model": self.model, "contents": [types.Content(role="user", parts=list(parts))], "config": config}


def calling(mode: str, *names: str) -> types.ToolConfig:
    config = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode(mode))
    if names:
        config.allowed_function_names = list(names)
    return types.ToolConfig(function_calling_config=config)


def thinking(**fields: Any) -> dict[str, Any]:
    return {"thinking_config": types.ThinkingConfig(**fields)}


CASES: Mapping[str, Case] = {
    "plain": Case(),
    "every number": Case(
        ours={"temperature": 0.5, "top_p": 0.9, "max_tokens": 50, "stop": ("END",), "seed": 7, "frequency_penalty": 0.1,
              "presence_penalty": -0.1},
        theirs={"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 50, "stop_sequences": ["END"], "seed": 7,
                "frequency_penalty": 0.1, "presence_penalty": -0.1},
        system="Be brief.",
    ),
    "too few tokens": Case(ours={"max_tokens": 2}, theirs={"max_output_tokens": 2}),
    "a quotation": Case("Write a poem."),
    "tools": Case("call it", {"tools": (WEATHER, CLOCK)}, theirs={"tools": DECLARED}),
    "parallel tools": Case(
        "both", {"tools": (WEATHER, CLOCK), "tool_choice": "auto"},
        theirs={"tools": DECLARED, "tool_config": calling("AUTO")}, model=NEW,
    ),
    "any tool": Case(
        ours={"tools": (WEATHER, CLOCK), "tool_choice": "required"},
        theirs={"tools": DECLARED, "tool_config": calling("ANY")},
    ),
    "one tool": Case(
        ours={"tools": (WEATHER, CLOCK), "tool_choice": "clock"},
        theirs={"tools": DECLARED, "tool_config": calling("ANY", "clock")},
    ),
    "no tool": Case(
        "call it", {"tools": (WEATHER, CLOCK), "tool_choice": "none"},
        theirs={"tools": DECLARED, "tool_config": calling("NONE")},
    ),
    "JSON": Case(ours={"response_format": ResponseFormat()}, theirs={"response_mime_type": "application/json"}),
    "a schema": Case(
        ours={"response_format": ResponseFormat(PLACE)},
        theirs={"response_mime_type": "application/json", "response_json_schema": PLACE},
    ),
    "thinking by budget": Case(
        ours={"reasoning_effort": "low"}, theirs=thinking(thinking_budget=1024, include_thoughts=True)
    ),
    "thinking by level": Case(
        ours={"reasoning_effort": "high"}, theirs=thinking(thinking_level="HIGH", include_thoughts=True), model=NEW
    ),
    "no thinking": Case(ours={"reasoning_effort": "none"}, theirs=thinking(thinking_budget=0)),
    "log probabilities": Case(ours={"top_logprobs": 2}, theirs={"response_logprobs": True, "logprobs": 2}),
    "search": Case(ours={"tools": (SEARCH,)}, theirs={"tools": [types.Tool(google_search=types.GoogleSearch())]}),
    "media": Case(
        (
            TextPart("What is this?"), ImagePart(data=PNG), AudioPart(WAV), FilePart(PDF),
            FilePart(b"\xff\xfe", "video/mp4"), ImagePart(url="https://example.org/cat.png"),
            FilePart(url="https://youtu.be/x", media_type="video/mp4"),
        ),
        parts=(
            types.Part(text="What is this?"),
            types.Part.from_bytes(data=PNG, mime_type="image/png"),
            types.Part.from_bytes(data=WAV, mime_type="audio/wav"),
            types.Part.from_bytes(data=PDF, mime_type="application/pdf"),
            types.Part.from_bytes(data=b"\xff\xfe", mime_type="video/mp4"),
            types.Part.from_uri(file_uri="https://example.org/cat.png"),
            types.Part.from_uri(file_uri="https://youtu.be/x", mime_type="video/mp4"),
        ),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGemini]:
    with FakeGemini() as running:
        yield running


@pytest.fixture
def fake(server: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> FakeGemini:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    server.requests.clear()
    server.refused.clear()
    return server


@pytest.fixture
def theirs(fake: FakeGemini) -> Iterator[genai.Client]:
    where = types.HttpOptions(base_url=fake.address, api_version="v1beta")
    with genai.Client(api_key=KEY, http_options=where) as client:
        yield client


@pytest.fixture
def ours(fake: FakeGemini) -> Iterator[LLMClient]:
    with LLMClient(config(fake)) as client:
        yield client


def config(fake: FakeGemini, **fields: Any) -> LLMConfig:
    return LLMConfig(**{"model": f"gemini/{OLD}", "base_url": fake.address, "api_key": KEY, "max_retries": 0, **fields})


def bodies(fake: FakeGemini) -> list[dict[str, Any]]:
    """Return the bodies that were sent, without empty fields of Google's client, and with tools in one order."""
    sent: list[dict[str, Any]] = []
    for received in fake.requests:
        body = received.body
        body.get("systemInstruction", {}).pop("role", None)
        if not body.get("generationConfig", True):
            del body["generationConfig"]
        for embed in body.get("requests", ()):
            embed["content"].pop("role", None)
        if "tools" in body:
            body["tools"].sort(key=repr)
        sent.append(body)
    return sent


def read_by_them(answer: types.GenerateContentResponse) -> dict[str, Any]:
    candidate = (answer.candidates or [])[0]
    parts = (candidate.content.parts if candidate.content else None) or []
    usage, logprobs = answer.usage_metadata, candidate.logprobs_result
    assert usage
    return {
        "content": "".join(part.text for part in parts if part.text and not part.thought),
        "reasoning": "".join(part.text for part in parts if part.text and part.thought) or None,
        "calls": [(c.name, c.args) for part in parts if (c := part.function_call)],
        "reason": str(candidate.finish_reason.value) if candidate.finish_reason else None,
        "model": answer.model_version,
        "id": answer.response_id,
        "usage": {name: getattr(usage, field) or 0 for name, field in USAGE.items()},
        "logprobs": [
            (token.token, token.log_probability) for token in (logprobs.chosen_candidates if logprobs else None) or ()
        ],
        "sources": [
            (chunk.web.uri, chunk.web.title)
            for chunk in (candidate.grounding_metadata.grounding_chunks if candidate.grounding_metadata else None) or ()
            if chunk.web
        ],
    }


REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "RECITATION"}


def read_by_us(answer: LLMResponse) -> dict[str, Any]:
    assert answer.usage
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "calls": [(call.name, dict(call.arguments)) for call in answer.tool_calls],
        "reason": REASONS[answer.finish_reason],
        "model": answer.model,
        "id": answer.response_id,
        "usage": {name: getattr(answer.usage, name) for name in USAGE},
        "logprobs": [(logprob.token, logprob.logprob) for logprob in answer.logprobs],
        "sources": [(citation.url, citation.title) for citation in answer.citations],
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_say_and_read_the_same(fake: FakeGemini, theirs: genai.Client, ours: LLMClient, case: Case) -> None:
    they = theirs.models.generate_content(**case.call())
    we = ours.generate(case.request())
    sent_by_them, sent_by_us = bodies(fake)
    assert sent_by_us == sent_by_them
    assert read_by_us(we) == read_by_them(they)
    assert (we.usage or Usage()).audio_tokens == 3


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_stream_the_same(fake: FakeGemini, theirs: genai.Client, ours: LLMClient, case: Case) -> None:
    they = [read_by_them(response) for response in theirs.models.generate_content_stream(**case.call())]
    chunks = list(ours.stream(case.request()))
    sent_by_them, sent_by_us = bodies(fake)
    assert sent_by_us == sent_by_them
    last, end = they[-1], chunks[-1]
    for name in ("content", "reasoning"):
        expected = [event[name] for event in they if event[name]]
        assert [text for chunk in chunks if (text := getattr(chunk, name))] == expected
    calls = [(part.name, part.arguments) for chunk in chunks for part in chunk.tool_calls]
    assert [name for name, _ in calls] == [name for event in they for name, _ in event["calls"]]
    assert {arguments for _, arguments in calls} <= {'{"city":"Köln"}'}
    assert [(c.url, c.title) for chunk in chunks for c in chunk.citations] == last["sources"]
    assert end.finish_reason
    assert (REASONS[end.finish_reason], end.model, end.response_id) == (last["reason"], last["model"], last["id"])
    assert {name: getattr(end.usage, name) for name in USAGE} == last["usage"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", [OLD, NEW])
def test_both_send_an_answer_back_with_its_signatures(
    fake: FakeGemini, theirs: genai.Client, ours: LLMClient, model: str, *, streamed: bool
) -> None:
    case = Case("both", {"tools": (WEATHER, CLOCK)}, theirs={"tools": DECLARED}, model=model)
    asked = case.call()
    response = theirs.models.generate_content(**asked)
    content = (response.candidates or [])[0].content
    assert content
    names = [part.function_call for part in content.parts or () if part.function_call]
    results = [
        types.Part(function_response=types.FunctionResponse(id=called.id, name=called.name, response={"output": "12"}))
        for called in names
    ]
    contents = [*asked["contents"], content, types.Content(role="user", parts=results)]
    theirs.models.generate_content(**{**asked, "contents": contents})

    request = case.request()
    answer = as_response((every := list(ours.stream(request)))[:-1], every[-1]) if streamed else ours.generate(request)
    turn = replace(
        Message.assistant(answer.content, tool_calls=answer.tool_calls), provider_state=answer.provider_state
    )
    returned = [Message.tool("12", call.id) for call in answer.tool_calls]
    ours.generate(replace(request, messages=(*request.messages, turn, *returned)))

    _, by_them, _, by_us = bodies(fake)
    if model == OLD:  # it names no calls, so we do
        for content in by_us["contents"]:
            for part in content["parts"]:
                for kind in ("functionCall", "functionResponse"):
                    assert part.get(kind, {"id": "call_R-1_x"}).pop("id").startswith("call_R-1_x")
    assert by_us == by_them
    signed = [part for content in by_us["contents"] for part in content["parts"] if "thoughtSignature" in part]
    assert len(signed) == (model == NEW)


def test_a_conversation_from_elsewhere_goes_on_where_signatures_are_demanded(fake: FakeGemini, ours: LLMClient) -> None:
    history = (
        Message.user("both"),
        Message.assistant(tool_calls=ours.generate("call", model=f"gemini/{OLD}", tools=[_openai(WEATHER)]).tool_calls),
        Message.tool("12", "call_R-1_x_0"),
    )
    answer = ours.generate(LLMRequest(history, model=f"gemini/{NEW}", tools=(WEATHER,)))
    assert answer.content == "Grüße! You said: both"
    assert fake.refused == []


def _openai(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def test_several_answers_come_from_one_question(fake: FakeGemini, theirs: genai.Client, ours: LLMClient) -> None:
    case = Case(ours={"n": 3}, theirs={"candidate_count": 3})
    they = theirs.models.generate_content(**case.call())
    we = ours.generate(case.request())
    sent_by_them, sent_by_us = bodies(fake)
    assert sent_by_us == sent_by_them
    assert len(they.candidates or ()) == 1 + len(we.alternatives) == 3
    assert {alternative.content for alternative in we.alternatives} == {they.text}


def test_an_address_may_name_the_version_or_not(fake: FakeGemini) -> None:
    for path, version in (("", "v1beta"), ("/", "v1beta"), ("/v1beta", "v1beta"), ("/v1/", "v1")):
        with LLMClient(config(fake, base_url=fake.address + path)) as client:
            client.generate("Hello")
        assert fake.requests[-1].path == f"/{version}/models/{OLD}:generateContent"


def test_both_embed_the_same(fake: FakeGemini, theirs: genai.Client, ours: LLMClient) -> None:
    model, wanted = "gemini-embedding-001", types.EmbedContentConfig(output_dimensionality=8)
    they = theirs.models.embed_content(model=model, contents=_texts("a", "öö"), config=wanted)
    we = ours.embed(["a", "öö"], model=f"gemini/{model}", dimensions=8)
    sent_by_them, sent_by_us = bodies(fake)
    assert sent_by_us == sent_by_them
    assert we.vectors == [embedding.values for embedding in they.embeddings or ()]


def _texts(*texts: str) -> list[types.Content]:
    return [types.Content(parts=[types.Part(text=text)]) for text in texts]


def test_both_list_the_same_models_on_all_pages(theirs: genai.Client, ours: LLMClient) -> None:
    they = [
        (f"{m.name}".removeprefix("models/"), m.input_token_limit, m.output_token_limit) for m in theirs.models.list()
    ]
    assert [(m.id, m.context_window, m.max_output) for m in ours.list_models()] == they
    one = ours.model_info(f"gemini/{NEW}")
    they_say = theirs.models.get(model=NEW)
    assert (f"models/{one.id}", one.context_window) == (they_say.name, they_say.input_token_limit)


def test_both_count_the_same(fake: FakeGemini, theirs: genai.Client, ours: LLMClient) -> None:
    they = theirs.models.count_tokens(model=OLD, contents="Hello")
    assert ours.count_tokens("Hello") == they.total_tokens
    sent_by_them, sent_by_us = bodies(fake)
    assert sent_by_us == sent_by_them
    # Google's client cannot count instructions and tools; the API can.
    assert ours.count_tokens(LLMRequest((Message.system("S"), Message.user("Hello")), tools=(WEATHER,))) > 0


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (Case("too fast"), problems.RateLimitError),
        (Case("too long"), problems.ContextOverflowError),
        (Case(model="gemini-0"), problems.ModelNotFoundError),
    ],
)
def test_both_read_the_same_error(
    theirs: genai.Client, ours: LLMClient, case: Case, kind: type[problems.LLMError]
) -> None:
    with pytest.raises(errors.APIError) as they:
        theirs.models.generate_content(**case.call())
    with pytest.raises(kind) as we:
        ours.generate(case.request())
    assert we.value.status_code == they.value.code
    assert they.value.status
    assert we.value.attempts[-1].reason == they.value.status


def test_a_wrong_key_is_told_as_such(fake: FakeGemini) -> None:
    with LLMClient(config(fake, api_key="AIza-wrong")) as client, pytest.raises(problems.AuthenticationError):
        client.generate("Hello")


def test_a_blocked_prompt_is_a_matter_of_the_filter(theirs: genai.Client, ours: LLMClient) -> None:
    case = Case("blocked")
    feedback = theirs.models.generate_content(**case.call()).prompt_feedback
    assert feedback
    assert feedback.block_reason
    for call in (lambda: ours.generate(case.request()), lambda: list(ours.stream(case.request()))):
        with pytest.raises(problems.ContentFilterError) as raised:
            call()
        assert raised.value.attempts[-1].reason == feedback.block_reason.value


def test_an_error_in_mid_stream_is_that_error_to_both(theirs: genai.Client, ours: LLMClient) -> None:
    case = Case("break off")
    with pytest.raises(errors.ServerError) as they:
        list(theirs.models.generate_content_stream(**case.call()))
    with pytest.raises(problems.StreamInterruptedError) as we:
        list(ours.stream(case.request()))
    assert they.value.status
    assert (we.value.attempts[-1].outcome, we.value.attempts[-1].reason) == ("server", they.value.status)
    assert we.value.partial
    assert "Grüße! You said: break off".startswith(we.value.partial)


async def test_the_asynchronous_client_says_the_same(fake: FakeGemini) -> None:
    async with LLMClient(config(fake)) as client:
        whole = await client.agenerate("Hello")
        chunks = [chunk async for chunk in client.astream("Hello")]
    assert "".join(chunk.content for chunk in chunks) == whole.content
    first, second = (received.body for received in fake.requests)
    assert first == second
