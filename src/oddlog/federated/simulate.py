"""A whole federation in this process: from folders of raw logs to a model for each site.

::

    fed.models/
    ├── report.json     the plan, and what happened round by round
    ├── federation/     the server's checkpoint: the same command goes on from there
    ├── siteA/          an ordinary model, for `oddlog detect -m`
    └── siteB/ …
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from oddlog import pipeline
from oddlog.errors import ConfigError, UserError
from oddlog.federated.flower import FlowerLink, InProcessGrid, client_app
from oddlog.federated.history import REPORT, Round, write_report
from oddlog.federated.local import Local
from oddlog.federated.plan import Plan
from oddlog.federated.secagg import Identity
from oddlog.federated.secagg.keys import KEY_BYTES
from oddlog.federated.server import Federation
from oddlog.federated.site import Finish, Site
from oddlog.model import check_destination

SERVER = "federation"
DETECTOR = "spoken"
FIRST_NODE = 1_000
Say = Callable[[str, int], None]


@dataclass(frozen=True)
class Federated:
    """What came of a federation.

    Attributes
    ----------
    plan : Plan
        How the sites have learned.
    history : list of Round
        What happened.
    models : mapping of Path
        By site.
    left_out : mapping of str
        Sites that could not take part, and why.

    """

    plan: Plan
    history: list[Round]
    models: dict[str, Path]
    left_out: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "plan": asdict(self.plan),
            "rounds": [one.facts() for one in self.history],
            "models": {site: str(path) for site, path in self.models.items()},
            "left_out": self.left_out,
        }


def simulate(
    sites: Sequence[str | Path],
    folder: str | Path,
    plan: Plan | None = None,
    *,
    detector: str = DETECTOR,
    detectors: Sequence[str] | None = None,
    session: str = "auto",
    window: str = "",
    format: str = "",  # noqa: A002 - the option's name
    labels: Path | None = None,
    progress: Say | None = None,
) -> Federated:
    """Let the sites learn together and write a model for each.

    Parameters
    ----------
    sites : sequence of path
        A folder (or file, or glob) of raw logs for each site, which is called as the folder is.
    folder : path
        Where models, report and checkpoint are written.
    plan : Plan, optional
        Rounds, mode, weights.
    detector : str
        What they train together: one that is `types.Federable`.
    detectors : sequence of str, optional
        Members of each site's verdict; if None the default ones, and the common one where the rule says so.
    session, window, format : str
        As of `oddlog.fit`, for all sites.
    labels : Path, optional
        A folder with a CSV (key,label) called SITE.csv for each site that has labels; the report then has its F1.
    progress : callable
        Told (what is being done, how many).

    Raises
    ------
    UserError
        If the plan makes no sense, a name is taken twice, or fewer than two sites have enough to learn from.

    """
    say = progress or (lambda _what, _n: None)
    plan, folder = (plan or Plan()).checked(), Path(folder)
    named = _named(sites)
    labelled = _labelled(labels, named)
    for name in named:
        check_destination(folder / name)
    reading = {"session": session, "window": window, "format": format}
    made: dict[str, Site] = {}
    left_out: dict[str, str] = {}
    identities = {name: Identity.new() for name in named}
    for name, path in named.items():
        say(f"{name}: reading", 0)
        try:
            options: dict[str, Any] = {**reading, "labels": labelled.get(name)}
            local = Local.of(path, detector, seed=plan.seed, progress=_told(name, say), **options)
        except ConfigError:
            raise
        except UserError as error:
            left_out[name] = str(error)
            continue
        finish = _finishing(path, folder / name, detectors, plan.seed, _told(name, say), options)
        made[name] = Site(name, _given(local), identities[name], finish=finish)
    roster = {name: identities[name].public for name in made}
    shared = os.urandom(KEY_BYTES) if plan.patterns else b""
    for site in made.values():
        site.roster, site.shared = roster, shared
    nodes = {FIRST_NODE + i: {"site": name} for i, name in enumerate(made)}
    grid = InProcessGrid(client_app(lambda context: made[str(context.node_config["site"])]), nodes)
    history = Federation(FlowerLink(grid), plan, folder / SERVER, say).run()
    models = {name: folder / name for name in made if name in history[-1].kept}
    done = Federated(plan, history, models, left_out)
    write_report(folder, done.facts())
    return done


def _named(sites: Sequence[str | Path]) -> dict[str, Path]:
    """Return the sites by name."""
    found: dict[str, Path] = {}
    for one in map(Path, sites):
        name = one.resolve().name.split("*")[0].removesuffix(".log") or "site"
        if name in {REPORT, SERVER}:
            raise ConfigError(f"No site can be called '{name}'.", "Rename its folder.")
        if name in found:
            raise ConfigError(f"Two sites are called '{name}': {found[name]} and {one}.", "Rename one folder.")
        found[name] = one
    return found


def _labelled(labels: Path | None, sites: Mapping[str, Path]) -> dict[str, Path]:
    """Return the file of labels of each site that has one."""
    if labels is None:
        return {}
    found = {name: labels / f"{name}.csv" for name in sites if (labels / f"{name}.csv").is_file()}
    if not found:
        raise ConfigError(
            f"In {labels} there are labels of none of the sites.",
            f"Write one file for each site that has some: {labels / next(iter(sites), 'site')}.csv",
        )
    return found


def _finishing(
    path: Path, folder: Path, detectors: Sequence[str] | None, seed: int, say: Say, reading: dict[str, Any]
) -> Finish:
    """Return what makes a site's own model of the network it has kept."""

    def finish(local: Local) -> None:
        trained = local.members(detectors)
        options: dict[str, Any] = {**reading, "detectors": detectors, "seed": seed, "trained": trained}
        pipeline.fit(path, progress=say, **options).save(folder)

    return finish


def _given(local: Local) -> Callable[[], Local]:
    return lambda: local


def _told(name: str, say: Say) -> Say:
    return lambda what, n: say(f"{name}: {what}", n)
