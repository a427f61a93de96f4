"""From the updates of the sites to one.

::

    layers     see `layers`             each layer as each site's does to that site's inputs; w_k as below
    mean       Σ_k w_k · Δ_k            w_k by data (FedAvg) or by quality; one bad site moves it as far as it likes
    median     of each coordinate       nobody's weight counts; just under half of the sites may lie
    trimmed    mean of each coordinate  without the `trim` highest and lowest values

McMahan et al., "Communication-efficient learning of deep networks from decentralized data", AISTATS 2017 (FedAvg);
Yin et al., "Byzantine-robust distributed learning", ICML 2018, definitions 1 and 2 (median, trimmed mean); Li et al.,
"Federated optimization in heterogeneous networks", MLSys 2020, eq. 2 (FedProx); Jhunjhunwala et al., "FedExP: speeding
up federated averaging via extrapolation", ICLR 2023, eq. 9.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from oddlog.errors import ConfigError, did_you_mean
from oddlog.types import F32, F64

Rule = Literal["layers", "mean", "median", "trimmed"]
TRIM = 0.2
"""Share of the sites cut off at each end by the trimmed mean; with five sites one."""


def aggregate(updates: F32, weight: F64, rule: Rule = "mean", trim: float = TRIM) -> F64:
    """Return one update [p] of those of all sites [c, p].

    Parameters
    ----------
    updates : F32 [c, p]
        Differences to the weights that the round began with.
    weight : F64 [c]
        Only the mean looks at them.
    rule : "mean", "median" or "trimmed"
        See the module; "layers" need more than updates.
    trim : float
        Of the trimmed mean: which share of the sites is cut off at each end, at least one site where there are three.

    Raises
    ------
    ConfigError
        If there is no such rule.

    Examples
    --------
    >>> updates = np.array([[1.0, 0.0], [2.0, 0.0], [90.0, 3.0]], np.float32)
    >>> for rule in ("mean", "median", "trimmed"):
    ...     print(rule, aggregate(updates, np.ones(3), rule).tolist())
    mean [31.0, 1.0]
    median [2.0, 0.0]
    trimmed [2.0, 0.0]

    """
    if rule == "mean":
        return weighted_mean(updates, weight)
    if rule == "median":
        return np.asarray(np.median(updates.astype(np.float64), axis=0), np.float64)
    if rule == "trimmed":
        return trimmed_mean(updates, trim)
    raise ConfigError(f"There is no rule called '{rule}'.", did_you_mean(rule, get_args(Rule)[1:]))


def weighted_mean(updates: F32, weight: F64) -> F64:
    """Return Σ_k w_k · Δ_k / Σ_k w_k [p], summed in float64 in the order of the sites."""
    total = np.zeros(updates.shape[1])
    for one, of_it in zip(updates, weight, strict=True):
        total += of_it * one.astype(np.float64)
    return np.asarray(total / weight.sum(), np.float64)


def lengthened(squares: float, mean: F64, sites: int) -> float:
    """Return by how much to multiply the weighted mean [p] of updates, given Σ_k w_k · ‖Δ_k‖² with Σ w = 1.

    Where sites learn different things their updates point apart, and the mean of c of them is short: what one site
    alone has learned is in it with a c-th. FedExP takes max(1, Σ w ‖Δ‖² / 2‖mean‖²) times the mean. Updates at right
    angles make that half as many as there are sites; more is never taken, so that a site that lies gains little.

    >>> lengthened(1.0, np.array([0.5, 0.5]), 2), lengthened(1.0, np.full(8, 1 / 8), 8)
    (1.0, 4.0)
    """
    found = squares / max(2 * float(mean @ mean), 1e-12)
    return min(max(1.0, found), max(1.0, sites / 2)) if np.isfinite(found) else 1.0


def trimmed_mean(updates: F32, trim: float = TRIM) -> F64:
    """Return the mean of each coordinate without the share `trim` of the sites at each end [p]."""
    c = len(updates)
    if not 0 <= trim < 0.5:  # noqa: PLR2004 - half at each end is everything
        raise ConfigError(f"A trimmed mean cannot leave out {trim:.0%} at each end.", "Write a share below 0.5.")
    cut = max(int(trim * c + 1e-9), 1) if trim and c > 2 else 0  # noqa: PLR2004 - of two nobody can be left out
    order = np.sort(updates.astype(np.float64), axis=0)
    return np.asarray(order[cut : c - cut].mean(0), np.float64)


def pulled_back(now: F32, anchor: F32, strength: float) -> F32:
    """Return weights [p] after a proximal step towards `anchor` [p]: FedProx, applied between stretches of training.

    FedProx adds mu/2 · ‖w - w_0‖² to a site's loss. Its exact proximal step with the rate η is
    (w + η·mu·w_0) / (1 + η·mu); `strength` is η·mu added up over a stretch. 0 is FedAvg.
    """
    return ((now + np.float32(strength) * anchor) / np.float32(1 + strength)).astype(np.float32)


def clipped(update: F32, norm: float) -> F32:
    """Return the update [p], scaled down if it is longer than `norm`."""
    length = float(np.linalg.norm(update.astype(np.float64)))
    return update if length <= norm else (update * (norm / length)).astype(np.float32)
