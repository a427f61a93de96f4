"""The apps as Flower's SuperLink and SuperNodes run them: each message in a process of its own.

A site is described by the configuration of its SuperNode (``--node-config``), a federation by that of the run
(``flwr run --run-config``); `Plan` has the names of the latter.

==============  ====================================================================================================
``site``        what the site is called
``logs``        its raw logs: a folder, file or glob
``work``        a folder for what the site keeps between two messages; secrets are in it, nobody else may read it
``model``       where its model is written in the end
``detector``    what is trained together; the same everywhere (`spoken` if not given)
``detectors``   members of the site's verdict, comma-separated
``identity``    file with the site's secret key (made if it is not there)
``roster``      file with a line ``SITE KEY`` for each site that takes part (hexadecimal public keys)
==============  ====================================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

from oddlog import pipeline
from oddlog.errors import ConfigError, did_you_mean
from oddlog.federated.flower import FlowerLink, client_app
from oddlog.federated.history import write_report
from oddlog.federated.local import Local
from oddlog.federated.plan import Plan
from oddlog.federated.secagg import Identity
from oddlog.federated.secagg.keys import read_roster
from oddlog.federated.server import Federation
from oddlog.federated.site import Site
from oddlog.federated.wire import Note

try:
    from flwr.app import Context
    from flwr.serverapp import Grid, ServerApp
except ImportError as error:
    from oddlog.errors import MissingExtraError

    raise MissingExtraError("A federation", "federated") from error

STATE = "site.state"
READING = ("session", "window", "format")

server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run a federation; what happened is written to ``folder`` of the run's configuration."""
    config = dict(context.run_config)
    folder, fewest = Path(str(config.pop("folder"))), int(str(config.pop("sites", 2)))
    wait_s = float(str(config.pop("wait_s", 300)))
    plan = plan_of(config)
    made = Federation(FlowerLink(grid, fewest=fewest, wait_s=wait_s), plan, folder)
    try:
        made.run()
    finally:
        rounds = [one.facts() for one in made.history]
        write_report(folder, {"plan": asdict(plan), "rounds": rounds, "models": {}, "left_out": {}})


def plan_of(config: Mapping[str, Any]) -> Plan:
    """Return the plan that a run's configuration gives.

    Raises
    ------
    ConfigError
        If a name in it is none of a plan's.

    """
    known = {one.name for one in fields(Plan)}
    for name in config:
        if name not in known:
            raise ConfigError(f"A federation has no option '{name}'.", did_you_mean(name, known))
    return Plan(**config).checked()


def site_of(config: Mapping[str, Any], seed: int = 0) -> Site:
    """Return the site that a SuperNode's configuration describes, as it was left by the message before."""
    name, work = str(config["site"]), Path(str(config["work"]))
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    reading = {key: str(config[key]) for key in READING if key in config}
    detector = str(config.get("detector", "spoken"))
    roster = {}
    if "roster" in config:
        lines = Path(str(config["roster"])).read_text(encoding="utf-8").split("\n")
        roster = read_roster(dict(line.split() for line in lines if line.strip()))
    identity = identity_at(Path(str(config.get("identity", work / "identity"))))

    def finish(local: Local) -> None:
        chosen = [one for one in str(config.get("detectors", "")).split(",") if one] or None
        trained = {local.detector.name: local.for_fit}
        options: dict[str, Any] = {**reading, "detectors": chosen, "seed": seed, "trained": trained}
        pipeline.fit(str(config["logs"]), **options).save(Path(str(config["model"])))

    site = Site(name, partial(Local.of, str(config["logs"]), detector, seed=seed, **reading), identity, roster, finish)
    if (work / STATE).is_file():
        site.recall(Note.read((work / STATE).read_bytes()))
    return site


def keep(site: Site, work: Path) -> None:
    """Write what the site must know at the next message; only its user may read it."""
    write_secret(work / STATE, site.state().written())


def identity_at(path: Path) -> Identity:
    """Return the identity in a file; one is made where there is none."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_secret(path, Identity.new().private.hex().encode())
    return Identity(bytes.fromhex(path.read_text(encoding="ascii").strip()))


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its user may read, aside first and then renamed."""
    aside = path.with_name(f"{path.name}.aside")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    aside.replace(path)


def _site(context: Context) -> Site:
    return site_of(context.node_config, int(str(context.run_config.get("seed", 0))))


def _keep(site: Site, context: Context) -> None:
    keep(site, Path(str(context.node_config["work"])))


site = client_app(_site, _keep)
