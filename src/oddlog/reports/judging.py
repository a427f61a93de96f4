"""Against labels: how well verdicts agree with what a person knows."""

from __future__ import annotations

import numpy as np
import polars as pl

from oddlog.evaluation.verdicts import Judged, judged
from oddlog.pipeline.learning.labels import UNKNOWN, Labels


def judge(scores: pl.DataFrame, labels: Labels) -> Judged:
    """Return how the verdicts `scores` (`types.SCORES`) agree with `labels`; windows without one are left out.

    Views have thresholds of their own, so scores are taken relative to them. A window that no detector has an
    opinion of counts as not odd.
    """
    label = labels.of_keys(scores["key"])
    known = label != UNKNOWN
    threshold = scores["threshold"].to_numpy()[known]
    score = scores["score"].fill_null(float("nan")).to_numpy()[known] / np.where(threshold > 0, threshold, 1.0)
    return judged(np.nan_to_num(score, nan=-np.inf), scores["is_anomaly"].to_numpy()[known], label[known])


__all__ = ["Judged", "judge", "judged"]
