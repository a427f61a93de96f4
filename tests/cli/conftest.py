"""The command line called in this process, as a person would type it."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import oddlog
from oddlog.cli import main


class Answer(NamedTuple):
    """What a command ended with and printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Return a function that runs `oddlog` with the given words."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)  # a command has one of its own

    def run(*words: object, terminal: bool = False) -> Answer:
        monkeypatch.setattr(sys, "argv", ["oddlog", *map(str, words)])
        if terminal:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        with pytest.raises(SystemExit) as ended:
            main()
        return Answer(int(ended.value.code or 0), *capfd.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory, small_log: Path) -> Path:
    """A model of the usual log with the members that learn in no time."""
    folder = tmp_path_factory.mktemp("models") / "quick.model"
    oddlog.fit(small_log, detectors=["snn", "new-event"]).save(folder)
    return folder
