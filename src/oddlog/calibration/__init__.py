"""From scores to p-values, on usual windows that the member has not learned from.

::

    member 1 ── crossfit ──► out-of-fold scores ──► Tail ──► -log10 p ┐
    member 2 ── crossfit ──► out-of-fold scores ──► Tail ──► -log10 p ├─ mean ──► Tail ──► p-value
    member m ── ...                                                   ┘

The mean of the members' -log10 p is not a p-value by itself (members agree with each other), so it is
calibrated once more, on its own out-of-fold values.
"""

from oddlog.calibration.enough import lowest_rate, too_few
from oddlog.calibration.folds import crossfit, crossfit_scores, time_folds
from oddlog.calibration.tail import Tail, pareto
from oddlog.calibration.verdict import Calibrator, EventCalibrator

__all__ = [
    "Calibrator",
    "EventCalibrator",
    "Tail",
    "crossfit",
    "crossfit_scores",
    "lowest_rate",
    "pareto",
    "time_folds",
    "too_few",
]
