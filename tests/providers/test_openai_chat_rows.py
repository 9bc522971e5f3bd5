"""Each provider that has OpenAI's format, against its recorded responses: ``tests/fixtures/rows/<provider>.json``.

A new row needs one such file and nothing here. It has a ``source`` and what that provider sends and expects:

    sends           the fields of its request for ``REQUEST``, besides model, messages and tools
    chat            {"body", "expect"}: a whole answer
    stream          {"events", "expect"}: a stream
    tools           {"body", "expect"}: an answer that calls tools; null if the row has none
    errors          [{"status", "body", "kind", "code"}], at status 200 for those inside an answer
    stream_errors   [{"events", "kind"}]: errors inside a stream
    models, text, n, logprobs, citations    {"body", "expect"}, where it has them
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.codec_checks import body_of, check, collect, flat, read_events, read_pieces, sse, target
from tests.support.each import each
from tests.support.thorough import some
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.openai_chat import CODEC
from unified_llm._providers import hosted, registry
from unified_llm.types import Citation, LLMRequest, Message, ModelInfo, ModelRequest, ModelsRequest, TokenLogprob, Tool

FOLDER = Path(__file__).parents[1] / "fixtures" / "rows"
ROWS = [row for row in registry.ROWS if row.format == "openai_chat"]
PARTS = {
    "source", "sends", "chat", "stream", "tools", "errors", "stream_errors", "models", "text", "n", "logprobs",
    "citations",
}  # fmt: skip

REQUEST = LLMRequest(
    (Message.user("2+2?"),), temperature=0.5, max_tokens=9, top_p=0.9, stop=("END",), seed=1, frequency_penalty=0.1,
    presence_penalty=0.2, reasoning_effort="low", logprobs=True, top_logprobs=2, parallel_tool_calls=False, stream=True,
    tools=(Tool("weather", parameters={"type": "object"}), Tool("clock")), tool_choice="weather",
)  # fmt: skip


def recorded(provider: str) -> dict[str, Any]:
    path = FOLDER / f"{provider}.json"
    assert path.exists(), (
        f"A row needs a fixture: write tests/fixtures/rows/{provider}.json (CONTRIBUTING.md says how)."
    )
    fixture: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return fixture


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> registry.ProviderSpec:
    spec: registry.ProviderSpec = request.param
    return spec


def test_every_row_has_a_fixture_and_every_fixture_a_row() -> None:
    for row in ROWS:
        fixture = recorded(row.name)
        assert fixture["source"]
        assert {"sends", "chat", "stream", "tools", "errors"} <= set(fixture) <= PARTS, row.name
        assert ("tools" in row.features) == (fixture["tools"] is not None), row.name
    assert {path.stem for path in FOLDER.glob("*.json")} <= {row.name for row in ROWS}


def test_its_request_has_its_own_fields(row: registry.ProviderSpec) -> None:
    request = REQUEST if "tools" in row.features else replace(REQUEST, tools=(), tool_choice=None)
    body = body_of(request, target(row.name, headers={}))
    offered = [tool["function"]["name"] for tool in body.pop("tools", [])]
    assert {name: body[name] for name in set(body) - {"model", "messages"}} == recorded(row.name)["sends"]
    named = isinstance(body.get("tool_choice"), dict)
    assert offered == (["weather", "clock"] if named else ["weather"])[: len(request.tools)]


def summary(answer: Any) -> dict[str, Any]:
    names = ("content", "reasoning", "finish_reason", "model", "response_id", "usage")
    fields = {name: getattr(answer, name) for name in names}
    fields["provider_state"] = answer.provider_state and answer.provider_state.data
    return fields | {"tool_calls": [flat(call) for call in answer.tool_calls]}


def test_its_answers_are_read(row: registry.ProviderSpec) -> None:
    fixture, row_target = recorded(row.name), target(row.name)
    for part, request in (("chat", REQUEST), ("tools", REQUEST), ("text", replace(REQUEST, as_text=True))):
        if case := fixture.get(part):
            outcome = CODEC.decode(request, row_target, case["body"])
            assert isinstance(outcome, Done), (part, outcome)
            assert (outcome.value.provider, outcome.value.raw) == (row.name, case["body"])
            check(summary(outcome.value), case["expect"])


def test_its_streams_are_read_wherever_the_network_cuts_them(row: registry.ProviderSpec) -> None:
    case, row_target = recorded(row.name)["stream"], target(row.name)
    data = sse(case["events"])
    whole = read_pieces([data], row_target)
    actual = collect(whole)
    actual["provider_state"] = whole[-1].value.provider_state and whole[-1].value.provider_state.data
    actual["citations"] = [as_list(citation) for chunk in whole[:-1] for citation in chunk.citations]
    check(actual, case["expect"])
    assert (whole[-1].value.provider, actual["finish_reason"]) == (row.name, case["expect"]["finish_reason"])
    for cut in some(range(1, len(data)), 7):
        assert read_pieces([data[:cut], data[cut:]], row_target) == whole
    assert read_pieces([data[i : i + 1] for i in range(len(data))], row_target) == whole


def test_its_errors_have_their_kinds(row: registry.ProviderSpec) -> None:
    fixture, row_target = recorded(row.name), target(row.name)
    for case in fixture["errors"]:
        status, body = case["status"], case["body"]
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        failure = (
            CODEC.decode(REQUEST, row_target, body) if status == 200 else CODEC.failure(status, {}, raw, row_target)
        )
        assert isinstance(failure, Failure), body
        assert (failure.kind, failure.code) == (case["kind"], case["code"]), body
    for case in fixture.get("stream_errors", ()):
        last = read_events(case["events"], row_target)[-1]
        assert isinstance(last, Failure)
        assert last.kind == case["kind"], case


def test_what_its_model_list_says_is_kept(row: registry.ProviderSpec) -> None:
    case = recorded(row.name).get("models")
    if case is None:
        return
    row_target = target(row.name)
    outcome = CODEC.decode(ModelsRequest(), row_target, case["body"])
    assert isinstance(outcome, Done)
    models: tuple[ModelInfo, ...] = outcome.value[0]
    actual = [
        {name: plain(getattr(model, name)) for name in wanted}
        for model, wanted in zip(models, case["expect"], strict=True)
    ]
    assert actual == case["expect"]
    # A description of one model has the same form as in the list, or is requested by its name.
    model_target = replace(row_target, model=models[0].id)
    items = case["body"] if isinstance(case["body"], list) else case["body"]["data"]
    body = case["body"] if row_target.quirks.models_whole else items[0]
    assert CODEC.decode(ModelRequest(), model_target, body) == Done(models[0])


def plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def as_list(item: Citation | TokenLogprob) -> list[Any]:
    if isinstance(item, Citation):
        return [item.url, item.title, item.text, item.start, item.end]
    return [item.token, item.logprob, [list(pair) for pair in item.top]]


@each("part", ["citations", "logprobs", "n"])
def test_fields_beside_the_text_are_read(part: str) -> None:
    count = 0
    for row in ROWS:
        if case := recorded(row.name).get(part):
            outcome = CODEC.decode(REQUEST, target(row.name), case["body"])
            assert isinstance(outcome, Done), row.name
            answer = outcome.value
            answers = [[choice.content, choice.finish_reason] for choice in (answer, *answer.alternatives)]
            actual = {"n": answers, "citations": list(map(as_list, answer.citations))}
            actual["logprobs"] = list(map(as_list, answer.logprobs))
            assert actual[part] == case["expect"], row.name
            count += 1
    assert count


def test_the_row_in_the_contributor_s_guide_is_the_real_one() -> None:
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = guide.split("```python\n")[1].split("```")[0]
    assert eval(block, dict(vars(hosted))) == registry.row("sambanova")  # noqa: S307 - our own text
