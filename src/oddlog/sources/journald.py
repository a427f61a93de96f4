"""The journal while it is written: ``journalctl --follow``, resumed by the journal's own cursors.

::

    journald://                                   all that may be read
    journald://?unit=nginx.service&unit=app       of some units; likewise identifier=, priority=, directory=

An entry comes as the line of JSON that `journal` makes of its export form.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl

from oddlog.errors import ConfigError, InputError, did_you_mean
from oddlog.sources.blocks import UTF8, Block, to_lines
from oddlog.sources.cursors import Cursors
from oddlog.sources.journal import Reader
from oddlog.sources.streams import BrokenStreamError
from oddlog.types import LINES, Batch, Tally

READ_BYTES = 1 << 20
AGAIN_S = 5.0  # between starts of a journalctl that ends
ENDED = "journalctl ended and was started again"
BROKEN = "journal's export form broken: begun anew behind the last whole entry"
_CURSOR = re.compile(rb'"__CURSOR":"([^"]*)"')
_OPTIONS = ("directory", "identifier", "priority", "unit")
_SAID_BYTES = 2_000


class Journald:
    """Follows the journal. A `types.Source`.

    Parameters
    ----------
    tally : Tally
        Takes what was cut, or lost.
    options : sequence of str
        Further options of journalctl.
    position : mapping, optional
        What another handed over, to go on behind it.
    from_start : bool
        Read what is there already; otherwise only what comes from now on.
    clock : callable
        Seconds that never go back.

    Raises
    ------
    InputError
        If there is no journalctl, or it refuses.

    """

    def __init__(
        self,
        tally: Tally,
        options: Sequence[str] = (),
        *,
        position: Mapping[str, Any] | None = None,
        from_start: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        found = shutil.which("journalctl")
        if found is None:
            raise InputError("There is no journalctl here.", "Is this a machine with systemd? Push lines from there.")
        self.name = f"journald/{socket.gethostname()}"
        self._command = [found, "--no-pager", "--output=export", *options]
        self._tally, self._clock = tally, clock
        if position is None:
            position = {"line": 0, "cursor": None if from_start else self._newest()}
        self._cursors = Cursors(position["line"], position["cursor"])
        self._line: int = position["line"]
        self._process: subprocess.Popen[bytes] | None = None
        self._begins_s = -AGAIN_S
        self._begin()

    def poll(self, max_lines: int, timeout_s: float) -> Batch:
        """Return entries that were written since; see `types.Source`."""
        frames, n = [], 0
        while n < max_lines:
            data = self._read(0.0 if n else timeout_s)
            if not data:
                break
            frame = self._take(data)
            frames.append(frame)
            n += len(frame)
        return Batch(pl.concat([pl.DataFrame(schema=LINES), *frames]), self._cursors.place())

    def commit(self, position: Any) -> None:
        """Forget what leads to places before this one."""
        self._cursors.forget(position["line"])

    def state(
        self, _places: Mapping[str, tuple[int, int]] | None = None, earliest: int | None = None
    ) -> dict[str, Any]:
        """Return a position to go on from; see `opening.Resumable`."""
        return self._cursors.place(earliest)

    def close(self) -> None:
        """End journalctl."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    # -- journalctl ------------------------------------------------------------------------------------------

    def _newest(self) -> str | None:
        """Return the cursor of the last entry there is."""
        done = subprocess.run([*self._command, "--lines=1"], capture_output=True, check=False)  # noqa: S603 - no shell
        if done.returncode:
            raise self._refused(done.stderr)
        found = re.search(rb"^__CURSOR=(.*)$", done.stdout, re.MULTILINE)
        return found[1].decode() if found else None

    def _refused(self, said: bytes) -> InputError:
        first = said.decode("utf-8", "replace").strip().partition("\n")[0] or "it ended at once"
        return InputError(f"journalctl refuses: {first}.", f"Try it yourself: {' '.join(self._command)} --lines=1")

    def _begin(self) -> None:
        """Start journalctl behind the last entry that was handed over."""
        cursor = self._cursors.last[1]
        command = [*self._command, "--follow", "--no-tail", *([f"--after-cursor={cursor}"] if cursor else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - no shell
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._reader, self._said = Reader(self._tally, self.name), b""
        self._begins_s = self._clock()

    def _read(self, timeout_s: float) -> bytes:
        """Return what journalctl has written, nothing if it has not; one that has ended is started again."""
        if self._process is None:
            if self._clock() - self._begins_s < AGAIN_S:
                select.select([], [], [], timeout_s)
                return b""
            self._begin()
        assert self._process is not None
        assert self._process.stdout is not None
        ready = select.select([self._process.stdout], [], [], timeout_s)[0]
        self._hear()
        if not ready:
            return b""
        data = os.read(self._process.stdout.fileno(), READ_BYTES)
        if not data:
            self._tally.add(ENDED, example=self._said.decode("utf-8", "replace").strip()[-200:])
            self.close()
        return data

    def _hear(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with suppress(BlockingIOError):
            self._said = (self._said + os.read(self._process.stderr.fileno(), _SAID_BYTES))[-_SAID_BYTES:]

    # -- entries ---------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> pl.DataFrame:
        """Return the entries that are whole now."""
        try:
            entries = self._reader.push(data)
        except BrokenStreamError as error:
            self._tally.add(BROKEN, example=str(error))
            self.close()
            entries = b""
        frame, n = to_lines(Block(b"\n" + entries, 0, 0), UTF8, self.name, self._line + 1, self._tally)
        self._line += n
        found = _CURSOR.findall(entries)
        if found:
            self._cursors.note(self._line, found[-1].decode())
        return frame.with_columns(position="line")


def options_of(url: str) -> list[str]:
    """Return the options of journalctl that a URL asks for.

    >>> options_of("journald://?unit=nginx.service&priority=warning")
    ['--unit=nginx.service', '--priority=warning']

    Raises
    ------
    ConfigError
        If it asks for anything else.

    """
    parts = urlsplit(url)
    asked = parse_qs(parts.query, keep_blank_values=True)
    odd = sorted(set(asked) - set(_OPTIONS))
    if odd:
        raise ConfigError(f"'{url}' sets '{odd[0]}', which journald:// does not have.", did_you_mean(odd[0], _OPTIONS))
    if parts.netloc or parts.path.strip("/"):
        raise ConfigError(f"'{url}' names a machine or a file.", "Write journald://, or journald://?directory=FOLDER.")
    return [f"--{name}={value}" for name, values in asked.items() for value in values]
