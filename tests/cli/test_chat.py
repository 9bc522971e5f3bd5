"""``chat``: the conversation that reaches the model, commands, and answers that fail or are stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest  # noqa: TC002 - as in the other files of tests

from tests.support.command_line import Ended, run
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._client.local_servers import LocalServer
from unified_llm._core.outcome import Failure
from unified_llm.types import ModelInfo

OLLAMA = "ollama/llama3.2"


def chat(
    *lines: str,
    script: list[Any] | None = None,
    options: tuple[str, ...] = (),
    others: Mapping[str, list[Any]] | None = None,
) -> tuple[Ended, Any]:
    """Return how a conversation at a terminal ended, and the conversations that the model got."""
    scripts: dict[str, list[Any]] = {OLLAMA: script or [say("One."), say("Two."), say("Three.")], **(others or {})}
    targets = ScriptedTargets(scripts)
    typed = "".join(f"{line}\n" for line in lines).encode()
    with targets.running():
        ended = run("chat", "-m", OLLAMA, *options, stdin=None, typed=typed, terminal=True)
    assert targets.open == 0
    return ended, [[message.text for message in request.messages] for _, request in targets.asked]


def test_the_model_gets_the_conversation_so_far() -> None:
    ended, asked = chat("Hello", "  ", "And now?", "/exit", options=("--system", "Be brief."))
    assert ended.code == 0
    assert asked == [["Be brief.", "Hello"], ["Be brief.", "Hello", "One.", "And now?"]]
    assert ended.out == ">>> One.\n>>> >>> Two.\n>>> "


def test_each_answer_is_followed_by_who_served_it() -> None:
    scripts: dict[str, list[Any]] = {"ollama/big": [Failure("server", 503)]}
    options = ("-m", "ollama/big", "--fallback", OLLAMA)
    ended, _ = chat("Hello", options=options, others=scripts)
    assert f"unified-llm: served by {OLLAMA} after ollama/big failed (HTTP 503), in " in ended.err
    ended, _ = chat("Hello")
    assert ended.err.splitlines()[1].startswith(f"unified-llm: served by {OLLAMA}, in ")


def test_a_message_of_several_lines_stands_between_quotes() -> None:
    _, asked = chat('"""Hello', "there", '"""', '"""one line"""', '"""', "open")
    assert [conversation[-1] for conversation in asked] == ["Hello\nthere", "one line", "open"]


def test_the_conversation_can_begin_again_with_its_instructions() -> None:
    _, asked = chat("Hello", "/reset", "And now?", options=("-s", "Be brief."))
    assert asked[1] == ["Be brief.", "And now?"]


def test_the_conversation_can_go_on_with_another_model() -> None:
    ended, asked = chat(
        "Hello", "/model ollama/qwen3", "And now?", "/model", "/model nope", others={"ollama/qwen3": [say("Q.")]}
    )
    assert asked[1] == ["Hello", "One.", "And now?"]
    assert ended.err.count("unified-llm: the model is ollama/qwen3\n") == 2
    assert "unified-llm: error: " in ended.err


def test_an_unknown_command_is_not_sent() -> None:
    ended, asked = chat("/rest", "/help", "/etc/hosts is what?")
    assert "unified-llm: error: /rest is no command: did you mean /reset?" in ended.err
    assert "/model  use another model from here on" in ended.out
    assert asked == [["/etc/hosts is what?"]]


def test_an_answer_that_fails_is_reported_and_not_kept() -> None:
    ended, asked = chat("Hello", "Hello?", script=[Failure("auth", 401), say("Here.")])
    assert ended.code == 0
    assert f"unified-llm: error: {OLLAMA}: " in ended.err
    assert asked[-1] == ["Hello?"]


def test_an_interruption_stops_the_answer_and_keeps_its_text() -> None:
    script = [["One ", KeyboardInterrupt()], [KeyboardInterrupt()], say("Three.")]
    ended, asked = chat("Hello", "More", "And now?", script=script)
    assert ended.code == 0
    assert ended.err.count("unified-llm: stopped\n") == 2
    assert asked[1:] == [["Hello", "One ", "More"], ["Hello", "One ", "And now?"]]


def test_a_local_server_can_be_asked_for_whatever_is_configured(
    servers: list[LocalServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIFIED_LLM_MODEL", "openai/gpt-5-mini")
    servers.append(LocalServer("ollama", "http://127.0.0.1:11434/v1", (ModelInfo("llama3.2", "ollama"),), certain=True))
    targets = ScriptedTargets({OLLAMA: [say("One.")]})
    with targets.running():
        ended = run("chat", "--local", stdin=b"Hello\n")
    assert ended == Ended(0, "One.\n", f"unified-llm: using {OLLAMA} at http://127.0.0.1:11434/v1\n")


def test_lines_of_a_pipe_are_messages_and_an_error_ends_it() -> None:
    targets = ScriptedTargets({OLLAMA: [say("One."), Failure("auth", 401)]})
    with targets.running():
        ended = run("chat", "-m", OLLAMA, stdin=b"Hello\nAgain\nNever\n")
    assert (ended.code, ended.out) == (1, "One.\n")
    assert len(targets.asked) == 2
    assert ended.err.count("\n") == 1
    for command in (b"/model nope/x\n", b"/modle ollama/x\n"):
        with ScriptedTargets({OLLAMA: [say("One.")]}).running():
            ended = run("chat", "-m", OLLAMA, stdin=b"Hello\n" + command + b"Never\n")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "One.\n", 1)
