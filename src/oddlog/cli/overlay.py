"""What lies beside a model, for the commands that heed it."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oddlog.cli.beginning import Told
    from oddlog.feedback import Answers, Marks
    from oddlog.model import Model
    from oddlog.pipeline import Detection
    from oddlog.pipeline.live.streaming import Streaming
    from oddlog.types import Incident


def answers(model: Path) -> Answers:
    """Return the answers beside a model, and say what of them cannot be read."""
    from oddlog.feedback import Answers, beside
    from oddlog.model import require_model

    require_model(model)
    found = Answers.load(beside(model, "answers"))
    _tell_broken(beside(model, "answers"), found.broken)
    return found


def marks(model: Path) -> Marks:
    """Return the marks beside a model, and say what of them cannot be read."""
    from oddlog.feedback import Marks, beside
    from oddlog.model import require_model

    require_model(model)
    found = Marks.load(beside(model, "marks"))
    _tell_broken(beside(model, "marks"), found.broken)
    return found


def require_other(old: Path, new: Path) -> None:
    """Raise ConfigError if a new model were written over the one it goes on from."""
    from oddlog.errors import ConfigError

    if old.resolve() == new.resolve():
        raise ConfigError(
            f"{new} is the model to go on from, and is never changed.", "Name another place for the new one with -m."
        )


def hand_on(old: Path, new: Path) -> None:
    """Give a new model the answers and the marks that hold for the old one."""
    answers(new).take_in(answers(old).export())
    marks(new).take_in(marks(old).export())


def detected(model: Path, paths: Sequence[str], **options: Any) -> tuple[Model, Detection]:
    """Judge logs with the answers and the marks beside a model, and remember the incidents for further answers."""
    from oddlog.cli import show
    from oddlog.model import load

    given, marked = answers(model), marks(model)
    loaded = load(model)
    with show.progress() as progress:
        found = loaded.detect(paths, answers=given, marks=marked, progress=progress, **options)
    remember(model, found)
    return loaded, found


def remember(model: Path, found: Detection) -> None:
    """Keep the incidents that were found, so that an answer can be given to their ids."""
    keep(model, [*found.incidents, *found.hidden])


def keep(model: Path, incidents: Sequence[Incident]) -> None:
    """Keep incidents, so that an answer can be given to their ids."""
    from oddlog.errors import ModelError
    from oddlog.feedback import beside
    from oddlog.feedback import remember as write

    try:
        write(beside(model, "incidents"), incidents)
    except ModelError as error:
        # What was asked for is done: a folder that nobody may write in must not turn it into a failure.
        _log.warning("%s Answers will need --pattern instead of an id.", error.message)


class Heeding:
    """Takes in what others answer, and which deployments they mark, while a command runs.

    Parameters
    ----------
    model : Path
        Whose answers.
    answers : Answers
        As they were read at the beginning.
    stream : Streaming
        Told of them when there are new ones.
    told : Told
        The rules and the budget of the command line, to which people may add while it runs.

    """

    def __init__(self, model: Path, answers: Answers, stream: Streaming, told: Told) -> None:
        from oddlog.feedback import Settings, beside, written

        self._paths = (beside(model, "answers"), beside(model, "marks"), beside(model, "rules"))
        self._answers, self._marks, self._stream = answers, marks(model), stream
        self._settings, self._told = Settings.load(self._paths[2]), told
        self._seen = tuple(map(written, self._paths))
        self._unread: tuple[tuple[int, int], ...] = ()
        stream.mark(self._marks.standing())
        stream.rule(*told.with_settings(self._settings))

    def __call__(self) -> None:
        """Look whether there are new ones; while they cannot be read, those that were hold."""
        from oddlog.errors import ModelError
        from oddlog.feedback import written

        now = tuple(map(written, self._paths))
        try:
            if now[0] != self._seen[0]:
                self._answers.read()
                self._stream.heed(self._answers)
            if now[1] != self._seen[1]:
                self._marks.read()
                self._stream.mark(self._marks.standing())
            if now[2] != self._seen[2]:
                self._settings.read()
                self._stream.rule(*self._told.with_settings(self._settings))
        except ModelError as error:
            if self._unread != now:
                _log.warning("%s What was read before holds.", error)
            self._unread = now
            return
        self._seen = now


def _tell_broken(path: Path, broken: int) -> None:
    if broken:
        lines = "1 line that is" if broken == 1 else f"{broken} lines that are"
        _log.warning("%s holds %s broken off or makes no sense, passed over.", path, lines)


def who() -> str:
    """Return who is asking; nobody where the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


_log = logging.getLogger("oddlog")
