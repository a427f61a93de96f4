"""A report as a file: written aside first, then renamed."""

from __future__ import annotations

import os
from pathlib import Path

from oddlog.errors import ConfigError, InputError
from oddlog.model import Model
from oddlog.pipeline import Detection
from oddlog.pipeline.judging.verdicts import check_writable
from oddlog.pipeline.learning.labels import Labels
from oddlog.reports.judging import judge
from oddlog.reports.page import render


def check_report(path: str | Path | None) -> None:
    """Raise InputError if no report can be written to `path`: said before hours of reading, not after."""
    check_writable(path, example="report.html")


def write_report(found: Detection, model: Model, path: str | Path, *, labels: Labels | None = None) -> None:
    """Write one self-contained HTML page of what was found.

    Parameters
    ----------
    found : Detection
        Of ``detect(…, overview=True)``.
    model : Model
        That found it.
    path : path
        Where to write; what is there is replaced.
    labels : Labels
        What a person knows of some windows: the report then says how well the verdicts agree.

    Raises
    ------
    ConfigError
        If `found` has no overview.
    InputError
        If the place cannot be written to; nothing half-written is left.

    """
    if found.overview is None:
        raise ConfigError("A report needs an overview of the logs.", "Call detect with overview=True.")
    text = render(found, found.overview, model, None if labels is None else judge(found.scores, labels))
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}.", "Give another place, or free some space."
        ) from error
    finally:
        aside.unlink(missing_ok=True)
