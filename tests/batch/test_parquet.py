"""Parquet in and out: columns keep their types, and answers stand beside them."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_files import HERE, MODEL, answer, line, read_lines
from tests.support.scripted_targets import say
from unified_llm._core.outcome import Failure
from unified_llm.batch._input import Input
from unified_llm.batch._lines import BatchLine
from unified_llm.batch._prompts import PromptReader

pa: Any = pytest.importorskip("pyarrow")
pq: Any = pytest.importorskip("pyarrow.parquet")

ROWS = [
    {
        "text": f"row {number}",
        "when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "price": Decimal("1.50"),
        "tags": ["a", "b"],
        "small": number,
        "raw": b"\xff",
    }
    for number in range(3)
]


@pytest.fixture(autouse=True, name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(name="schema")
def _schema(folder: Path) -> Any:
    kinds = [
        ("text", pa.large_string()),
        ("when", pa.timestamp("us", tz="UTC")),
        ("price", pa.decimal128(10, 2)),
        ("tags", pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        ("small", pa.int8()),
        ("raw", pa.binary()),
    ]
    schema = pa.schema([pa.field(name, kind) for name, kind in kinds], metadata={"origin": "test"})
    pq.write_table(pa.Table.from_pylist(ROWS, schema=schema), folder / "in.parquet")
    return schema


def test_rows_keep_their_columns_and_have_their_answer_beside_them(folder: Path, schema: Any) -> None:
    script = [say("A"), Failure("bad_request", 400, "no"), say("C")]
    arguments = ("--column", "text", *HERE, "--concurrency", "1")
    ended, _ = answer("in.parquet", "out.parquet", *arguments, scripts={MODEL: script})
    assert ended.code == 1, ended.err
    written = pq.read_table(folder / "out.parquet")
    for field in schema:
        assert written.schema.field(field.name) == field
    assert written.drop_columns(["response", "model", "prompt_tokens", "completion_tokens"]).to_pylist() == [
        ROWS[0],
        ROWS[2],
    ]
    assert written["response"].to_pylist() == ["A", "C"]
    assert written["prompt_tokens"].to_pylist() == [7, 7]

    failed = pq.read_table(folder / "out.failed.parquet")
    assert failed.drop_columns(["error", "error_code"]).to_pylist() == [ROWS[1]]
    assert failed["error_code"].to_pylist() == ["bad_request"]
    ended, sent = answer("out.failed.parquet", "again.parquet", "--column", "text", *HERE)
    assert (ended.code, len(sent)) == (0, 1)
    assert pq.read_table(folder / "again.parquet")["response"].to_pylist() == ["Hi"]


@pytest.mark.usefixtures("schema")
def test_vectors_are_lists_of_numbers_and_columns_may_be_written_as_json(folder: Path) -> None:
    arguments = ("--template", "{text} {price} {tags} {when}", "--endpoint", "/v1/embeddings", *HERE)
    ended, sent = answer("in.parquet", "out.parquet", *arguments)
    assert ended.code == 0, ended.err
    assert ('row 0 1.50 ["a","b"] 2026-01-01 00:00:00+00:00',) in [request.texts for request in sent]
    assert pq.read_table(folder / "out.parquet")["response"].to_pylist() == [[1.0, 0.0]] * 3
    ended, _ = answer("in.parquet", "out.jsonl", *arguments)
    assert ended.code == 0
    assert [made["small"] for made in read_lines(folder / "out.jsonl")] == [0, 1, 2]


def test_lines_of_openai_may_be_rows_of_parquet(folder: Path) -> None:
    lines = [line(number) for number in range(2)]
    for name, rows in (("a", lines), ("b", [{**one, "body": json.dumps(one["body"])} for one in lines])):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
        ended, _ = answer(f"{name}.parquet", f"{name}-out.parquet", *HERE)
        assert ended.code == 0, ended.err
        written = pq.read_table(folder / f"{name}-out.parquet")
        assert written["custom_id"].to_pylist() == ["q0", "q1"]
        assert '"content": "Hi"' in written["response"][0].as_py()


def test_a_damaged_file_is_one_error(folder: Path) -> None:
    (folder / "in.parquet").write_bytes(b"PAR1" + bytes(100))
    ended, sent = answer("in.parquet", "out.jsonl", "--column", "text", *HERE)
    assert (ended.code, sent) == (2, [])
    assert "cannot be read as Parquet" in ended.err


def test_many_rows_are_written_in_their_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm.batch._parquet._ROWS_AT_ONCE", 4)
    table = pa.table({"text": [f"row {number}" for number in range(25)]})
    pq.write_table(table, folder / "in.parquet", row_group_size=7)
    ended, _ = answer("in.parquet", "out.parquet", "--column", "text", *HERE)
    assert ended.code == 0, ended.err
    assert pq.read_table(folder / "out.parquet")["text"].to_pylist() == table["text"].to_pylist()


def test_without_pyarrow_one_error_names_it(folder: Path, schema: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del folder, schema
    monkeypatch.setattr("unified_llm.batch._output.find_spec", lambda _: None)
    ended, sent = answer("in.parquet", "out.jsonl", "--column", "text", *HERE)
    assert (ended.code, sent) == (2, [])
    assert "needs the package pyarrow" in ended.err


def test_columns_of_bytes_are_texts_where_they_are_in_utf_8(folder: Path) -> None:
    rows = [{"text": "größe".encode(), "custom_id": b"a"}, {"text": b"\xff", "custom_id": b"b"}]
    for kind in (pa.binary(), pa.large_binary()):
        schema = pa.schema([("text", kind), ("custom_id", kind)])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "in.parquet")
        for old in folder.glob("out*"):
            old.unlink()
        ended, sent = answer("in.parquet", "out.jsonl", "--column", "text", *HERE)
        assert (ended.code, [request.messages[0].content for request in sent]) == (1, ["größe"])
        assert read_lines(folder / "out.jsonl")[0]["custom_id"] == "a"
        [failed] = read_lines(folder / "out.failed.jsonl")
        assert (failed["custom_id"], failed["text"]) == ("b", "/w==")
        assert "has bytes that are no text in UTF-8" in failed["error"]["message"]


def test_two_columns_of_one_name_are_one_error(folder: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, folder / "in.parquet")
    ended, sent = answer("in.parquet", "out.parquet", "--column", "text", *HERE)
    assert (ended.code, sent) == (2, [])
    assert "has two columns of the name 'text'" in ended.err


def test_objects_have_no_fields_of_other_rows(folder: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    conversations = [
        [{"role": "user", "content": [{"type": "text", "text": "a"}, image]}],
        [{"role": "user", "content": [{"type": "text", "text": "b"}], "name": "n"}],
    ]
    bodies: list[Any] = [{"messages": made, "tools": None} for made in conversations]
    bodies[0]["max_tokens"] = 5
    pq.write_table(pa.table({"url": ["/v1/chat/completions"] * 2, "body": bodies}), folder / "in.parquet")
    pq.write_table(pa.table({"asked": conversations}), folder / "rows.parquet")
    column = PromptReader("asked")
    for source in (Input("in.parquet"), Input("rows.parquet", column)):
        read = [one.body for one in source.lines() if isinstance(one, BatchLine)]
        assert [body["messages"] for body in read] == conversations
        assert "tools" not in read[0]
