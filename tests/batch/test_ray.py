"""``Generate`` and ``Embed`` with batches of rows, without Ray: the same calls as in its workers."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import LLMClient, LLMConfig
from unified_llm._core.outcome import Failure
from unified_llm.batch._failure_count import job_name
from unified_llm.batch.ray import Embed, Generate
from unified_llm.exceptions import ConfigurationError, LLMError, UnconfiguredError, ValidationError

MODEL, OTHER = "ollama/llama2", "vllm/m"
PROMPT = "CANARY-prompt"
REFUSED = Failure("bad_request", 400, "No.")


def generate(rows: Any, scripts: Mapping[str, Any] | None = None, *, settings: Any = MODEL, **options: Any) -> Any:
    targets = ScriptedTargets(scripts or {MODEL: [say("Hello")]})
    with targets.running(), Generate(settings, **options) as worker:
        return worker(rows)


def test_a_batch_gets_columns_with_response_error_target_and_tokens() -> None:
    rows = generate({"id": [1, 2], "prompt": ["One?", "Two?"]})
    assert rows == {
        "id": [1, 2], "prompt": ["One?", "Two?"], "response": ["Hello"] * 2, "error": [None] * 2,
        "served_by": [MODEL] * 2, "prompt_tokens": [7] * 2, "completion_tokens": [3] * 2,
    }  # fmt: skip


def test_a_row_that_fails_has_the_kind_and_a_message_without_the_prompt() -> None:
    rows = generate({"prompt": [PROMPT]}, {MODEL: [REFUSED]})
    assert rows["response"] == rows["served_by"] == rows["prompt_tokens"] == [None]
    assert rows["error"][0].startswith(f"bad_request: {MODEL}")
    assert PROMPT not in rows["error"][0]


def test_a_fallback_serves_a_row() -> None:
    settings = {"model": MODEL, "fallbacks": [{"model": OTHER, "base_url": "http://localhost:1/v1"}], "max_tokens": 9}
    rows = generate({"prompt": ["One?"]}, {MODEL: [REFUSED], OTHER: [say("Hello")]}, settings=settings)
    assert (rows["served_by"], rows["error"]) == ([OTHER], [None])


def test_a_table_of_arrow_keeps_its_form_and_its_new_columns_have_a_type_without_values() -> None:
    pa: Any = pytest.importorskip("pyarrow")
    table = pa.table({"error": ["old"], "prompt": ["One?"], "n": [1]})
    done = generate(table)
    assert done.column_names[:3] == ["error", "prompt", "n"]
    assert done.schema.field("error").type == pa.string()
    assert done["error"].to_pylist() == [None]
    failed = generate(table, {MODEL: [REFUSED]})
    assert failed.schema == done.schema


def test_messages_of_arrow_have_no_fields_of_other_rows() -> None:
    pa: Any = pytest.importorskip("pyarrow")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    long = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
    ]
    table = pa.table({"messages": [[{"role": "user", "content": "x"}], long]})
    assert generate(table, column="messages", output="answer")["answer"].to_pylist() == ["Hello"] * 2


def test_tool_calls_are_json_in_a_column() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    rows = generate(
        {"prompt": ["x"]}, {MODEL: [call_tool("f", '{"a": 1}')]}, settings={"model": MODEL, "tools": [tool]}
    )
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert json.loads(rows["tool_calls"][0]) == [{"id": "call_1", "type": "function", "function": function}]


def test_a_template_makes_the_prompt_of_columns() -> None:
    targets = ScriptedTargets({MODEL: [say("Hello")]})
    with targets.running():
        rows = Generate(MODEL, template="Translate {text} to {to}.")({"text": ["hallo", "ja"], "to": ["English", None]})
    assert [request.messages[-1].content for _, request in targets.asked] == ["Translate hallo to English."]
    assert "'to' is empty" in rows["error"][1].replace('"', "'")


def test_a_row_without_a_prompt_fails_unless_an_earlier_step_has() -> None:
    rows = generate({"prompt": [None, None, "x"], "error": [None, "timeout: late", "timeout: late"]})
    assert rows["error"] == ["ValidationError: The column 'prompt' of this row is empty.", "timeout: late", None]


def test_no_value_of_a_row_ends_the_job(tmp_path: Path) -> None:
    wrong: list[Any] = [{"a": 1, 2: 3}, {1, 2}, b"x", [[]], "x"]
    rows = generate(
        {"prompt": [*wrong, "right"], "custom_id": [None] * 4 + ["\ud800", float("nan")]}, checkpoint=tmp_path
    )
    assert rows["response"] == [None] * 5 + ["Hello"]
    assert all(error.startswith("ValidationError: ") for error in rows["error"][:5])
    earlier = generate({"prompt": [None] * 3, "error": [5, {"code": 1}, [True]]})
    assert earlier["error"] == ["5", '{"code":1}', "[true]"]


def test_a_column_for_which_arrow_has_no_type_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text, and a list of parts with an image, are no one type of Arrow; the responses are paid for by then."""
    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    messages = [[{"role": "user", "content": content}] for content in ("x", [{"type": "text", "text": "x"}])]
    rows = generate({"prompt": messages, "tags": [["a"], []]})
    assert rows["prompt"] == messages
    assert [rows[name].to_pylist() for name in ("tags", "response")] == [[["a"], []], ["Hello"] * 2]


