"""The command line: `oddlog COMMAND`. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import tempfile
import time
from types import FrameType
from typing import NoReturn

from oddlog.errors import OddlogError

BY_SIGNAL = 128  # what shells add to the number of the signal that ended a command
CLEANING_S = 2.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class StoppedError(BaseException):
    """Ctrl-C, or somebody ended this process: no error to be handled by anything but the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = BY_SIGNAL + number
        self.message = "Interrupted." if number == signal.SIGINT else f"Stopped by {signal.Signals(number).name}."


def main() -> NoReturn:
    """Run the command line and exit: 0 it ran, 3 something is odd, 2 the user's mistake, 1 ours, 130 Ctrl-C."""
    stop = _Stopping()
    for number in ending():
        signal.signal(number, stop)
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        _exit(_run())
    except StoppedError as stopped:
        _fail(f"{stopped.message} Nothing half-written was left.", stopped.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is wrong, and nothing more can be said.
        _exit(0)
    except Exception as error:
        if debug:
            raise
        _fail(*_told(error))


def ending() -> list[signal.Signals]:
    """Return the signals that end a command: Ctrl-C, whoever ends processes, a terminal that has gone but for nohup."""
    found = [signal.SIGINT, signal.SIGTERM]
    return found if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*found, signal.SIGHUP]


def prepare() -> None:
    """Make ready for Ctrl-C at any moment. To be called before the work begins; imports Polars.

    Polars has the system restart a read that waits for input, so that Ctrl-C would not be heard. And whatever is
    interrupted while it cleans up, or still writes in another thread, leaves its folder behind: all temporary
    files lie in one folder, which goes with this process; see `scratch`.
    """
    import polars as pl  # noqa: F401 - it would undo this if it came later

    from oddlog.cli import scratch

    signal.siginterrupt(signal.SIGINT, True)  # noqa: FBT003 - the standard library's signature
    tempfile.tempdir = scratch.make()


def _run() -> int:
    """Run the command and return what to exit with."""
    logging.getLogger("oddlog").handlers[:] = [_Notices()]
    from oddlog.cli.app import app

    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = app(prog_name="oddlog", standalone_mode=False)
    except SystemExit:
        return 0  # rich exits by itself, and only where the reader of our output has gone
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> tuple[str, int]:
    """Return the one line that tells of an error, and what to exit with."""
    import typer

    usage: type[Exception] = typer.BadParameter.__bases__[0]  # the base of all that is wrong with a command line
    if isinstance(error, OddlogError):
        return str(error), error.exit_code
    if isinstance(error, usage):
        return _usage(error), 2
    if isinstance(error, OSError):
        full = " Free some space, or set TMPDIR to a larger place." if error.errno in _FULL else ""
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.{full}", 2
    if isinstance(error, MemoryError):
        return "There is not enough memory. Give fewer files at a time, or --since and --until.", 2
    said = " ".join(str(error).split())[:300]
    full = next((f"{name}, while temporary files were written" for name in map(os.strerror, _FULL) if name in said), "")
    if (
        not full and "parquet: File out of specification" in said
    ):  # no other Parquet is read than what this process wrote
        full = "A temporary file was cut off, as on a full disk"
    if full:  # Polars tells of a full disk in its own words, if at all
        return f"{full}. Free some space, or set TMPDIR to a larger place.", 2
    return f"Something went wrong in oddlog itself: {type(error).__name__}: {said}. Please report it with --debug.", 1


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _usage(error: Exception) -> str:
    """Return what is wrong with a command line, and where to read how it should be."""
    context, message = getattr(error, "ctx", None), getattr(error, "format_message", error.__str__)()
    command = context.command_path if context is not None else "oddlog"
    said = str(message).rstrip(".")
    if not said:  # a group of commands without one: its help stands on standard output by then
        there = ", ".join(getattr(getattr(context, "command", None), "commands", ()))
        said = f"{command} needs one of its commands: {there}"
    return f"{said}{'' if said.endswith('?') else '.'} See: {command} --help"


class _Notices(logging.Handler):
    """Says at once what a reader of the results should know: a source that was passed over, for instance."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(record.getMessage())


class _Stopping:
    """Handles signals: the impatient second Ctrl-C must not break off the cleaning up after the first."""

    def __init__(self) -> None:
        self._last = -CLEANING_S

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last >= CLEANING_S:
            self._last = now
            raise StoppedError(number)


def _say(message: str) -> None:
    # A file's name may hold anything; a line end or an escape sequence must not reach the terminal.
    shown = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), message)
    sys.stderr.write(f"oddlog: {shown}\n")


def _fail(message: str, code: int) -> NoReturn:
    _say(message)
    _exit(code)


def _exit(code: int) -> NoReturn:
    """Exit; what is still to be printed must not fail where nobody reads it any more."""
    for number in ending():
        signal.signal(number, signal.SIG_IGN)  # the work is over: a late Ctrl-C must not turn it into a failure
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
