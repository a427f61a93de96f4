"""What a request is made of, in every simulated system.

Variety comes from steps that happen only sometimes (`chance`) or several times (`most`), so that one scenario
gives many different sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ALWAYS = 100.0
"""Percent."""


@dataclass(frozen=True)
class Step:
    """One line of a request."""

    message: str
    ms: float  # median time since the line before
    chance: float = ALWAYS  # percent
    most: int = 1  # written 1 to `most` times, evenly
    otherwise: str = ""  # written instead where the step does not happen
    given: Mapping[str, int | str] = field(default_factory=dict)  # values fixed by the scenario
    direct: bool = False  # of an incident: this line itself shows what is wrong

    @property
    def mean_lines(self) -> float:
        """Lines this step writes on average."""
        share = self.chance / ALWAYS
        return share * (1 + self.most) / 2 + (1 - share) * bool(self.otherwise)


def step(message: str, ms: float, chance: float = ALWAYS, most: int = 1, **given: int | str) -> Step:
    """Return a step; further keywords are values that the scenario fixes."""
    return Step(message, ms, chance, most, given=given)
