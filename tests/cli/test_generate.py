"""``generate``: what reaches the model, what is printed, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Ended, run
from tests.support.each import each
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._client.local_servers import LocalServer
from unified_llm._core.outcome import Done, Failure
from unified_llm.types import LLMChunk, LLMRequest, ModelInfo

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
OLLAMA = "ollama/llama3.2"


def generate(
    *arguments: str, scripts: Mapping[str, Sequence[Any]] | None = None, **streams: Any
) -> tuple[Ended, list[Any]]:
    """Return how ``generate`` ended with scripted targets, and the requests that these got."""
    targets = ScriptedTargets(scripts or {OLLAMA: [say("Paris.")]})
    with targets.running():
        ended = run("generate", *arguments, **streams)
    assert targets.open == 0
    return ended, [request for _, request in targets.asked]


def prompt_of(requests: list[Any]) -> str:
    request = requests[-1]
    assert isinstance(request, LLMRequest)
    return request.messages[-1].text


def test_a_response_is_all_that_standard_output_has() -> None:
    ended, _ = generate("-m", OLLAMA, "Capital of France?")
    assert ended == Ended(0, "Paris.\n", "")


def test_options_reach_the_request() -> None:
    options = ["--provider", "ollama", "--model", "llama3.2", "-t", "0.5", "--max-tokens", "9", "--timeout", "3"]
    _, [request] = generate(*options, "--system", "Be brief.", "Capital", "of", "France?")
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be brief."),
        ("user", "Capital of France?"),
    ]


def test_the_prompt_comes_from_arguments_standard_input_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\n", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes("zweite Datei: Gr\u00fc\u00dfe\r\n".encode("utf-16"))
    a, b = str(tmp_path / "a.txt"), str(tmp_path / "b.txt")
    cases: list[tuple[list[str], bytes, str]] = [
        (["Hello", "there"], b"not read", "Hello there"),
        ([], b"from a pipe\n", "from a pipe"),
        (["-"], "\ufeffGr\u00fc\u00dfe".encode(), "Gr\u00fc\u00dfe"),
        (["Summarize:", "-"], b"a text", "Summarize:\n\na text"),
        (["-f", a], b"not read", "first"),
        (["Compare", "-f", a, "--file", b], b"", "Compare\n\nfirst\n\nzweite Datei: Gr\u00fc\u00dfe"),
        (["Look:", "-f", "-"], b"a text", "Look:\n\na text"),
        (["--", "--not-an-option"], b"", "--not-an-option"),
    ]
    for arguments, stdin, expected in cases:
        ended, requests = generate("-m", OLLAMA, *arguments, stdin=stdin)
        assert (ended.code, prompt_of(requests)) == (0, expected), arguments


def test_images_and_documents_become_parts_of_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 ...")
    image, document = str(tmp_path / "photo.png"), str(tmp_path / "report.pdf")
    scripts = {"gemini/gemini-2.5-flash": [say("A cat.")]}
    monkeypatch.setenv("GEMINI_API_KEY", "k-1234567890")
    arguments = ["-m", "gemini/gemini-2.5-flash", "-i", image, "-f", document, "What is this?"]
    ended, [request] = generate(*arguments, scripts=scripts)
    assert ended.out == "A cat.\n"
    assert [type(part).__name__ for part in request.messages[0].content] == ["TextPart", "FilePart", "ImagePart"]


def test_a_prompt_that_cannot_be_read_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "null.bin").write_bytes(b"a\0b")
    cases: list[tuple[list[str], bytes | None, str]] = [
        ([], None, "there is no prompt: give it as an argument, with --file, or on standard input"),
        ([], b"", "the prompt is empty"),
        ([" "], b"", "the prompt is empty"),
        (["-"], b"\xff", "standard input is no text in UTF-8 (byte 0)"),
        (["-f", str(tmp_path / "latin.txt")], b"", "latin.txt is no text in UTF-8 (byte 3): convert it"),
        (["-f", str(tmp_path / "null.bin")], b"", "null.bin is no text: it holds NUL characters"),
        (["-f", str(tmp_path / "none.txt")], b"", "none.txt cannot be read: No such file or directory"),
        (["-f", str(tmp_path)], b"", "cannot be read: Is a directory"),
        (["Look", "-i", str(tmp_path / "latin.txt")], b"", ""),
        (["caf\udce9"], b"", "the prompt has bytes that are no text in UTF-8"),
        (["-s", "caf\udce9", "x"], b"", "--system has bytes that are no text in UTF-8"),
    ]
    for arguments, stdin, problem in cases:
        ended, requests = generate("-m", OLLAMA, *arguments, stdin=stdin)
        assert (ended.code, ended.out, requests) == (2, "", []), arguments
        assert ended.err.startswith("unified-llm: error: "), ended.err
        assert ended.err.count("\n") == 1
        assert problem in ended.err


def test_a_terminal_gets_the_response_while_it_arrives() -> None:
    _, [request] = generate("-m", OLLAMA, "Hi", terminal=True)
    assert request.stream
    assert not generate("-m", OLLAMA, "Hi", "--no-stream", terminal=True)[1][0].stream
    assert generate("-m", OLLAMA, "Hi", "--stream")[1][0].stream


def test_json_is_one_object() -> None:
    ended, _ = generate("-m", OLLAMA, "Hi", "--json")
    shown = json.loads(ended.out)
    assert ended.out.count("\n") == 1
    assert (shown["content"], shown["model"], shown["provider"]) == ("Paris.", "llama3.2", "ollama")
    assert (shown["finish_reason"], shown["usage"]["total_tokens"], shown["used_fallback"]) == ("stop", 10, False)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["ok"]


def test_json_of_a_stream_is_one_object_for_each_chunk() -> None:
    ended, _ = generate("-m", OLLAMA, "Hi", "--json", "--stream", scripts={OLLAMA: [say("Paris, of course.")]})
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert "".join(line["content"] for line in lines) == "Paris, of course."
    assert [line["finish_reason"] for line in lines if "finish_reason" in line] == ["stop"]
    assert lines[-1]["attempts"][0]["target"] == OLLAMA


def test_a_fallback_that_served_is_named_on_standard_error() -> None:
    scripts: dict[str, list[Any]] = {"ollama/llama2": [Failure("server", 503)], OLLAMA: [say("Paris.")]}
    arguments = ["-m", "ollama/llama2", "--fallback", OLLAMA, "Hi"]
    for stream in ("--stream", "--no-stream"):
        ended, _ = generate(*arguments, stream, scripts=scripts)
        assert ended.out == "Paris.\n"
        assert ended.err.startswith(f"unified-llm: served by {OLLAMA} after ollama/llama2 failed (HTTP 503), in ")
        assert ended.err.count("\n") == 1, "the log says no more"


def test_an_answer_that_was_cut_is_noted() -> None:
    ended, _ = generate("-m", OLLAMA, "Hi", scripts={OLLAMA: [say("Par", finish_reason="length")]})
    assert ended == Ended(
        0, "Par\n", "unified-llm: the response was cut: it reached the limit of tokens (--max-tokens)\n"
    )


def test_a_call_that_failed_is_one_line_and_exit_code_1() -> None:
    one, _ = generate("-m", OLLAMA, "Hi", scripts={OLLAMA: [Failure("auth", 401)]})
    assert (one.code, one.out) == (1, "")
    assert one.err.startswith(f"unified-llm: error: {OLLAMA}: ")
    scripts: dict[str, list[Any]] = {
        "ollama/a": [Failure("server", 503)],
        "ollama/b": [Failure("model_not_found", 404)],
    }
    several, _ = generate("-m", "ollama/a", "--fallback", "ollama/b", "Hi", scripts=scripts)
    assert several.code == 1
    assert several.err.startswith("unified-llm: error: None of 2 targets answered: ollama/a: ")
    assert (one.err + several.err).count("\n") == 2


def test_a_stream_that_breaks_leaves_its_text_and_exit_code_1() -> None:
    ended, _ = generate("-m", OLLAMA, "Hi", "--stream", scripts={OLLAMA: [["Par", Failure("connection")]]})
    assert (ended.code, ended.out) == (1, "Par")
    assert "the stream broke after it had begun" in ended.err


@each(
    "arguments",
    [
        (["--modle", "x"], "--model"),
        (["-t", "warm", "Hi"], "Invalid value for '--temperature' / '-t'"),
        (["-m", "gpt-5-mini", "Hi"], "did you mean openai/gpt-5-mini?"),
        (["-m", "olama/llama3.2", "Hi"], "ollama"),
        (["-m", OLLAMA, "--timeout", "nan", "Hi"], "timeout"),
        (["-m", OLLAMA, "--max-tokens", "0", "Hi"], "max_tokens"),
        (["-m", OLLAMA, "-u", "ftp://x", "Hi"], "The URL from --base-url must begin"),
        (["-m", "openai/gpt-5-mini", "Hi"], "set OPENAI_API_KEY or pass --api-key-env"),
        (["-p", "openai", "-u", "http://127.0.0.1:9", "Hi"], "openai is given without a model: pass --model gpt-"),
        (["Hi"], "or try --model mlx/demo"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(arguments: tuple[list[str], str]) -> None:
    ended, requests = generate(*arguments[0])
    assert (ended.code, ended.out, requests) == (2, "", [])
    assert ended.err.startswith("unified-llm: error: ")
    assert arguments[1] in ended.err
    assert ended.err.count("\n") == 1


def test_a_local_server_without_a_model_in_the_command_answers_with_its_first_one() -> None:
    models = tuple(ModelInfo(name, "ollama") for name in ("nomic-embed-text", "llama3.2", "qwen3"))
    scripts: dict[str, list[Any]] = {"ollama": [[Done((models, None))]], OLLAMA: [say("Hello!")]}
    ended, _ = generate("--provider", "ollama", "Test message", scripts=scripts)
    note = f"unified-llm: using {OLLAMA}, the first of its 2 models; --model chooses another\n"
    assert ended == Ended(0, "Hello!\n", note)


def test_a_server_of_this_machine_by_its_address_answers_with_its_first_model() -> None:
    models = tuple(ModelInfo(name, "openai-compatible") for name in ("bge-m3", "llama3.2"))
    scripts: dict[str, list[Any]] = {
        "openai-compatible": [[Done((models, None))]],
        "openai-compatible/llama3.2": [say("Hi.")],
    }
    ended, _ = generate("-u", "http://127.0.0.1:8080", "Hello", scripts=scripts)
    assert (ended.out, ended.err) == ("Hi.\n", "unified-llm: using openai-compatible/llama3.2\n")
    ended, _ = generate("-u", "https://llm.example", "Hello", scripts={})
    assert (ended.code, "is given without a model: pass --model" in ended.err) == (2, True)


def test_a_local_server_that_has_no_model_says_so() -> None:
    ended, _ = generate("-p", "ollama", "Hi", scripts={"ollama": [[Done(((), None))]]})
    assert ended.code == 2
    assert "ollama has no model for chat yet: load or pull one, or pass --model" in ended.err


def test_the_model_of_the_environment_is_used_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_MODEL", OLLAMA)
    assert generate("Hi")[0] == Ended(0, "Paris.\n", "")


def test_a_local_server_that_runs_answers_where_no_model_is_named(servers: list[LocalServer]) -> None:
    unsure = LocalServer("vllm", "http://127.0.0.1:8000/v1", (ModelInfo("m", "vllm"),), certain=False)
    embeds = LocalServer("ollama", "http://127.0.0.1:1/v1", (ModelInfo("nomic-embed-text", "ollama"),), certain=True)
    names = ("llama3.2", "qwen3")
    sure = LocalServer(
        "ollama", "http://127.0.0.1:11434/v1", tuple(ModelInfo(name, "ollama") for name in names), certain=True
    )
    servers[:] = [embeds, sure, unsure]
    ended, _ = generate("Hi")
    where = "at http://127.0.0.1:11434/v1, the first of its 2 models; --model chooses another"
    assert ended == Ended(0, "Paris.\n", f"unified-llm: using {OLLAMA} {where}\n")
    servers[:] = [unsure]
    ended, requests = generate("Hi")
    assert (ended.code, requests) == (2, [])
    assert "use what answers at http://127.0.0.1:8000/v1 with --provider vllm" in ended.err
    servers[:] = [LocalServer("ollama", "http://127.0.0.1:11434/v1", (), certain=True)]
    assert "load or pull a model at ollama, which runs at http://127.0.0.1:11434/v1" in generate("Hi")[0].err
    servers.append(unsure)
    assert "at http://127.0.0.1:11434/v1, use what answers at http://127.0.0.1:8000/v1 with" in generate("Hi")[0].err


def test_a_key_comes_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["-m", "openai/gpt-5-mini", "--api-key-env", "MY_GATEWAY_KEY", "Hi"]
    scripts: dict[str, list[Any]] = {"openai/gpt-5-mini": [say("Hi.")]}
    ended, _ = generate(*arguments, scripts=scripts)
    assert ended.code == 2
    assert "MY_GATEWAY_KEY" in ended.err
    monkeypatch.setenv("MY_GATEWAY_KEY", "sk-1234567890abcdef")
    assert generate(*arguments, scripts=scripts)[0] == Ended(0, "Hi.\n", "")


def test_a_key_in_the_wrong_place_is_not_repeated() -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    for arguments in (
        ["-m", key],
        ["-p", key],
        ["--api-key-env", key, "-m", OLLAMA],
        ["--fallback", key, "-m", OLLAMA],
    ):
        ended, _ = generate(*arguments, "Hi")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert key not in ended.err
    assert key not in run(key).err
    assert "not the API key itself" in generate("--api-key-env", key, "-m", OLLAMA, "Hi")[0].err


def test_control_characters_of_a_response_do_not_reach_a_terminal() -> None:
    text = "a\x1b]0;title\x07b\x1b[2Jc\r\nd\te\x9b1mf"
    script = {OLLAMA: [[text, Done(LLMChunk(finish_reason="stop"))]]}
    ended, _ = generate("-m", OLLAMA, "Hi", terminal=True, scripts=script)
    assert ended.out == "a\u241b]0;title\u2407b\u241b[2Jc\nd\te\ufffd1mf\n"
    assert generate("-m", OLLAMA, "Hi", "--stream", scripts=script)[0].out == text + "\n", "a pipe gets it as it is"


def test_what_the_encoding_of_the_output_lacks_is_replaced() -> None:
    script = {OLLAMA: [say("caf\u00e9 \u2713 \ud800")]}
    assert generate("-m", OLLAMA, "Hi", encoding="cp1252", scripts=script)[0].out == "caf\u00e9 ? ?\n"
    assert generate("-m", OLLAMA, "Hi", scripts=script)[0].out == "caf\u00e9 \u2713 ?\n"
    ended = generate("-m", OLLAMA, "Hi", "--json", encoding="cp1252", scripts=script)[0]
    assert json.loads(ended.out)["content"] == "caf\u00e9 \u2713 \ud800"


def test_colours_are_for_terminals_and_as_the_environment_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_styled(**variables: str) -> tuple[bool, bool]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            errors = [generate("--modle", "x", terminal=terminal)[0].err for terminal in (False, True)]
        return "\x1b[" in errors[0], "\x1b[" in errors[1]

    assert is_styled() == (False, True)
    assert is_styled(TERM="dumb") == (False, False)
    assert is_styled(NO_COLOR="1") == (False, False)
    assert is_styled(NO_COLOR="1", FORCE_COLOR="1") == (False, False)
    assert is_styled(FORCE_COLOR="1") == (True, True)


def test_verbose_shows_the_log_and_who_served() -> None:
    ended, _ = generate("-v", "-m", OLLAMA, "Hi")
    assert f"unified-llm: served by {OLLAMA}, in " in ended.err
    assert ended.err.rstrip().endswith("7 tokens in and 3 out")
    assert f"unified-llm: {OLLAMA}: answered" in generate("-vv", "-m", OLLAMA, "Hi")[0].err


def test_verbose_shows_what_the_provider_says() -> None:
    scripts = {OLLAMA: [Failure("bad_request", 400, detail="num_ctx is too large")]}
    quiet, _ = generate("-m", OLLAMA, "Hi", scripts=scripts)
    assert "--verbose shows the provider's message" in quiet.err
    assert "num_ctx" not in quiet.err
    assert "num_ctx is too large" in generate("-v", "-m", OLLAMA, "Hi", scripts=scripts)[0].err


def test_an_interruption_ends_without_a_word_and_exit_code_130() -> None:
    scripts: list[list[Any]] = [[KeyboardInterrupt()], ["Par", KeyboardInterrupt()]]
    for script in scripts:
        ended, _ = generate("-m", OLLAMA, "Hi", "--stream", scripts={OLLAMA: [script]})
        assert (ended.code, ended.err) == (130, "")


def test_a_defect_is_one_line_without_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    script = {OLLAMA: [[RuntimeError("secret")]]}
    for arguments, lines in (([], 1), (["-vv"], 20)):
        ended, _ = generate("-m", OLLAMA, "Hi", *arguments, scripts=script)
        assert ended.code == 1
        assert ended.err.count("\n") >= lines
    quiet, _ = generate("-m", OLLAMA, "Hi", scripts=script)
    assert "unexpected RuntimeError; this is a defect" in quiet.err
    assert "secret" not in quiet.err
    assert "Traceback" not in quiet.err
