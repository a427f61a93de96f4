"""How sites learn together: what is agreed on before they begin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from oddlog.errors import ConfigError, did_you_mean
from oddlog.federated.aggregation import TRIM, Rule
from oddlog.federated.history import Round
from oddlog.federated.privacy import CLIP, PROMISE, Privacy
from oddlog.federated.quality import TEMPERATURE, Fidelity, checked_temperature
from oddlog.federated.quantise import Bits

Mode = Literal["visible", "secagg"]
Weigh = Literal["quality", "data", "equal"]
Alike = Literal["auto", "yes", "no"]

FIRST_LENGTH = 0.05
"""Longest first update of 100 steps, for each weight (root mean square): 8.4 for `spoken`, of which honest sites of
HDFS took 3.9 to 5.5 (development)."""
TIMES_LAST = 1.5
"""Longest update after that, in root mean squares of the last round's: the longest honest one had 1.3."""
LONGEST_HIDDEN = 100.0
"""With differential privacy: noise is long, and each window's part is cut by itself."""


@dataclass(frozen=True)
class Plan:
    """How sites learn together.

    Attributes
    ----------
    rounds, steps : int
        Rounds, and steps of training at each site in each of them.
    mode : "visible" or "secagg"
        Whether the server sees the updates of the sites or only their sum.
    rule : "layers", "mean", "median" or "trimmed"
        What becomes of updates; the last two only of visible ones. Of networks that cannot tell what goes into their
        layers, and with differential privacy, the mean in place of "layers".
    weigh : "quality", "data" or "equal"
        What a site's update counts by in the mean.
    fidelity : "corrected" or "paper"
        Of the quality.
    temperature, most : float
        Of the softmax; the largest weight of a site in mode visible.
    prox : float
        Pull towards where the round began (FedProx); 0 is none.
    extrapolate : bool
        Whether the mean is lengthened where sites' updates point apart (`aggregation.lengthened`).
    decay : int
        Steps after which a site's learning rate is half of what it began with; 0: each round begins as the first.
    bits : 0, 2, 4 or 8
        Of a number of a visible update; 0 is float32.
    norm : float
        Length that a site cuts its update to in the first round, and less as rates fall; visible ones that are
        longer are refused. 0: by the size of the network, then by how long updates were (`allowed`).
    threshold : int
        Sites that a secure sum needs at least; 0 is just above half.
    tune_steps, local_steps : int
        Of fine-tuning at the end, and of the local network that the common one is held against.
    target : float
        The federation ends once the sites' mean utility is as high; 0 is never.
    patience : int
        It ends after so many rounds without a higher utility; 0 is never.
    deadline_s : float
        How long a round waits for the sites.
    alike : "auto", "yes" or "no"
        Whether what is usual at one site may come at the others: then they go by the thresholds of all. "auto" is by
        how alike their message types are (`pooling.ALIKE`).
    patterns : bool
        Whether sites show each other their usual windows in the end, sealed under a secret that the server lacks.
    epsilon, delta, clip : float
        Differential privacy of each window at each site (`privacy`); 0 is none. `clip` cuts a window's gradient.
    seed : int
        Same logs, seed and plan, same networks.

    """

    rounds: int = 10
    steps: int = 100
    mode: Mode = "visible"
    rule: Rule = "layers"
    weigh: Weigh = "quality"
    fidelity: Fidelity = "corrected"
    temperature: float = TEMPERATURE
    most: float = 1.0
    prox: float = 0.0
    extrapolate: bool = True
    decay: int = 300
    bits: Bits | Literal[0] = 0
    norm: float = 0.0
    trim: float = TRIM
    threshold: int = 0
    tune_steps: int = 0
    local_steps: int = 0
    target: float = 0.0
    patience: int = 0
    deadline_s: float = 600.0
    alike: Alike = "auto"
    patterns: bool = False
    epsilon: float = 0.0
    delta: float = 1e-5
    clip: float = CLIP
    seed: int = 0

    def checked(self) -> Plan:
        """Return the plan, or raise a ConfigError that says what of it makes no sense."""
        chosen = {"mode": Mode, "rule": Rule, "weigh": Weigh, "fidelity": Fidelity, "alike": Alike}
        for name, words in chosen.items():
            if (value := getattr(self, name)) not in get_args(words):
                raise ConfigError(f"There is no {name} called '{value}'.", did_you_mean(value, get_args(words)))
        checked_temperature(self.temperature)
        if self.bits and self.bits not in get_args(Bits):
            raise ConfigError(f"Updates are not written in {self.bits} bits.", "Write 8, 4 or 2, or 0 for float32.")
        if self.rounds < 1 or self.steps < 1 or self.decay < 0:
            raise ConfigError(
                f"{self.rounds} rounds of {self.steps} steps with a decay of {self.decay} teach nothing.",
                "Write at least 1 round and 1 step, and a decay of 0 or more.",
            )
        if not 0 <= self.target <= 1 or self.patience < 0:
            raise ConfigError(
                f"A target of {self.target} and a patience of {self.patience} rounds end nothing.",
                "Write a utility between 0 and 1, and a number of rounds; 0 is none.",
            )
        if self.epsilon:
            self.privacy.checked()
            telling = {"weigh": self.weigh == "quality", "tune_steps": self.tune_steps, "local_steps": self.local_steps}
            telling |= {"patterns": self.patterns}
            for name in (name for name, asked in telling.items() if asked):
                raise ConfigError(
                    f"What a site would tell by '{name}: {getattr(self, name)}' no noise hides.",
                    "Write weigh = data, and no tune_steps, local_steps or patterns, or leave out epsilon.",
                )
        if self.mode == "secagg":
            blind = {"rule": self.rule in {"median", "trimmed"}, "bits": bool(self.bits)}
            blind |= {"fidelity": self.fidelity == "paper"}
            for name in (name for name, asked in blind.items() if asked):
                raise ConfigError(
                    f"In mode secagg the server sees no site's update, so '{name}: {getattr(self, name)}' cannot be.",
                    "Leave it out, or write mode = visible.",
                )
        return self

    @property
    def lengthens(self) -> bool:
        """Whether a mean is lengthened: never where noise makes updates point apart, nor where a median is taken."""
        return self.extrapolate and self.rule in {"layers", "mean"} and not self.epsilon

    def allowed(self, size: int, history: Sequence[Round]) -> float:
        """Return how long an update of `size` numbers may be in the next round; everyone may know.

        Honest ones become shorter from round to round, and so must a liar's be: what was said of the last round's
        lengths, a mean of squares, is as much as secure sums tell.
        """
        if self.epsilon:
            return self.norm or LONGEST_HIDDEN
        if self.norm:
            taken = (len(history) - 1) * self.steps
            return self.norm / (1 + taken / self.decay) if self.decay else self.norm
        last = next((one.length for one in reversed(history) if one.length), 0.0)
        return TIMES_LAST * last if last else FIRST_LENGTH * math.sqrt(size * max(1.0, self.steps / 100))

    @property
    def privacy(self) -> Privacy:
        """What sites promise for each window, if there is an `epsilon`."""
        return Privacy(self.epsilon, self.delta, self.rounds * self.steps, self.clip)

    def facts(self) -> dict[str, Any]:
        """Return what the sites are told in each round."""
        names = ("steps", "prox", "bits", "seed", "weigh", "fidelity", "temperature", "decay", "alike", *PROMISE)
        return {name: getattr(self, name) for name in names} | {"secure": self.mode == "secagg"}
