"""``batch``: a file of requests or prompts, answered with limited concurrency, that can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from unified_llm.cli._batch_options import STDOUT, RowOptions, RunOptions, ServiceOptions
from unified_llm.cli._option_names import name_options
from unified_llm.cli._options import SamplingOptions, TargetOptions
from unified_llm.cli._outcome import FAILED, INTERRUPTED
from unified_llm.cli._terminal import Terminal
from unified_llm.exceptions import ValidationError

if TYPE_CHECKING:
    from unified_llm._lib.checkpoint import Checkpoint
    from unified_llm.batch._calls import Calls
    from unified_llm.batch._input import Input
    from unified_llm.batch._plan import ModelPlan, Plan
    from unified_llm.batch._ray_lines import Cluster
    from unified_llm.batch._run import Files, Outcome
    from unified_llm.batch._service_run import ServiceRun

_TERMINATED: Final = 143  # 128 and the number of SIGTERM
_MOST_SHOWN: Final = 20  # lines that are wrong


def batch(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="File of lines; - for standard input.")],
    output: Annotated[
        str | None, typer.Argument(metavar="OUTPUT", help="File of the answers; - for standard output.")
    ] = None,
    *,
    rows: RowOptions,
    run: RunOptions,
    service: ServiceOptions,
    targets: TargetOptions,
    sampling: SamplingOptions,
    terminal: Terminal,
) -> int:
    """Answer a file of requests in OpenAI's batch format, or of rows with a prompt in a column.

    The answers are in OpenAI's batch format, in the order of the input. A run that was interrupted goes on where it was
    when the same command is given again; lines that failed are sent again.
    """
    from unified_llm.batch._input import Input
    from unified_llm.batch._output import check_formats
    from unified_llm.batch._run import Files

    prompts, deadline, cluster = _read_prompts(rows, sampling), service.read_deadline(), _read_cluster(run)
    run.check(output)
    service.check(output, run)
    files = Files.beside(output, run.failed, run.checkpoint)
    files.check(source, service.files_beside(output))
    if output is None and not run.plan:
        raise ValidationError("the output is missing: unified-llm batch INPUT OUTPUT")
    with Input(source, prompts, run.limit) as lines:
        check_formats(lines, (files.output, files.failed))
        lines.check()
        job = _Job(
            lines,
            _make_calls(targets, sampling, terminal, prompts),
            files,
            run,
            terminal,
            service.service is not None,
            deadline,
            cluster,
        )
        return job.show_plan() if run.plan else job.answer()


def _read_prompts(rows: RowOptions, sampling: SamplingOptions) -> Any:
    """Return what makes requests of rows; None for lines in OpenAI's format.

    Raises:
        ValidationError: Options do not fit together.
    """
    from unified_llm.batch._lines import CHAT, COMPLETIONS, EMBEDDINGS, ENDPOINTS
    from unified_llm.batch._prompts import PromptReader
    from unified_llm.batch._template import Template
    from unified_llm.cli._prompt import check_argument

    if rows.column is None and rows.template is None:
        for name, value in (("--system", sampling.system), ("--endpoint", rows.endpoint)):
            if value is not None:
                raise ValidationError(f"{name} is for rows: name the column of the prompts with --column or --template")
        return None
    if rows.endpoint is not None and rows.endpoint not in ENDPOINTS:
        raise ValidationError(f"--endpoint is one of {', '.join(ENDPOINTS)}")
    if rows.column is not None and rows.template is not None:
        raise ValidationError("--template names the columns of the prompt: leave out --column")
    unused = {EMBEDDINGS: ("system", "temperature", "max_tokens"), COMPLETIONS: ("system",)}
    for name in unused.get(rows.endpoint or CHAT, ()):
        if getattr(sampling, name) is not None:
            raise ValidationError(f"{rows.endpoint} takes no --{name.replace('_', '-')}: leave it out")
    column = None if rows.column is None else check_argument(rows.column, "--column")
    template = None if rows.template is None else Template.parse(check_argument(rows.template, "--template"))
    system = None if sampling.system is None else check_argument(sampling.system, "--system")
    return PromptReader(column, template, system, rows.endpoint or CHAT)


def _read_cluster(run: RunOptions) -> Cluster | None:
    """Return the Ray cluster that sends the lines; None where this process does.

    Raises:
        ValidationError: Options do not fit together.
    """
    if run.engine is None:
        if run.address is not None or run.workers is not None:
            raise ValidationError("--address and --workers are for --engine ray")
        return None
    from unified_llm.batch._ray_lines import Cluster

    if run.engine != "ray":
        raise ValidationError("--engine is ray; without it, this process sends the lines")
    if run.workers is not None and run.workers < 1:
        raise ValidationError("--workers must be 1 or greater")
    return Cluster(run.address) if run.workers is None else Cluster(run.address, run.workers)


def _make_calls(targets: TargetOptions, sampling: SamplingOptions, terminal: Terminal, prompts: Any) -> Calls:
    """Return the calls of the targets: those of the command for all lines, or of each line the one that it names."""
    from unified_llm.batch._calls import Calls
    from unified_llm.batch._lines import EMBEDDINGS
    from unified_llm.cli._targets import NAMING_A_TARGET, chain_of, configured_target, fields_of, find_chain

    fields = fields_of(targets, sampling)
    if prompts is not None:
        return Calls(find_chain(targets, terminal, sampling, embeddings=prompts.url == EMBEDDINGS))
    if fields.keys() & NAMING_A_TARGET:
        return Calls(chain_of(fields, targets), names_model=targets.model is not None)
    default = None if configured_target() is None else chain_of(dict(fields), targets)
    return Calls(default, {**fields, "fallbacks": targets.fallback, "skip_unconfigured": targets.skip_unconfigured})


@dataclass(frozen=True)
class _Job:
    """A command that was read."""

    lines: Input
    calls: Calls
    files: Files
    options: RunOptions
    terminal: Terminal
    uses_service: bool = False
    deadline: float | None = None
    cluster: Cluster | None = None

    def answer(self) -> int:
        """Answer the lines, write the files, and say what was done."""
        files, terminal = self.files, self.terminal
        terminated = threading.Event()
        try:
            with _terminated_as_interrupted(terminated):
                outcome = self._run()
        except KeyboardInterrupt:
            if terminal.is_interactive:
                terminal.write("\n")  # after the ^C that it shows
            kept = f"what has arrived is kept in {files.checkpoint}" if files.checkpoint else "no --checkpoint keeps it"
            terminal.note(f"interrupted; {kept}: give the same command again to go on")
            return _TERMINATED if terminated.is_set() else INTERRUPTED
        self._show_outcome(outcome)
        return FAILED if outcome.failed else 0

    def _run(self) -> Outcome:
        from unified_llm.batch._run import Run, open_run

        files, options = self.files, self.options
        with (
            open_run(files, self.lines) as checkpoint,
            self._opened_service(checkpoint) as service,
            Run(self.lines, self.calls, checkpoint, service.collect() if service else None) as run,
        ):
            totals = run.answer(
                concurrency=options.concurrency,
                max_failed=options.max_failed,
                progress=options.progress,
                cluster=self.cluster,
            )
            if service:
                service.collect_late()
            return run.write(files, totals)

    def _opened_service(self, checkpoint: Checkpoint) -> AbstractContextManager[ServiceRun | None]:
        """Return the batches of the run; None where it has calls alone."""
        if not self.uses_service:
            return nullcontext()
        from unified_llm.batch._service_run import open_service

        output, note = str(self.files.output), self.terminal.note
        return open_service(self.lines, self.calls, checkpoint, output, deadline=self.deadline, note=note)

    def _show_outcome(self, outcome: Outcome) -> None:
        from unified_llm.cli._responses import as_json_line

        files, terminal = self.files, self.terminal
        if named := sorted(self.calls.replaced):
            terminal.note(f"--model was used for all lines, also for those that name {', '.join(named)}")
        if self.options.json:
            totals = asdict(outcome.totals)
            terminal.write(as_json_line({**totals, "failed_lines": outcome.failed, "files": asdict(files)}))
        else:
            for line in str(outcome.totals).splitlines():
                terminal.note(line)
        if outcome.first_error is not None:
            location = "on standard output" if files.failed == STDOUT else f"in {files.failed}"
            where = f"they are {location}" if files.failed else "--failed FILE keeps them"
            problem = name_options(str(outcome.first_error["message"]))
            terminal.note(f"{outcome.failed} failed, {where}; the first: {problem}")

    def show_plan(self) -> int:
        """Say what would be sent."""
        from unified_llm.cli._responses import as_json_line

        plan, terminal = self._make_plan(), self.terminal
        if self.options.json:
            terminal.write(as_json_line(plan.as_dict()))
        else:
            for model in plan.models.values():
                terminal.write(f"{_describe(model)}\n")
        answered = f", {plan.answered} of them answered already" if plan.answered else ""
        wrong = f", {len(plan.wrong)} wrong" if plan.wrong else ""
        terminal.note(f"{plan.lines} lines{answered}{wrong}; nothing was sent. Tokens are estimates")
        for number, problem in plan.wrong[:_MOST_SHOWN]:
            terminal.note(f"line {number}: {name_options(problem)}")
        if len(plan.wrong) > _MOST_SHOWN:
            terminal.note(f"... and {len(plan.wrong) - _MOST_SHOWN} more lines; --json lists them all")
        return FAILED if plan.wrong else 0

    def _make_plan(self) -> Plan:
        from unified_llm._client.checkpoints import open_checkpoint
        from unified_llm.batch._plan import make_plan
        from unified_llm.batch._service_run import check_service_line

        path, check = self.files.checkpoint, check_service_line if self.uses_service else _accept
        if path is None or not Path(path).exists():
            return make_plan(self.lines.lines(), self.calls, None, check)
        with open_checkpoint(path) as checkpoint:
            return make_plan(self.lines.lines(), self.calls, checkpoint, check)


def _accept(_: object) -> None:
    """Accept a call."""


@contextmanager
def _terminated_as_interrupted(terminated: threading.Event) -> Generator[None]:
    """Let SIGTERM end the block as Ctrl-C does, and note that it came: Ray raises a KeyboardInterrupt of its own."""

    def end(*_: object) -> None:
        terminated.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _describe(model: ModelPlan) -> str:
    """Say what a target would get."""
    parts = [f"{model.lines:,} lines", f"{model.requests:,} requests", f"about {model.prompt_tokens:,} tokens in"]
    if model.completion_tokens:
        parts.append(f"at most {model.completion_tokens:,} tokens out")
    if model.unlimited:
        parts.append(f"no limit of tokens out in {model.unlimited:,} lines")
    if model.minutes is not None:
        parts.append(f"{model.minutes:,.1f} minutes or more")
    return f"{model.target}: {', '.join(parts)}"
