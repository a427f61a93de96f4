"""What brings lines to the service besides its endpoints: each in a thread of its own, all into the one spool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from oddlog.service.feeding import Feeder
from oddlog.sources.addresses import parse_address
from oddlog.sources.opening import Resumable, open_sources
from oddlog.sources.spool import Spool
from oddlog.sources.syslog import SyslogServer
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


def open_intakes(
    spool: Spool, syslog: Sequence[str] = (), sources: Sequence[str] = (), *, from_start: bool = False
) -> tuple[list[Intake], list[str]]:
    """Return what brings lines besides the endpoints, and where it listens.

    Parameters
    ----------
    spool : Spool
        Takes the lines.
    syslog : sequence of str
        Where to listen; see `oddlog.sources.addresses.parse_address`.
    sources : sequence of str
        Paths, globs and URLs; see `oddlog.sources.opening`.
    from_start : bool
        Read also what sources hold already, where they were not read before.

    Raises
    ------
    UserError
        If one of them makes no sense, or cannot be opened.

    """
    addresses = [parse_address(text) for text in syslog]
    # Its marks stand under what was written: a glob goes on where it was, another one begins anew.
    feeders = [Feeder(text, spool, partial(_opened, text, from_start=from_start)) for text in sources]
    listening = [SyslogServer(addresses, spool.append)] if addresses else []
    return [*feeders, *listening], [place for one in listening for place in one.places]


def _opened(text: str, tally: Tally, position: Mapping[str, Any] | None, *, from_start: bool) -> Resumable:
    return open_sources([text], tally, position=position, from_start=from_start)
