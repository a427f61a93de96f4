"""The usual windows that a fit learns from, for those who search for a detector's options."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from oddlog.config import as_time
from oddlog.detectors import CANDIDATES
from oddlog.pipeline.learning.collecting import first_pass
from oddlog.pipeline.learning.modelling import Fitting, Say
from oddlog.pipeline.learning.view import whole_usual
from oddlog.pipeline.reading import Reading
from oddlog.types import Context, Windows


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
    say = progress or (lambda _what, _n: None)
    reading = Reading(
        format=format,
        exclude=exclude,
        since=as_time(since),
        until=as_time(until),
        progress=lambda source, n: say(f"reading {source}", n),
    )
    with closing(reading), first_pass(paths, reading, session, "", window, seed, say, rates=False) as first:
        fitting = Fitting(first.collected, first.context, (), CANDIDATES, None, None, "usual", say)
        name, cut = first.cuts[0]
        _, gathering, _ = fitting.gathering(name, cut, first.collected.stores[0])
        return whole_usual(gathering.gathered(), cut, first.context), first.context
