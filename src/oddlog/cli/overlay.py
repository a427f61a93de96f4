"""What lies beside a model, for the commands that heed it."""

from __future__ import annotations

import getpass
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlog.feedback import Answers, Marks
    from oddlog.pipeline import Detection


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


def remember(model: Path, found: Detection) -> None:
    """Keep the incidents that were found, so that an answer can be given to their ids."""
    from oddlog.errors import ModelError
    from oddlog.feedback import beside
    from oddlog.feedback import remember as keep

    try:
        keep(beside(model, "incidents"), [*found.incidents, *found.hidden])
    except ModelError as error:
        # What was asked for is done: a folder that nobody may write in must not turn it into a failure.
        _log.warning("%s Answers will need --pattern instead of an id.", error.message)


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
