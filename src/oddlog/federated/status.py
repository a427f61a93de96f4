"""How a federation stands, for whoever looks in from outside: ``status.json`` in the server's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from oddlog.errors import InputError

STATUS = "status.json"
State = Literal["waiting", "learning", "finished", "failed", "stopped", "killed"]
HERE, LEFT_OUT, ABSENT = "here", "left out", "not here"


@dataclass
class Status:
    """What the server is doing.

    Attributes
    ----------
    state : str
        Waiting for sites, learning, or how it ended.
    why : str
        How it ended, in words.
    pid : int
        The server's process.
    address : str
        Where it listens.
    round, rounds : int
        Which round it is, of how many.
    sites : mapping of mapping
        By site of the roster: ``state`` (here, left out, not here), ``why``, ``last_round`` it counted in.
    turned_away : mapping of int
        How often who was not let in, and why.

    """

    state: State
    pid: int
    address: str
    rounds: int
    sites: dict[str, dict[str, Any]]
    round: int = 0
    why: str = ""
    turned_away: Mapping[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it aside and rename, so that nobody reads half of it."""
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f"{STATUS}.aside"
        aside.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        aside.replace(folder / STATUS)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return it; a server whose process is no more, and which did not say so, was killed.

        Raises
        ------
        InputError
            If there is none.

        """
        try:
            found = cls(**orjson.loads((folder / STATUS).read_bytes()))
        except (OSError, orjson.JSONDecodeError, TypeError) as error:
            raise InputError(
                f"No server of a federation has worked in {folder}.", "Give the folder of its configuration."
            ) from error
        if found.state in ("waiting", "learning") and not _runs(found.pid):
            found.state, found.why = "killed", "its process is gone; begun again, it goes on where it was"
        return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
