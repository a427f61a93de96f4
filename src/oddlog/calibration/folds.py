"""Scores of members that had not learned from what they score: each stretch of time in turn is held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oddlog.types import F64, I8, I64, Context, Detector, Scores, Windows


def crossfit(
    make: Callable[[], Detector], windows: Windows, context: Context, folds: int | I64 = 5, labels: I8 | None = None
) -> F64:
    """Score every window [w] by a member that has not learned from it or its neighbours in time.

    Parameters
    ----------
    make : callable
        Returns a new, unfitted member.
    windows : Windows
        Usual windows; with labels, those of both kinds.
    context : Context
        That of the model.
    folds : int or I64 [w]
        Contiguous stretches of time, by the start of the windows, of equal numbers of windows; or the fold of
        each window, for whoever cut the time himself.
    labels : I8 [w], optional
        For members that learn from them: 0 usual, 1 anomalous, -1 unknown.

    Returns
    -------
    F64 [w]
        In the order of `windows`; NaN if all windows are of one fold, since nothing is left to learn from. With
        labels NaN for those of a fold outside of which there is only one kind.

    """
    return crossfit_scores(make, windows, context, folds, labels).window


def crossfit_scores(
    make: Callable[[], Detector], windows: Windows, context: Context, folds: int | I64 = 5, labels: I8 | None = None
) -> Scores:
    """Return what `crossfit` does, and the out-of-fold scores of events [e]."""
    window = np.full(len(windows), np.nan)
    event = np.full(len(windows.template), np.nan, np.float32)
    fold = time_folds(windows.start, folds) if isinstance(folds, int) else folds
    of_event = fold[windows.window_of_event]
    for i in np.unique(fold):
        held_out = fold == i
        if held_out.all():
            break
        known = None if labels is None else labels[~held_out]
        if known is not None and len(np.unique(known == 1)) == 1:
            continue
        scores = make().fit(windows.take(~held_out), context, known).score(windows.take(held_out))
        window[held_out], event[of_event == i] = scores.window, scores.event
    return Scores(window, event)


def time_folds(start: I64, folds: int) -> I64:
    """Return the fold of each window [w]: contiguous in time, ties as they stand, sizes equal within one."""
    fold = np.empty(len(start), np.int64)
    folds = max(1, min(folds, len(start)))
    fold[np.argsort(start, kind="stable")] = np.arange(len(start)) * folds // max(1, len(start))
    return fold
