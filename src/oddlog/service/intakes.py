"""What brings lines to the service besides its endpoints: each in a thread of its own, all into the one spool."""

from __future__ import annotations

from typing import Protocol

from oddlog.types import Tally


class Intake(Protocol):
    """Brings lines and keeps them before it brings more.

    Attributes
    ----------
    name : str
        As metrics call it.
    lines : int
        That were kept since it began.
    tally : Tally
        What was lost, cut or repaired; only its own thread writes to it.
    failure : Exception or None
        Why it stopped, if it did not mean to.

    """

    name: str
    lines: int
    tally: Tally
    failure: Exception | None

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """Stop in order, before the spool is closed."""
        ...
