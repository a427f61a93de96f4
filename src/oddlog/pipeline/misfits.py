"""Sources of which the format that was found reads too few of the lines: two formats in one file, for instance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath

from oddlog.formats import Detected

FITS = 0.8  # share of a source's first lines, below which it is told: stack traces are not counted among them
ANYTHING = frozenset({"plain"})


def misfits(formats: Mapping[str, Detected]) -> list[str]:
    """Return a note on the source that fits its format worst, and how many more fit badly; nothing if all fit.

    Lines that do not fit are taken for the continuation of the line before, or left out: nothing is learned of them,
    and nothing found.
    """
    badly = {
        source: found
        for source, found in formats.items()
        if found.share_ok < FITS and found.format.name not in ANYTHING
    }
    if not badly:
        return []
    source, found = min(badly.items(), key=lambda one: one[1].share_ok)
    more = f" So with {len(badly) - 1:,} more." if len(badly) > 1 else ""
    said = (
        f"{PurePath(source).name or source} is read as {found.format.name}, which fits {found.share_ok:.0%} of its "
        "first lines; what does not fit is joined to the line before, or left out. Are there two formats in one file? "
        f"Split it, or name the format: --format NAME. See: oddlog formats {shlex.quote(source)}{more}"
    )
    return [said]