def test_a_relative_checkpoint_is_refused_within_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    with pytest.raises(ConfigurationError, match="checkpoint=finished must be a whole path"):
        Generate(MODEL, checkpoint="finished")


def test_what_is_wrong_with_the_rows_is_one_error() -> None:
    with pytest.raises(ValidationError, match=r"The rows have no column 'prompt'; they have: text\."):
        generate({"text": ["x"]})
    with pytest.raises(ValidationError, match=r"one length: 'prompt' has 2, 'custom_id' has 1\."):
        generate({"prompt": ["x", "y"], "custom_id": ["a"]})
    with pytest.raises(ValidationError, match=r"A batch of rows is a dict of arrays, .* got list"):
        generate(["x"])


@each(
    ("settings", "message"),
    [
        ({"model": OTHER, "api_key": "sk-CANARY-of-a-batch"}, "api_key of vllm/m cannot be among the settings"),
        ({"model": OTHER, "default_headers": {"X-Token": "CANARY-of-a-batch"}}, "default_headers of vllm/m"),
        ({"model": OTHER, "extra_body": {"token": "CANARY-of-a-batch"}}, "extra_body of vllm/m"),
        ({"model": OTHER, "fallbacks": [{"model": "groq/m", "api_key": "sk-CANARY-of-a-batch"}]}, "api_key of groq/m"),
        (LLMClient(MODEL), "Generate takes a model string, or a mapping .* got LLMClient"),
        (LLMConfig(model=MODEL), "Generate takes a model string, or a mapping .* got LLMConfig"),
        ({"model": MODEL, "fallbacks": [LLMConfig(model=MODEL)]}, "fallbacks of Generate are .* got LLMConfig"),
        ({"model": MODEL, "temprature": 1}, "did you mean 'temperature'"),
        ({"model": MODEL, "fallbacks": 5}, "fallbacks is a list of model strings"),
        ({"model": MODEL, 5: 6}, "names of fields; got int"),
    ],
)
def test_settings_are_plain_data_without_keys(settings: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Generate(settings)
    assert "CANARY-of-a-batch" not in str(caught.value)


@each(
    ("options", "message"),
    [
        ({"column": ""}, "column must be the name of a column"),
        ({"concurrency": 0}, "concurrency must be a whole number, 1 or greater"),
        ({"max_failed": -1}, "max_failed must be a whole number, 0 or greater"),
        ({"checkpoint": ""}, "checkpoint must be the path of a folder"),
        ({"checkpoint": "s3://bucket/finished"}, "and no URL"),
        ({"output": "error"}, "output cannot be 'error'"),
        ({"output": "served_by"}, "output cannot be 'served_by'"),
        ({"state": "http://redis"}, "must be a URL that begins with redis://"),
    ],
)
def test_options_are_checked_before_a_row_is_read(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Generate(MODEL, **options)


@pytest.mark.usefixtures("no_keys")
def test_a_worker_names_the_variable_that_it_lacks() -> None:
    with pytest.raises(UnconfiguredError, match="OPENAI_API_KEY"):
        Generate({"model": "openai/gpt-5-mini"})


@each("kind", [Generate, Embed])
def test_a_pickle_has_the_arguments_alone(kind: type[Generate | Embed]) -> None:
    first = kind({"model": MODEL}, output="answer", concurrency=3)
    again = pickle.loads(pickle.dumps(first))  # noqa: S301 - of this test
    assert (
        repr(again)
        == repr(first)
        == f"{kind.__name__}(LLMClient({MODEL}), column={first._options.column!r}, output='answer')"
    )
    assert again._client is not first._client


def test_what_the_checkpoint_has_is_not_requested_again(tmp_path: Path) -> None:
    rows: Any = {"prompt": ["One?", "Two?"]}
    options: Any = {"checkpoint": tmp_path / "finished"}
    generate({"prompt": ["One?"]}, **options)
    targets = ScriptedTargets({MODEL: [say("Other")]})
    with targets.running(), Generate(MODEL, **options) as worker:
        again = worker(rows)
    assert again["response"] == ["Hello", "Other"]
    assert len(targets.asked) == 1
    changed = generate(rows, {MODEL: [say("Warmer")]}, settings={"model": MODEL, "temperature": 1.0}, **options)
    assert changed["response"] == ["Warmer"] * 2


def test_rows_with_the_same_prompt_are_told_apart_by_their_custom_id(tmp_path: Path) -> None:
    options: Any = {"checkpoint": tmp_path}
    generate({"prompt": ["One?"], "custom_id": ["a"]}, **options)
    targets = ScriptedTargets({MODEL: [say("Other")]})
    with targets.running(), Generate(MODEL, **options) as worker:
        rows = worker({"prompt": ["One?"] * 3, "custom_id": ["a", "b", None]})
    assert rows["response"] == ["Hello", "Other", "Other"]


def test_more_failures_than_allowed_end_the_job() -> None:
    rows = {"prompt": ["x", None, "x", "x", "x"]}
    assert generate(rows, {MODEL: [REFUSED]}, max_failed=5)["response"] == [None] * 5
    with pytest.raises(LLMError, match="3 rows have failed, and max_failed=2, so the job ends") as caught:
        generate(rows, {MODEL: [REFUSED]}, max_failed=2, concurrency=1)
    assert "it refused the request" in str(caught.value)


def test_failures_are_counted_over_the_batches_of_a_worker() -> None:
    with ScriptedTargets({MODEL: [REFUSED]}).running():
        worker = Generate(MODEL, max_failed=1)
        worker({"prompt": ["x"]})
        with pytest.raises(LLMError, match="2 rows have failed"):
            worker({"prompt": ["x"]})


def test_each_execution_of_a_dataset_counts_its_failures_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook runs many datasets in one job of the cluster."""
    cluster = SimpleNamespace(get_session_name=lambda: "session", get_job_id=lambda: "01")
    ray = SimpleNamespace(is_initialized=lambda: True, get_runtime_context=lambda: cluster)
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert job_name() == "session:01"
    context = SimpleNamespace(dataset_logger_id="dataset_1_0")
    data = SimpleNamespace(DataContext=SimpleNamespace(get_current=lambda: context))
    monkeypatch.setitem(sys.modules, "ray.data", data)
    assert job_name() == "dataset_1_0"


def test_texts_are_embedded_many_in_a_request() -> None:
    targets = ScriptedTargets({"ollama/nomic-embed-text": [say("")]})
    with targets.running():
        rows = Embed("ollama/nomic-embed-text")({"text": ["a", "b", None]})
    assert [vector is None for vector in rows["embedding"]] == [False, False, True]
    assert rows["served_by"] == ["ollama/nomic-embed-text"] * 2 + [None]
    assert len(targets.asked) == 1


def test_the_target_of_a_vector_is_named_as_that_of_a_response() -> None:
    settings = {"model": "ollama/nomic-embed-text", "name": "mine"}
    with ScriptedTargets({"ollama/nomic-embed-text": [say("")]}).running(), Embed(settings) as embed:
        assert embed({"text": ["a"]})["served_by"] == ["mine"]
