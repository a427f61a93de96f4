"""The command line: `oddlog COMMAND`. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from oddlog.errors import OddlogError, UserError

INTERRUPTED = 130  # 128 + SIGINT, as shells expect


class InterruptedByUserError(UserError):
    """Ctrl-C."""

    exit_code = INTERRUPTED


def main() -> NoReturn:
    """Run the command line and exit: 0 it ran, 3 something is odd, 2 the user's mistake, 1 ours."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from oddlog.cli.app import app

        app()
    except OddlogError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        full = " Free some space, or set TMPDIR to a larger place." if error.errno == errno.ENOSPC else ""
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.{full}", 2)
    except MemoryError:
        _fail("There is not enough memory. Give fewer files at a time, or --since and --until.", 2)
    except Exception as error:
        if debug:
            raise
        said = " ".join(str(error).split())[:300]
        _fail(
            f"Something went wrong in oddlog itself: {type(error).__name__}: {said}. Please report it with --debug.", 1
        )
    sys.exit(0)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise InterruptedByUserError("Interrupted.", "Nothing half-written was left.")


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"oddlog: {message}\n")
    sys.exit(code)
