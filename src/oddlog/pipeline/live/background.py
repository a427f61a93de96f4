"""`oddlog fit` in a process of its own, at a low priority: whoever judges or collects goes on meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NICE = 10
MOST_SAID = 2_000  # characters of what a fit says


@dataclass(frozen=True)
class Outcome:
    """How a fit ended: the model's folder, or why there is none."""

    model: Path | None
    said: str = ""


class Fit:
    """A fit that runs.

    Parameters
    ----------
    paths : sequence of Path
        What to learn from.
    model : Path
        Where the model goes.
    options : sequence of str
        Further words of the command line.
    command : sequence of str
        What is run: a fit, or `oddlog update` of a model.

    """

    def __init__(
        self, paths: Sequence[Path], model: Path, options: Sequence[str] = (), *, command: Sequence[str] = ("fit",)
    ) -> None:
        self._model = model
        words = [*command, *map(str, paths), "-m", str(model), "--json", *options]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `poll` and `stop` close it
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "oddlog", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # a Ctrl-C is for whoever started it, who then stops this
        )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)

    def poll(self) -> Outcome | None:
        """Return how it ended; None while it goes on."""
        if self._process.poll() is None:
            return None
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")[-MOST_SAID:].strip()
        self._said.close()
        return Outcome(self._model if self._process.returncode == 0 else None, said.removeprefix("oddlog: "))

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._said.close()
