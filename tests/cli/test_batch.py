"""``batch``: files of requests and of rows, answered, resumed, and what is wrong with them named."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.batch_files import HERE, MODEL, answer, line, read_lines, text_of, write_lines
from tests.support.command_line import Ended, run
from tests.support.each import each
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm._core.outcome import Failure
from unified_llm.batch._run import Files
from unified_llm.exceptions import ValidationError

KEY = "sk-" + "k" * 40
REFUSED = Failure("bad_request", 400, detail="no")


@pytest.fixture(autouse=True, name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_line_is_answered_in_the_order_of_the_input(folder: Path) -> None:
    slow = [say("first"), [Pause(5), *say("second")], say("third")]
    source = write_lines(folder / "in.jsonl", [line(number) for number in range(3)])
    ended, sent = answer(source, "out.jsonl", *HERE, scripts={MODEL: slow})
    assert (ended.code, ended.out, len(sent)) == (0, "", 3)
    written = read_lines(folder / "out.jsonl")
    assert [(made["custom_id"], made["error"], made["response"]["status_code"]) for made in written] == [
        (f"q{number}", None, 200) for number in range(3)
    ]
    assert {text_of(made) for made in written} == {"first", "second", "third"}
    assert written[0]["response"]["body"]["object"] == "chat.completion"
    assert "3 prompts" in ended.err
    assert not (folder / "out.failed.jsonl").exists()


def test_each_endpoint_has_its_own_answer(folder: Path) -> None:
    lines = [
        line(0),
        line(1, url="/v1/responses", input="Hello"),
        line(2, url="/v1/completions", prompt="a"),
        line(3, url="/v1/embeddings", input=["a", "b"]),
    ]
    source = write_lines(folder / "in.jsonl", lines)
    script = [say("A"), say("B"), say("C"), say("")]
    ended, _ = answer(source, "out.jsonl", *HERE, "--concurrency", "1", scripts={MODEL: script})
    assert ended.code == 0, ended.err
    bodies = [made["response"]["body"] for made in read_lines(folder / "out.jsonl")]
    assert [body["object"] for body in bodies] == ["chat.completion", "response", "text_completion", "list"]
    assert bodies[1]["output"][0]["content"][0]["text"] == "B"
    assert [choice["text"] for choice in bodies[2]["choices"]] == ["C"]
    assert [row["embedding"] for row in bodies[3]["data"]] == [[1.0, 0.0]] * 2


def test_a_failed_line_is_in_a_file_that_can_be_sent_again(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(0), line(1, "no"), line(2)])
    script = [say("A"), REFUSED, say("C"), say("B")]
    arguments = ("--concurrency", "1", *HERE)
    ended, sent = answer(source, "out.jsonl", *arguments, scripts={MODEL: script[:3]})
    assert (ended.code, len(sent)) == (1, 3)
    assert [text_of(made) for made in read_lines(folder / "out.jsonl")] == ["A", "C"]
    [failed] = read_lines(folder / "out.failed.jsonl")
    assert failed["body"] == line(1, "no")["body"]
    assert failed["error"]["line"] == 2
    assert (failed["error"]["code"], failed["error"]["detail"]) == ("bad_request", "no")
    assert "detail holds the provider's message" in failed["error"]["message"]
    assert "1 failed, they are in out.failed.jsonl" in ended.err

    ended, sent = answer("out.failed.jsonl", "again.jsonl", *HERE)
    assert (ended.code, len(sent)) == (0, 1)
    ended, sent = answer(source, "out.jsonl", *arguments, scripts={MODEL: script[3:]})
    assert (ended.code, len(sent)) == (0, 1), "the same command sends what failed again, and nothing else"
    assert [text_of(made) for made in read_lines(folder / "out.jsonl")] == ["A", "B", "C"]
    assert not (folder / "out.failed.jsonl").exists()


WRONG: list[tuple[Any, str]] = [
    ("{bad", "line 1: it is no JSON"),
    ('"text"', "line 1: it is no JSON object"),
    ({"url": "/v1/chat/completions"}, "has no body"),
    ({"body": {}}, "names no url"),
    (line(1, url="/v1/chat/completion", messages=[]), "did you mean /v1/chat/completions?"),
    ({**line(1), "method": "GET"}, "method is not POST"),
    ({**line(1), "custom_id": 5}, "custom_id is no text"),
    (line(1, stream=True), "leave out stream"),
    (line(1, extra_body={"stream": True}), "leave out stream"),
    (line(1, url="/v1/responses", input="a", background=True), "leave out background"),
    (line(1, messages=[]), "messages is missing or empty"),
    (line(1, temprature=1), "has no field 'temprature'"),
    (line(1, api_key=KEY), "The body has api_key, which is no field"),
    (line(1, base_url="http://example.com"), "The body has base_url"),
    (line(1, self=1), "The body has self"),
    (line(1, url="/v1/embeddings"), "input is missing"),
]


@each(("wrong", "problem"), WRONG)
def test_a_wrong_line_is_named_and_the_others_are_answered(folder: Path, wrong: Any, problem: str) -> None:
    for old in folder.iterdir():
        old.unlink()
    source = write_lines(folder / "in.jsonl", [wrong, "", line(2)])
    ended, sent = answer(source, "out.jsonl", *HERE)
    assert (ended.code, len(sent)) == (1, 1)
    [failed] = read_lines(folder / "out.failed.jsonl")
    assert problem.removeprefix("line 1: ") in failed["error"]["message"]
    assert failed["error"]["line"] == 1
    assert "line 3" not in ended.err
    planned, sent = answer(source, "--plan", *HERE)
    assert sent == []
    assert planned.code == 1
    assert problem in planned.err
    assert KEY not in planned.err + ended.err + failed["error"]["message"]


def test_lines_are_told_apart_by_custom_id_and_those_without_one_by_number(folder: Path) -> None:
    without = {name: value for name, value in line(0).items() if name != "custom_id"}
    source = write_lines(folder / "in.jsonl", [without, line(1), line(1, "again"), without])
    ended, sent = answer(source, "out.jsonl", *HERE)
    assert (ended.code, len(sent)) == (1, 3)
    assert [made["custom_id"] for made in read_lines(folder / "out.jsonl")] == ["line-1", "q1", "line-4"]
    [failed] = read_lines(folder / "out.failed.jsonl")
    assert "custom_id 'q1' is that of line 2 too" in failed["error"]["message"]


@each(
    "data",
    [
        b"\xef\xbb\xbf%s\n",
        b"%s\r\n",
        b"\r\n\n%s",
        b"%s",
        "\ufeff%s\n",
    ],
)
def test_marks_line_ends_and_a_missing_last_one_are_no_problem(folder: Path, data: bytes | str) -> None:
    text = json.dumps(line(1))
    whole = data % text.encode() if isinstance(data, bytes) else (data % text).encode("utf-16-le")
    for old in folder.iterdir():
        old.unlink()
    (folder / "in.jsonl").write_bytes(whole)
    ended, _ = answer("in.jsonl", "out.jsonl", *HERE)
    assert ended.code == 0, ended.err
    assert len(read_lines(folder / "out.jsonl")) == 1


@each(
    ("data", "problem"),
    [
        (b"", "has no lines"),
        (b"\n \n", "has no lines"),
        (b'[{"custom_id": "1"}]', "is one JSON array"),
        (b"\x1f\x8b\x08abc", "is compressed"),
        (b"PK\x03\x04", "is an archive"),
    ],
)
def test_another_kind_of_file_is_one_error(folder: Path, data: bytes, problem: str) -> None:
    (folder / "in.jsonl").write_bytes(data)
    ended, sent = answer("in.jsonl", "out.jsonl", *HERE)
    assert (ended.code, sent) == (2, [])
    assert problem in ended.err
    assert ended.err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl"]


def test_bytes_that_are_no_text_are_the_failure_of_their_line(folder: Path) -> None:
    (folder / "in.jsonl").write_bytes(b'{"custom_id": "\xff"}\n' + json.dumps(line(1)).encode())
    ended, _ = answer("in.jsonl", "out.jsonl", *HERE)
    assert ended.code == 1
    assert "Line 1: it is no text in UTF-8 (byte 16)" in ended.err


@each(
    ("arguments", "problem"),
    [
        (["in.jsonl"], "the output is missing"),
        (["missing.jsonl", "out.jsonl"], "missing.jsonl cannot be read: No such file"),
        ([".", "out.jsonl"], "is a folder"),
        (["in.jsonl", "in.jsonl"], "are one file"),
        (["in.jsonl", "out.jsonl", "--failed", "out.jsonl"], "are one file"),
        (["in.jsonl", "nowhere/out.jsonl"], "there is no folder"),
        (["in.jsonl", "."], "is a folder"),
        (["in.jsonl", "out.parquet"], "would be Parquet"),
        (["in.jsonl", "out.jsonl", "--limit", "0"], "--limit"),
        (["in.jsonl", "out.jsonl", "--concurrency", "0"], "concurrency"),
        (["in.jsonl", "out.jsonl", "--system", "Be brief"], "--system is for rows"),
        (["in.jsonl", "out.jsonl", "--endpoint", "/v1/embeddings"], "--endpoint is for rows"),
        (["in.jsonl", "out.jsonl", "--column", "text", "--endpoint", "/v1/chat"], "--endpoint is one of"),
        (["in.jsonl", "out.jsonl", "--template", "no columns"], "names no column"),
        (["in.jsonl", "out.jsonl", "--template", "{a} {"], "braces of the text twice"),
        (["in.jsonl", "out.jsonl", "--template", "{text} {custom_id.x}"], "no column 'custom_id.x'"),
        (["in.jsonl", "out.jsonl", "--engine", "spark"], "--engine is ray"),
        (["in.jsonl", "out.jsonl", "--address", "head:6379"], "--address and --workers are for --engine ray"),
        (["in.jsonl", "out.jsonl", "--engine", "ray", "--workers", "0"], "--workers must be 1 or greater"),
        (["in.jsonl", "-", "--json"], "--json prints to standard output"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(folder: Path, arguments: list[str], problem: str) -> None:
    write_lines(folder / "in.jsonl", [{**line(1), "text": "a"}])
    ended, sent = answer(*arguments, *HERE)
    assert (ended.code, ended.out, sent) == (2, "", []), ended.err
    assert problem in ended.err
    assert ended.err.count("\n") == 1


def test_without_ray_the_engine_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    source = write_lines(folder / "in.jsonl", [line(1)])
    ended, sent = answer(source, "out.jsonl", *HERE, "--engine", "ray")
    assert (ended.code, sent) == (2, [])
    assert ended.err == "unified-llm: error: Ray is not installed: run pip install 'unified-llm[ray]'.\n"


def test_an_address_without_a_ray_cluster_is_one_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setitem(sys.modules, "ray.exceptions", SimpleNamespace())

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    source = write_lines(folder / "in.jsonl", [line(1)])
    ended, sent = answer(source, "out.jsonl", *HERE, "--engine", "ray", "--address", "ray-head:6379")
    assert (ended.code, sent) == (2, [])
    assert "No Ray cluster can be reached at ray-head:6379 (ConnectionRefusedError)" in ended.err


def test_the_output_of_another_run_is_left_alone(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1)])
    (folder / "out.jsonl").write_text("mine\n")
    ended, sent = answer(source, "out.jsonl", *HERE)
    assert (ended.code, sent) == (2, [])
    assert "name another output, or remove it" in ended.err
    assert (folder / "out.jsonl").read_text() == "mine\n"

    (folder / "out.jsonl").unlink()
    assert answer(source, "out.jsonl", *HERE)[0].code == 0
    other = write_lines(folder / "other.jsonl", [line(1, "Bye")])
    ended, sent = answer(other, "out.jsonl", *HERE)
    assert (ended.code, sent) == (2, [])
    assert "is the output of a run over in.jsonl" in ended.err


def test_a_changed_line_is_answered_again(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1), line(2)])
    answer(source, "out.jsonl", *HERE)
    write_lines(source, [line(1), line(2, "Bye"), line(3)])
    ended, sent = answer(source, "out.jsonl", *HERE)
    assert (ended.code, len(sent)) == (0, 2)
    _, sent = answer(source, "out.jsonl", *HERE, "-t", "0.5")
    assert len(sent) == 3, "the temperature determines responses"


def test_labels_keys_and_addresses_change_nothing(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1, user="a", metadata={"a": "b"})])
    answer(source, "out.jsonl", *HERE)
    write_lines(source, [line(1, user="b")])
    other = ("--model", MODEL, "--base-url", "http://127.0.0.1:8/v1", "--timeout", "5", "--fallback", "mlx/demo")
    ended, sent = answer(source, "out.jsonl", *other)
    assert (ended.code, sent) == (0, [])


def test_standard_input_and_output_are_written_as_a_dash(folder: Path) -> None:
    data = "".join(json.dumps(line(number)) + "\n" for number in range(2)).encode()
    ended, sent = answer("-", "-", *HERE, stdin=data)
    assert (ended.code, len(sent)) == (0, 2)
    assert [json.loads(text)["custom_id"] for text in ended.out.splitlines()] == ["q0", "q1"]
    assert list(folder.iterdir()) == []
    kept = ("--checkpoint", "kept.jsonl", "--failed", "failed.jsonl")
    answer("-", "-", *HERE, *kept, stdin=data)
    ended, sent = answer("-", "-", *HERE, *kept, stdin=data)
    assert (ended.code, sent, ended.out.count("\n")) == (0, [], 2)


def test_the_first_lines_alone(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(number) for number in range(5)])
    _, sent = answer(source, "out.jsonl", *HERE, "--limit", "2")
    assert len(sent) == len(read_lines(folder / "out.jsonl")) == 2
    _, sent = answer(source, "out.jsonl", *HERE)
    assert len(sent) == 3


def test_a_line_names_its_own_model_unless_the_command_names_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, KEY)
    names = ["gpt-5-mini", "anthropic/claude-haiku-4-5", "mistral/mistral-small-latest"]
    source = write_lines(folder / "in.jsonl", [line(index, model=name) for index, name in enumerate(names)])
    scripts = {f"openai/{names[0]}": [say("A")], names[1]: [say("B")], names[2]: [say("C")]}
    ended, _ = answer(source, "out.jsonl", scripts=scripts)
    assert ended.code == 0, ended.err
    assert [text_of(made) for made in read_lines(folder / "out.jsonl")] == ["A", "B", "C"]
    ended, _ = answer(source, "all.jsonl", *HERE)
    assert ended.code == 0, ended.err
    assert [text_of(made) for made in read_lines(folder / "all.jsonl")] == ["Hi"] * 3
    assert f"--model was used for all lines, also for those that name {', '.join(sorted(names))}" in ended.err


def test_a_line_without_a_model_goes_to_the_configured_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_lines(folder / "in.jsonl", [line(1), line(2, model="ollama/b")])
    ended, sent = answer(source, "out.jsonl", scripts={"ollama/b": [say("B")]})
    assert (ended.code, len(sent)) == (1, 1)
    assert 'The body names no model: add "model" to it, or pass --model.' in ended.err
    monkeypatch.setenv("UNIFIED_LLM_MODEL", "ollama/a")
    ended, _ = answer(source, "out.jsonl", scripts={"ollama/a": [say("A")]})
    assert ended.code == 0, ended.err
    assert [text_of(made) for made in read_lines(folder / "out.jsonl")] == ["A", "B"]


def test_a_target_without_a_key_is_one_error_before_anything_is_sent(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1), line(2)])
    ended, sent = answer(source, "out.jsonl", "--model", "openai/gpt-5-mini")
    assert (ended.code, sent) == (2, [])
    assert "OPENAI_API_KEY" in ended.err
    assert ended.err.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["in.jsonl"]


def test_responses_of_openai_go_to_its_own_endpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lines = [line(1, url="/v1/responses", input="Hello", model="gpt-5-mini"), line(2, model="gpt-5-mini")]
    source = write_lines(folder / "in.jsonl", lines)
    for target in ((), ("--model", "openai/gpt-5-mini"), ("--provider", "openai")):
        formats: list[str] = []
        targets = ScriptedTargets({"openai/gpt-5-mini": [say("Hi")]})
        with targets.running():
            ended = run("batch", str(source), f"out{len(target)}{target[:1]}.jsonl", *target, "--concurrency", "1")
        assert ended.code == 0, ended.err
        formats = [target.format for target in targets.targets]
        assert formats == ["openai_responses", "openai_chat"]


def test_a_fallback_serves_what_the_model_cannot(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(number) for number in range(3)])
    scripts: dict[str, list[Any]] = {MODEL: [Failure("server", 500)], "ollama/b": [say("B")]}
    ended, _ = answer(source, "out.jsonl", *HERE, "--fallback", "ollama/b", scripts=scripts)
    assert ended.code == 0
    assert [text_of(made) for made in read_lines(folder / "out.jsonl")] == ["B"] * 3
    assert "served by ollama/b: 3" in ended.err


def test_more_failures_than_allowed_end_the_run(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(number) for number in range(30)])
    script = [say("A"), *[REFUSED] * 30]
    arguments = (*HERE, "--max-failed", "2", "--concurrency", "1")
    ended, sent = answer(source, "out.jsonl", *arguments, scripts={MODEL: script})
    assert ended.code == 1
    assert "More than 2 lines failed" in ended.err
    assert ended.err.count("\n") == 1
    assert len(sent) < 10
    assert not (folder / "out.jsonl").exists()
    _, sent = answer(source, "out.jsonl", *HERE)
    assert len(sent) == 29, "what was answered is kept"


def test_sampling_options_hold_for_lines_that_set_none(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1), line(2, temperature=1.0, max_tokens=9)])
    _, sent = answer(source, "out.jsonl", *HERE, "-t", "0.5", "--max-tokens", "5", "--concurrency", "1")
    assert [(request.temperature, request.max_tokens) for request in sent] == [(None, None), (1.0, 9)]


def test_rows_have_their_prompt_in_a_column_or_a_template(folder: Path) -> None:
    rows = [{"id": 7, "text": "Hallo {x}", "n": 1}, {"id": 8, "text": "Welt", "n": None, "custom_id": "w"}]
    source = write_lines(folder / "in.jsonl", rows)
    ended, sent = answer(source, "out.jsonl", *HERE, "--column", "text", "--system", "Be brief", "--concurrency", "1")
    assert ended.code == 0, ended.err
    assert [[message.text for message in request.messages] for request in sent] == [
        ["Be brief", "Hallo {x}"],
        ["Be brief", "Welt"],
    ]
    written = read_lines(folder / "out.jsonl")
    assert [(made["id"], made["text"], made["custom_id"]) for made in written] == [
        (7, "Hallo {x}", "line-1"),
        (8, "Welt", "w"),
    ]
    assert text_of(written[0]) == "Hi"

    template = ("--template", "{{{n}}} of {id}: {text}", "--failed", "f.jsonl")
    ended, sent = answer(source, "templated.jsonl", *HERE, *template)
    assert ended.code == 1
    assert [request.messages[0].text for request in sent] == ["{1} of 7: Hallo {x}"]
    [failed] = read_lines(folder / "f.jsonl")
    assert "its column 'n' is empty" in failed["error"]["message"]
    assert failed["text"] == "Welt"


def test_rows_can_be_embedded(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [{"text": "a"}, {"text": "b"}])
    arguments = (*HERE, "--column", "text", "--endpoint", "/v1/embeddings")
    ended, sent = answer(source, "out.jsonl", *arguments)
    assert ended.code == 0, ended.err
    assert sorted(request.texts for request in sent) == [("a",), ("b",)]
    assert read_lines(folder / "out.jsonl")[0]["response"]["body"]["data"][0]["embedding"] == [1.0, 0.0]


def plan(*arguments: str | Path) -> tuple[Ended, dict[str, Any]]:
    ended, sent = answer(*arguments, "--plan", "--json")
    assert sent == []
    return ended, json.loads(ended.out)


def test_a_plan_says_what_would_be_sent(folder: Path) -> None:
    lines = [line(0, "word " * 100, max_tokens=50, n=2), line(1), line(2, url="/v1/completions", prompt=["a", "b"])]
    source = write_lines(folder / "in.jsonl", lines)
    ended, shown = plan(source, "out.jsonl", *HERE, "--rpm", "2", "--tpm", "100")
    assert (ended.code, shown["lines"], shown["answered"], shown["wrong"]) == (0, 3, 0, [])
    [model] = shown["models"]
    assert (model["target"], model["lines"], model["completion_tokens"]) == (MODEL, 3, 100)
    assert 80 < model["prompt_tokens"] < 150
    assert model["lines_without_max_tokens"] == 2
    assert model["minutes"] == pytest.approx((model["prompt_tokens"] + 100) / 100)
    assert [path.name for path in folder.iterdir()] == ["in.jsonl"], "nothing is written"

    shown_text, _ = answer(source, "--plan", *HERE, "--rpm", "2")
    assert shown_text.out.startswith(f"{MODEL}: 3 lines, 3 requests, about ")
    assert "at most 100 tokens out, no limit of tokens out in 2 lines, 1.5 minutes or more\n" in shown_text.out
    assert "3 lines; nothing was sent" in shown_text.err
    answer(source, "out.jsonl", *HERE)
    _, shown = plan(source, "out.jsonl", *HERE)
    assert (shown["answered"], shown["models"]) == (3, [])


def test_the_summary_can_be_json(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1), line(2)])
    ended, _ = answer(source, "out.jsonl", *HERE, "--json")
    shown = json.loads(ended.out)
    assert (shown["done"], shown["served"], shown["by_target"], shown["failed_lines"]) == (2, 2, {MODEL: 2}, 0)
    assert shown["usage"]["prompt_tokens"] == 14
    assert shown["files"]["checkpoint"] == "out.jsonl.checkpoint.jsonl"


def test_no_prompt_and_no_answer_is_shown(folder: Path) -> None:
    source = write_lines(folder / "in.jsonl", [line(1, "SECRET"), line(2, "SECRET", messages="SECRET")])
    ended, _ = answer(source, "out.jsonl", *HERE, "-vv", scripts={MODEL: [say("ANSWER")]})
    assert "SECRET" not in ended.out + ended.err
    assert "ANSWER" not in ended.out + ended.err


def test_a_closed_standard_output_is_noticed_before_anything_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(folder / "in.jsonl", [line(1)])
    monkeypatch.setattr("unified_llm.batch._run.sys.stdout", None)
    with pytest.raises(ValidationError, match="standard output is closed"):
        Files.beside("-").check(str(source))
