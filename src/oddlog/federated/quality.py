r"""How good a site's update is, and how much it counts.

::

    q_k = a · utility_k + b · n_k / N + c · (1 - JS(P_k, P))        w_k = exp(q_k / T) / Σ_j exp(q_j / T)

With a + b + c = 1 every part, and so q, lies between 0 and 1; 1 is the public bound `Q_MAX` that secure aggregation
needs. The paper (eq. 3) adds the Kullback-Leibler divergence KL(P_k ‖ P) itself, with a plus sign: it has no upper
bound, and the site *farthest* from the others scores highest. One site of five that sends noise then holds .89 of the
weight. ``fidelity="paper"`` keeps that reading for comparison. Here 1 - Jensen-Shannon (base 2, between 0 and 1)
stands in its place: the nearer, the better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oddlog.errors import ConfigError
from oddlog.types import F64

Fidelity = Literal["corrected", "paper"]

Q_MAX = 1.0
"""No corrected quality is higher; known to all, so that exp((q - Q_MAX) / T) needs nobody's q but one's own."""
SHARES = (0.5, 0.25, 0.25)
"""Of utility, share of the data and closeness. Utility leads; the paper leaves its three coefficients open."""
TEMPERATURE = 1.0
"""A liar who claims the highest of five qualities gets at most e / (e + 4) = .40 of the weight; at T = .3 .87."""


@dataclass(frozen=True)
class Quality:
    """What is known of one site's update.

    Attributes
    ----------
    utility : float
        Accuracy where labels exist, else how well spoiled windows are told from usual ones (ROC AUC); 0 to 1.
    share : float
        The site's windows among all windows.
    closeness : float
        1 - Jensen-Shannon divergence of its message types from everyone's; 0 to 1.
    divergence : float
        Kullback-Leibler divergence in nats, which only the paper's reading looks at.

    """

    utility: float
    share: float
    closeness: float
    divergence: float = 0.0

    @classmethod
    def of(cls, utility: float, own: F64, everyone: F64) -> Quality:
        """Return the quality of a site with the counts `own` [x] among the summed counts of all [x]."""
        share = float(own.sum() / max(everyone.sum(), 1e-12))
        return cls(_within(utility), share, 1.0 - jensen_shannon(own, everyone), kullback_leibler(own, everyone))

    def score(self, fidelity: Fidelity = "corrected", shares: Sequence[float] = SHARES) -> float:
        """Return q; at most `Q_MAX` unless it is the paper's."""
        a, b, c = shares
        if fidelity == "paper":
            return a * self.utility + b * self.share + c * self.divergence
        return min(a * _within(self.utility) + b * _within(self.share) + c * _within(self.closeness), Q_MAX)


def softmax_weights(score: Sequence[float] | NDArray[np.float64], temperature: float = TEMPERATURE) -> F64:
    """Return how much each site counts [c]; they sum to 1.

    >>> softmax_weights([1.0, 0.0, 0.0, 0.0, 0.0], 1.0).round(2).tolist()
    [0.4, 0.15, 0.15, 0.15, 0.15]
    """
    q = np.asarray(score, np.float64)
    e = np.exp((q - q.max(initial=-np.inf)) / checked_temperature(temperature))
    return np.asarray(e / e.sum(), np.float64)


def unscaled_weight(score: float, temperature: float = TEMPERATURE) -> float:
    """Return e_k = exp((q_k - Q_MAX) / T), from which secure sums make the exact softmax; above 0 and at most 1."""
    return float(np.exp((min(_within(score), Q_MAX) - Q_MAX) / checked_temperature(temperature)))


def checked_temperature(temperature: float) -> float:
    """Return `temperature`, or raise a ConfigError where it is no positive number."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise ConfigError(f"A temperature of {temperature} weighs nothing.", "Write a positive number, such as 1.")
    return temperature


def capped(weight: F64, most: float) -> F64:
    """Return weights [c] of which none is above `most`; what is cut off goes to the others in proportion.

    >>> capped(np.array([0.8, 0.1, 0.1]), 0.5).tolist()
    [0.5, 0.25, 0.25]
    """
    most = max(most, 1.0 / max(len(weight), 1))
    fixed = np.zeros(len(weight), np.bool_)
    found = weight / weight.sum()
    while (found > most + 1e-12).any():
        fixed |= found > most
        free = weight * ~fixed
        rest = 1.0 - most * fixed.sum()
        found = np.where(fixed, most, free / max(free.sum(), 1e-300) * rest)
    return np.asarray(found, np.float64)


def jensen_shannon(one: F64, other: F64) -> float:
    """Return the Jensen-Shannon divergence of two histograms [x] in bits: 0 alike, 1 nothing in common.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 3.0]))
    1.0
    """
    if not (one.sum() > 0 and other.sum() > 0):
        return 1.0
    p, q = one / one.sum(), other / other.sum()
    middle = (p + q) / 2
    return _within((_relative(p, middle) + _relative(q, middle)) / 2 / np.log(2.0))


def kullback_leibler(own: F64, everyone: F64, smooth: float = 1e-6) -> float:
    """Return KL(P_k ‖ P) in nats, with `smooth` added to every share so that it is finite."""
    p, q = (_smoothed(x, smooth) for x in (own, everyone))
    return _relative(p, q)


def named(weight: Mapping[str, float]) -> str:
    """Return the weights for a person: ``siteA .40, siteB .60``."""
    return ", ".join(f"{site} {value:.2f}".replace(" 0.", " .") for site, value in weight.items())


def _smoothed(count: F64, smooth: float) -> F64:
    share = count / max(count.sum(), 1e-12) + smooth
    return np.asarray(share / share.sum(), np.float64)


def _relative(p: F64, q: F64) -> float:
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def _within(value: float) -> float:
    """Return a share between 0 and 1; what is no number is 0."""
    return float(min(max(value, 0.0), 1.0)) if np.isfinite(value) else 0.0
