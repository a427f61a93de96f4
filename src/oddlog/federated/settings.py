"""What a server reads: ``federation.toml``.

::

    address = "127.0.0.1:9092"       # loopback unless you write another
    roster = "roster.txt"            # a line of `oddlog federate keys` for each site
    certificate = "tls/server.pem"
    key = "tls/server.key"
    folder = "federation"            # checkpoint, state and report
    sites = 3                        # so many are waited for; all of the roster if not given
    wait = "5min"                    # no longer than this; then those who are there begin

    [plan]                           # as the options of `oddlog federate simulate`
    rounds = 10
    deadline = "10min"

Paths are seen from the folder of the file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from oddlog.config import parse_duration
from oddlog.errors import ConfigError, did_you_mean
from oddlog.federated.identity import Known, read_roster
from oddlog.federated.plan import Plan

ADDRESS = "127.0.0.1:9092"
WAIT = "5min"
FEWEST = 2
_TABLE = {"address", "roster", "certificate", "key", "folder", "sites", "wait", "plan"}
_PATHS = {"roster": "roster.txt", "certificate": "server.pem", "key": "server.key", "folder": "federation"}
_PLAN = {one.name.removesuffix("_s").replace("_", "-"): one for one in fields(Plan)}
"""Fields of a plan by the name they have in the file: ``deadline``, ``tune-steps``."""


@dataclass(frozen=True)
class Settings:
    """How a server listens, and for whom.

    Attributes
    ----------
    host, port : str, int
        Where.
    roster : mapping of Known
        By site.
    certificate, key, folder : Path
        Of the server.
    sites : int
        So many are waited for.
    wait_s : float
        No longer than this.
    plan : Plan
        How they learn together.

    """

    host: str
    port: int
    roster: dict[str, Known]
    certificate: Path
    key: Path
    folder: Path
    sites: int
    wait_s: float
    plan: Plan

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Return what stands in a file.

        Raises
        ------
        ConfigError
            If it cannot be read, or something in it makes no sense; the nearest name is told.

        """
        table = _table(path)
        _require_known(path, table, _TABLE)
        plan = table.pop("plan", {})
        if not isinstance(plan, dict):
            raise ConfigError(f"{path}: plan is a table.", "Write a line [plan], and its names below.")
        _require_known(path, plan, set(_PLAN), "[plan] of ")
        texts = {name: _text(path, name, table.get(name, given)) for name, given in _PATHS.items()}
        paths = {name: path.parent / text for name, text in texts.items()}
        roster = read_roster(paths.pop("roster"))
        host, port = address(_text(path, "address", table.get("address", ADDRESS)))
        sites = _number(path, "sites", table.get("sites", len(roster)), 0)
        if not FEWEST <= sites <= len(roster):
            raise ConfigError(
                f"{path}: {sites} sites are waited for, the roster names {len(roster)}.",
                f"Write sites = {FEWEST} to {max(len(roster), FEWEST)}.",
            )
        wait_s = parse_duration(_text(path, "wait", table.get("wait", WAIT)))
        return cls(host, port, roster, **paths, sites=int(sites), wait_s=wait_s, plan=_plan(path, plan))


def address(text: str) -> tuple[str, int]:
    """Return host and port.

    >>> address("127.0.0.1:9092"), address("[::1]:80")
    (('127.0.0.1', 9092), ('::1', 80))
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdigit() and int(port) < 1 << 16):
        raise ConfigError(f"'{text}' is no address.", "Write host and port: 127.0.0.1:9092")
    return host.strip("[]"), int(port)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} is not TOML: {error}.", "Mend that line.") from error


def _require_known(path: Path, table: dict[str, Any], known: set[str], where: str = "") -> None:
    for name in table:
        if name.replace("_", "-") not in known:
            raise ConfigError(f"{where}{path} sets '{name}', which there is not.", did_you_mean(name, known))


def _plan(path: Path, table: dict[str, Any]) -> Plan:
    options: dict[str, Any] = {"mode": "secagg"}
    for given, value in table.items():
        name = given.replace("_", "-")
        one = _PLAN[name]
        if name == "deadline":
            options[one.name] = parse_duration(_text(path, name, value))
        elif isinstance(one.default, bool):
            options[one.name] = _switch(path, name, value)
        elif isinstance(one.default, str):
            options[one.name] = _text(path, name, value)
        else:
            options[one.name] = _number(path, name, value, getattr(Plan, one.name))
    return Plan(**options).checked()


def _text(path: Path, name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{path}: {name} = {value!r} is no text.", 'Write it in quotes: "…"')
    return value


def _switch(path: Path, name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{path}: {name} = {value!r} is neither true nor false.", "Write it without quotes.")
    return value


def _number(path: Path, name: str, value: object, like: float) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (isinstance(value, float) and isinstance(like, float))):
        kind = "number" if isinstance(like, float) else "whole number"
        raise ConfigError(f"{path}: {name} = {value!r} is no {kind}.", "Write it without quotes.")
    return float(value) if isinstance(like, float) else value  # type: ignore[arg-type]
