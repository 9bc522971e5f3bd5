"""``generate``: one prompt, one response."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unified_llm.cli._options import SamplingOptions, TargetOptions
from unified_llm.cli._terminal import Terminal

if TYPE_CHECKING:
    from unified_llm._client.client import LLMClient
    from unified_llm.types.messages import Message


@dataclass(frozen=True)
class AttachmentOptions:
    """What goes along with the text of a prompt."""

    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="PATH", help="Add a text file or a PDF to the prompt. Can be repeated."),
    ] = None
    image: Annotated[
        list[str] | None,
        typer.Option("--image", "-i", metavar="PATH", help="Add an image, by its path or URL. Can be repeated."),
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """How the response is printed."""

    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Print the response while it arrives. [default: on a terminal]"),
    ] = None
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; with --stream one for each chunk, a line each.")
    ] = False

    def streams(self, terminal: Terminal) -> bool:
        """Return whether to stream: as asked for, else where a person reads."""
        return terminal.is_interactive and not self.as_json if self.stream is None else self.stream


def generate(
    prompt: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", hidden=True),
    ] = None,
    *,
    attachments: AttachmentOptions,
    targets: TargetOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
    terminal: Terminal,
) -> None:
    """Send a prompt and print the response.

    The words of PROMPT are joined. - stands for standard input, which is the prompt where none is given.
    """
    from unified_llm.cli._prompt import is_unread, read_messages
    from unified_llm.cli._targets import open_client

    messages = read_messages(prompt or (), attachments.file or (), attachments.image or (), sampling.system)
    with open_client(targets, terminal, sampling) as client:
        if output.streams(terminal):
            _print_stream(client, messages, terminal, as_json=output.as_json)
        else:
            _print_response(client, messages, terminal, as_json=output.as_json)
    if is_unread():
        terminal.note("standard input was not read: add - to the command to make it a part of the prompt")


def _print_response(client: LLMClient, messages: list[Message], terminal: Terminal, *, as_json: bool) -> None:
    from unified_llm.cli._responses import as_json_line, note_response, response_as_dict

    response = client.generate(messages)
    terminal.write(as_json_line(response_as_dict(response)) if as_json else response.content or response.refusal or "")
    terminal.end_line()
    note_response(response, terminal)


def _print_stream(client: LLMClient, messages: list[Message], terminal: Terminal, *, as_json: bool) -> None:
    from unified_llm.cli._responses import as_json_line, chunk_as_dict, note_response

    with client.stream(messages) as stream:
        for chunk in stream:
            terminal.write(as_json_line(chunk_as_dict(chunk)) if as_json else chunk.content or chunk.refusal)
            if chunk.finish_reason is not None:
                terminal.end_line()
                note_response(chunk, terminal)
