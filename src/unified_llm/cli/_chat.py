"""``chat``: a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from unified_llm.cli._options import SamplingOptions, TargetOptions
from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm.exceptions import LLMError
    from unified_llm.types.messages import Message
    from unified_llm.types.responses import LLMChunk

_PROMPT: Final = ">>> "
_MORE: Final = "... "
_QUOTES: Final = '"""'
_COMMANDS: Final = {
    "/model": "use another model from here on: /model provider/model",
    "/reset": "forget the conversation so far",
    _QUOTES: "begin a message of several lines, and end it with the same",
    "/help": "list the commands",
    "/exit": "end; so does Ctrl-D",
}


def chat(
    *,
    targets: TargetOptions,
    sampling: SamplingOptions,
    local: Annotated[
        bool, typer.Option("--local", help="Use the model of a server that runs on this machine.")
    ] = False,
    terminal: Terminal,
) -> None:
    """Talk to a model.

    It gets the whole conversation with each message. Ctrl-C stops an answer, and ends the program where none is on its
    way.
    """
    conversation = Conversation(targets, sampling, terminal, local=local)
    if terminal.is_interactive:
        terminal.note(f"chatting with {conversation.model}; /help lists the commands")
    for text in _Messages(terminal):
        if not conversation.take(text):
            break


class Conversation:
    """The messages so far, and the client that gets them."""

    def __init__(
        self, targets: TargetOptions, sampling: SamplingOptions, terminal: Terminal, *, local: bool = False
    ) -> None:
        from unified_llm.types.messages import Message

        self._targets, self._sampling, self._terminal = targets, sampling, terminal
        self._client = self._open(targets, local=local)
        self._instructions = [] if sampling.system is None else [Message.system(sampling.system)]
        self._messages: list[Message] = list(self._instructions)

    def _open(self, targets: TargetOptions, *, local: bool = False) -> LLMClient:
        from unified_llm.cli._targets import open_client

        return open_client(targets, self._terminal, self._sampling, local=local)

    @property
    def model(self) -> str:
        """The first target."""
        return self._client.targets[0].name

    def take(self, text: str) -> bool:
        """Carry out a command, or answer a message. Returns whether the conversation goes on."""
        name, _, argument = text.strip().partition(" ")
        if not text.strip():
            return True
        if name.startswith("/") and name[1:].isalpha():
            return self._carry_out(name.lower(), argument.strip())
        self._answer(text)
        return True

    def _carry_out(self, name: str, argument: str) -> bool:
        from unified_llm._lib.close_names import closest
        from unified_llm.exceptions import ValidationError

        match name:
            case "/exit" | "/quit" | "/bye":
                return False
            case "/reset":
                self._messages = list(self._instructions)
                self._terminal.note("the conversation begins again")
            case "/model":
                self._use_model(argument)
            case "/help":
                self._terminal.show_table((), list(_COMMANDS.items()))
            case _:
                near = closest(name, _COMMANDS)
                advice = f"did you mean {near}?" if near else "/help lists the commands"
                self._show(ValidationError(f"{name} is no command: {advice}"))
        return True

    def _use_model(self, model: str) -> None:
        """Send the rest of the conversation to another model, or name the present one."""
        from unified_llm.exceptions import LLMError

        if model:
            try:
                client = self._open(replace(self._targets, model=model, provider=None, base_url=None, api_key_env=None))
            except LLMError as error:
                self._show(error)
                return
            self._client.close()
            self._client = client
        self._terminal.note(f"the model is {self.model}")

    def _answer(self, text: str) -> None:
        """Stream the answer to a message. One that fails is not kept; of one that is stopped its text so far."""
        from unified_llm.cli._prompt import check_argument
        from unified_llm.exceptions import LLMError
        from unified_llm.types.messages import Message

        try:
            question = Message.user(check_argument(text, "the message"))
            answer = self._stream([*self._messages, question])
        except LLMError as error:
            self._show(error)
        else:
            self._messages += [question, answer] if answer else []

    def _stream(self, messages: list[Message]) -> Message | None:
        from unified_llm.cli._responses import note_response
        from unified_llm.types.messages import Message

        last: LLMChunk | None = None
        with self._client.stream(messages) as stream:
            try:
                for last in stream:
                    self._terminal.write(last.content or last.refusal)
            except KeyboardInterrupt:
                if not self._terminal.is_interactive:
                    raise
                self._terminal.write("\n")  # after the ^C that the terminal shows
                self._terminal.note("stopped")
                return Message.assistant(stream.partial) if stream.partial else None
        self._terminal.end_line()
        if last is None:
            return None
        note_response(last, self._terminal, always=self._terminal.is_interactive)
        return replace(Message.assistant(stream.partial), provider_state=last.provider_state)

    def _show(self, error: LLMError) -> None:
        """Print an error. In a pipe it ends the conversation: the lines that follow were written for another course."""
        from unified_llm.cli._outcome import describe

        if not self._terminal.is_interactive:
            raise error
        self._terminal.error(describe(error)[0])


class _Messages:
    """Reads what the user types: lines, and texts of several lines between three quotes."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._prompts = terminal.is_interactive and sys.stdin is not None and sys.stdin.isatty()
        if self._prompts:
            with suppress(ImportError):  # Windows has none
                import readline  # it makes input() edit lines and remember them

                if "libedit" not in (readline.__doc__ or ""):
                    # Several lines that are pasted are one message, rather than one each.
                    readline.parse_and_bind("set enable-bracketed-paste on")

    def __iter__(self) -> Iterator[str]:
        """Yield the messages until the end of the input."""
        with suppress(EOFError):
            while True:
                line = self._line(_PROMPT)
                yield self._block(line) if line.lstrip().startswith(_QUOTES) else line

    def _block(self, line: str) -> str:
        lines = [line.lstrip().removeprefix(_QUOTES)]
        with suppress(EOFError):
            while not lines[-1].rstrip().endswith(_QUOTES):
                lines.append(self._line(_MORE))
        return "\n".join(lines).rstrip().removesuffix(_QUOTES).strip("\n")

    def _line(self, prompt: str) -> str:
        if not self._prompts:
            return self._line_of_pipe()
        try:
            return input(prompt)
        except EOFError:
            self._terminal.write("\n")
            raise

    def _line_of_pipe(self) -> str:
        from unified_llm.cli._prompt import decode

        data = b"" if sys.stdin is None else sys.stdin.buffer.readline()
        if not data:
            raise EOFError
        return decode(data, "standard input").rstrip("\r\n")
