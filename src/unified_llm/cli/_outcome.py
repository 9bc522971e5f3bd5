"""How a command ends: the line about an exception, and the exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from unified_llm import exceptions as exc
from unified_llm.cli._option_names import name_options
from unified_llm.cli._terminal import Terminal

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
_ISSUES: Final = "https://github.com/unified-llm/unified-llm/issues"
# Errors of the arguments or the configuration, which the same command brings again. The others are of the call.
_USAGE_ERRORS: Final = (exc.ConfigurationError, exc.ValidationError)
_OF_A_CALL: Final = (exc.BadRequestError, exc.ContextOverflowError)


def run_guarded(action: Callable[[], int | None], terminal: Terminal) -> int:
    """Run a command, and return its exit code.

    Whatever it raises becomes one line on standard error; with ``-vv`` the traceback follows. Ctrl-C, and a reader of
    standard output that is gone, end it without a line.
    """
    try:
        code = action() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        if terminal.is_interactive:
            with suppress(OSError):
                terminal.write("\n")  # after the ^C that it shows
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return 0
    except Exception as error:  # noqa: BLE001 - a user gets one line, whatever it is
        return _report(error, terminal)
    return code


def _report(error: Exception, terminal: Terminal) -> int:
    line, code = describe(error)
    with suppress(OSError):
        terminal.error(line)
        if terminal.verbosity >= 2 and sys.stderr is not None:
            traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, OSError):  # standard output may be what failed
        _discard_output()
    return code


def describe(error: Exception) -> tuple[str, int]:
    """Return the line about an exception, and the exit code."""
    if isinstance(error, exc.LLMError):
        is_usage = isinstance(error, _USAGE_ERRORS) and not isinstance(error, _OF_A_CALL)
        return name_options(str(error)), USAGE if is_usage else FAILED
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EIO, errno.EBADF}:
        where = error.filename if isinstance(error.filename, str) else "the output"
        return f"{where} cannot be written: {error.strerror}", FAILED
    if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str):
        return f"{error.filename} cannot be used: {error.strerror}", FAILED
    kind = type(error).__name__
    return f"unexpected {kind}; this is a defect: run it again with -vv and report the output at {_ISSUES}", FAILED


def _discard_output() -> None:
    """Send what is left in the buffer of standard output nowhere: its flush at exit would print an error."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
