"""A labelled set of logs on disk: raw lines as a stranger would get them, and beside them what is known of them.

::

    hdfs/
      set.json           what it is, how its lines are read, whose terms it comes under
      logs/hdfs.log      raw lines; several files, folders and compressed files will do
      labels.csv         key,label[,kind,system]          of sessions
      labels_lines.csv   source,line[,label,kind]         of lines; what is not named is usual

A folder of one's own needs the logs and one of the two label files; `set.json` may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from oddlog.errors import InputError, did_you_mean

ABOUT = "set.json"
LOGS = "logs"
LABELS = "labels.csv"
LINE_LABELS = "labels_lines.csv"
INCIDENTS = "incidents.json"  # id kind start end services hosts of what went wrong, where that is known
BESIDE = frozenset({ABOUT, LABELS, LINE_LABELS, INCIDENTS, "harmless.json", "traces.csv"})
ALSO_BESIDE = ("README", "LICENSE", "COPYING", "labels_", ".")  # beginnings of names that are no logs


@dataclass(frozen=True)
class About:
    """What a set is, and how the product reads it.

    Attributes
    ----------
    name, title : str
        As it is asked for; in words.
    format, session, window : str
        As of `oddlog fit`.
    terms, cite, origin : str
        Whose licence it comes under, what to cite, and where it was got from.
    whole_usual, whole_anomalous : int
        Usual and anomalous sessions of the whole data, where this is a sample of them: what scores are weighted to,
        and what shares of a protocol mean. 0 if this is the whole.
    development : bool
        Whether it was looked at while oddlog was made: figures on it are no test.
    trained_on : str
        Beginning of the names of the sources that the set gives to learn from (protocol `given`).

    """

    name: str
    title: str = ""
    format: str = ""
    session: str = "auto"
    window: str = ""
    terms: str = ""
    cite: str = ""
    origin: str = ""
    whole_usual: int = 0
    whole_anomalous: int = 0
    development: bool = False
    trained_on: str = "train/"

    def to_json(self) -> bytes:
        """Return it as it is written."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)


@dataclass(frozen=True)
class LogSet:
    """A folder of labelled logs.

    Attributes
    ----------
    folder : Path
        Where it lies.
    about : About
        What it is.

    """

    folder: Path
    about: About

    @property
    def root(self) -> Path:
        """What the names of the sources begin below."""
        inner = self.folder / LOGS
        return inner if inner.is_dir() else self.folder

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the files with logs, below `root`, in their order."""
        return tuple(sorted(_names(self.root)))

    @property
    def paths(self) -> list[Path]:
        """Files of the sources."""
        return [self.root / source for source in self.sources]

    @property
    def labels(self) -> Path | None:
        """File with the labels of sessions, if there is one."""
        path = self.folder / LABELS
        return path if path.exists() else None

    @property
    def line_labels(self) -> Path | None:
        """File with the labels of lines, if there is one."""
        path = self.folder / LINE_LABELS
        return path if path.exists() else None

    @property
    def incidents(self) -> Path | None:
        """File that says when and where something went wrong, if there is one."""
        path = self.folder / INCIDENTS
        return path if path.exists() else None

    @property
    def labelled_by(self) -> str:
        """What carries labels: session, line, or none."""
        if self.labels is not None:
            return "session"
        return "none" if self.line_labels is None else "line"

    def read_as(self, *, format: str = "", session: str = "", window: str = "") -> LogSet:  # noqa: A002 - as of fit
        """Return the set read in another way; what is empty changes nothing."""
        about = self.about
        read = replace(
            about,
            format=format or about.format,
            session=session or about.session,
            window=window or about.window,
        )
        return replace(self, about=read)


def read_set(folder: Path | str) -> LogSet:
    """Return the set in a folder.

    Raises
    ------
    InputError
        If there is none, or it holds no logs.

    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Name a set (oddlog datasets list) or a folder of logs.")
    found = LogSet(folder, _about(folder))
    if not found.sources:
        raise InputError(f"{folder} holds no logs.", "Put the log files there, and their labels beside them.")
    return found


def write_about(folder: Path, about: About) -> None:
    """Write what a set is; this comes last, so that a folder with it is whole."""
    (folder / ABOUT).write_bytes(about.to_json())


def _about(folder: Path) -> About:
    path = folder / ABOUT
    if not path.exists():
        return About(name=folder.resolve().name)
    try:
        told: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {error}.", "Mend it, or remove it and prepare the set again."
        ) from error
    known = {one.name for one in fields(About)}
    strange = sorted(set(told) - known) if isinstance(told, dict) else []
    if not isinstance(told, dict) or strange:
        what = f"'{strange[0]}', which means nothing here" if strange else "no table"
        raise InputError(f"{path} holds {what}.", did_you_mean(strange[0] if strange else "", known))
    return About(**{"name": folder.resolve().name, **told})


def _names(root: Path) -> Iterator[str]:
    for path in root.rglob("*"):
        inner = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inner.parts)
        if path.is_file() and not hidden and path.name not in BESIDE and not path.name.startswith(ALSO_BESIDE):
            yield str(inner)


def write_lines(path: Path, text: pl.Series) -> None:
    """Write lines of text as a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pl.DataFrame({"text": text}).write_csv(file, include_header=False, quote_style="never")
