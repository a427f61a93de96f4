"""The usual windows that a fit learns from, for those who search for a detector's options."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from oddlog.config import as_time
from oddlog.detectors import CANDIDATES
from oddlog.pipeline.learning.collecting import first_pass
from oddlog.pipeline.learning.labels import UNKNOWN, Labels, require_match, to_learn
from oddlog.pipeline.learning.modelling import Fitting, Say
from oddlog.pipeline.learning.view import whole_usual
from oddlog.pipeline.reading import Reading
from oddlog.types import I8, Context, Windows


@dataclass(frozen=True)
class Told:
    """Whole windows that a person has labelled.

    Attributes
    ----------
    windows : Windows
        In order of time [w].
    label : I8 [w]
        0 usual, 1 anomalous.

    """

    windows: Windows
    label: I8


def usual_windows(
    paths: str | Path | Sequence[str | Path],
    *,
    format: str = "",  # noqa: A002 - the option's name
    session: str = "auto",
    window: str = "",
    exclude: str = "",
    since: str | datetime = "",
    until: str | datetime = "",
    seed: int = 0,
    progress: Say | None = None,
) -> tuple[Windows, Context]:
    """Return the whole windows that are left to learn from when what looks odd is trimmed, in order of time.

    The windows and the context are those of a fit with these options; parameters and errors as of `fitting.fit`.
    """
    options = {"format": format, "session": session, "window": window, "exclude": exclude}
    usual, context, _ = _windows(paths, None, seed=seed, since=since, until=until, progress=progress, **options)
    return usual, context


def usual_and_told(
    paths: str | Path | Sequence[str | Path], labels: Path, **options: Any
) -> tuple[Windows, Context, Told]:
    """Return the same where `labels` (CSV key,label) name some windows, and those; what is anomalous is not usual.

    Raises
    ------
    LabelError
        If they cannot be read, or name no window or no anomalous one.

    """
    known, _ = to_learn(labels)
    usual, context, told = _windows(paths, known, **options)
    example = usual.key[0] if len(usual) else ""
    require_match(known, len(told.windows), int((told.label == 1).sum()), example, labels)
    return usual, context, told


def _windows(
    paths: str | Path | Sequence[str | Path],
    labels: Labels | None,
    *,
    format: str = "",  # noqa: A002 - the option's name
    session: str = "auto",
    window: str = "",
    exclude: str = "",
    since: str | datetime = "",
    until: str | datetime = "",
    seed: int = 0,
    progress: Say | None = None,
) -> tuple[Windows, Context, Told]:
    say = progress or (lambda _what, _n: None)
    reading = Reading(
        format=format,
        exclude=exclude,
        since=as_time(since),
        until=as_time(until),
        progress=lambda source, n: say(f"reading {source}", n),
    )
    with closing(reading), first_pass(paths, reading, session, "", window, seed, say, rates=False) as first:
        fitting = Fitting(first.collected, first.context, (), CANDIDATES, None, labels, "usual", say)
        name, cut = first.cuts[0]
        _, gathering, _ = fitting.gathering(name, cut, first.collected.stores[0])
        gathered = gathering.gathered()
        told = Told(Windows.empty(), np.empty(0, np.int8))
        if gathered.whole is not None and labels is not None:
            named = gathered.whole.of(np.flatnonzero(gathered.whole.label != UNKNOWN))
            told = Told(named.windows, named.label)
        return whole_usual(gathered, cut, first.context), first.context, told
