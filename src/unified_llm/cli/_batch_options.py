"""Options of ``batch``: rows in place of lines, how a run goes, and batches of the provider in place of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from unified_llm.cli._completion import complete_endpoint
from unified_llm.exceptions import ValidationError

STDOUT: Final = "-"
"""Standard output, as the name of a file."""
_LENGTH_OF_TIME: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", re.ASCII)
_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST_DEADLINE: Final = 30 * 86_400.0


@dataclass(frozen=True)
class RowOptions:
    """Rows with a prompt in a column, in place of lines in OpenAI's format."""

    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="Column of the prompts, of rows with any columns.")
    ] = None
    template: Annotated[
        str | None,
        typer.Option(
            "--template", metavar="TEXT", help="Prompt of each row, with columns in braces: 'Translate: {text}'."
        ),
    ] = None
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", metavar="PATH", autocompletion=complete_endpoint,
            help="Where the prompts are sent. [default: /v1/chat/completions]",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class RunOptions:
    """How a run goes."""

    concurrency: Annotated[int, typer.Option("--concurrency", metavar="N", help="The most calls at once.")] = 20
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Read the first N lines alone.")] = None
    max_failed: Annotated[
        int | None, typer.Option("--max-failed", metavar="N", help="End the run when more lines have failed.")
    ] = None
    failed: Annotated[
        str | None,
        typer.Option(
            "--failed", metavar="FILE", help="Where lines that failed go. [default: OUTPUT with .failed in it]"
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="Where answers are kept. [default: OUTPUT.checkpoint.jsonl]"),
    ] = None
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="Show a bar. [default: on a terminal]", show_default=False),
    ] = None
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="ray", help="What sends the lines. [default: this process]")
    ] = None
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help="The Ray cluster. [default: RAY_ADDRESS]")
    ] = None
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Workers on Ray, each with --concurrency. [default: 2]")
    ] = None
    plan: Annotated[
        bool, typer.Option("--plan", help="Send nothing: count lines, tokens and minutes, and name wrong lines.")
    ] = False
    json: Annotated[bool, typer.Option("--json", help="Print the plan or the summary as one JSON object.")] = False

    def check(self, output: str | None) -> None:
        """Refuse what is wrong, before anything is sent or waited for.

        Raises:
            ValidationError: A number is too small, or the summary has no place.
        """
        from unified_llm._client.read_request import check_whole_number

        check_whole_number("--concurrency", self.concurrency, 1)
        check_whole_number("--limit", self.limit, 1)
        check_whole_number("--max-failed", self.max_failed, 0)
        if self.json and STDOUT in {output, self.failed} and not self.plan:
            raise ValidationError("--json prints to standard output, which has lines already: name a file for these")


@dataclass(frozen=True)
class ServiceOptions:
    """Batches of the provider in place of calls."""

    service: Annotated[
        str | None,
        typer.Option("--service", metavar="NAME", help="batch: use the batch service of the provider, not calls."),
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="TIME",
            help="With --service: cancel the batch then, and call for the rest: 2h, 30m.",
        ),
    ] = None

    def read_deadline(self) -> float | None:
        """Return the deadline in seconds.

        Raises:
            ValidationError: It is no length of time, or there is no service; or there is no such service.
        """
        if self.service not in {None, "batch"}:
            raise ValidationError("--service has one value: batch")
        if self.deadline is None:
            return None
        if self.service is None:
            raise ValidationError("--deadline is for --service batch: --timeout bounds a call")
        match = _LENGTH_OF_TIME.fullmatch(self.deadline)
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if not 0 < seconds < _LONGEST_DEADLINE:
            raise ValidationError("--deadline is a length of time up to 30 days: 2h, 90m, 45s or 1d")
        return seconds

    def check(self, output: str | None, run: RunOptions) -> None:
        """Refuse options that do not fit to a service.

        Raises:
            ValidationError: There are such options.
        """
        from unified_llm._lib.whole_file import is_stream

        if self.service is None or output is None:
            return
        if output == STDOUT or is_stream(output):
            raise ValidationError(f"--service keeps its batches beside the output: name a file for it, not {output}")
        if run.engine is not None and self.deadline is None:
            raise ValidationError("--engine sends calls, and --service sends none without --deadline: leave one out")

    def files_beside(self, output: str | None) -> Mapping[str, str]:
        """Return the files that a service has beside the output, by what they are."""
        from unified_llm.batch._service_run import files_beside

        return files_beside(output) if self.service and output else {}
