"""How many lines there were in a while, one time after the other; the oracle of `oddlog.pipeline.live.steps`."""

from __future__ import annotations

from collections.abc import Sequence


def most(times_us: Sequence[int], within_us: int) -> int:
    """Return the most lines in any stretch (at - within_us, at] that ends with a line."""
    return max((in_while(times_us, at, within_us) for at in times_us), default=0)


def in_while(times_us: Sequence[int], until_us: int, within_us: int) -> int:
    """Return the lines in the stretch until a time."""
    return sum(until_us - within_us < at <= until_us for at in times_us)
