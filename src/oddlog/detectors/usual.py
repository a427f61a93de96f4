"""The windows that a novelty detector may learn from."""

from __future__ import annotations

from oddlog.errors import TooLittleDataError
from oddlog.types import I8, Windows

ANOMALOUS = 1
"""The label of a window that is known to be an anomaly (0 usual, -1 unknown)."""


def usual_only(windows: Windows, labels: I8 | None) -> Windows:
    """Leave out what is labelled anomalous.

    Raises
    ------
    TooLittleDataError
        If nothing is left.

    """
    kept = windows if labels is None else windows.take(labels != ANOMALOUS)
    if len(kept) == 0:
        raise TooLittleDataError(
            f"There is no usual window to learn from: {len(windows)} windows, all of them labelled anomalous."
            if len(windows)
            else "There is no window to learn from.",
            "Give more logs, or labels that leave usual windows.",
        )
    return kept
