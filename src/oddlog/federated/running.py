"""A federation on several machines: what `oddlog federate server` and `oddlog federate site` run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from oddlog import pipeline
from oddlog.errors import UserError
from oddlog.federated.checkpoint import Checkpoint
from oddlog.federated.flower import FlowerLink, client_app, packed
from oddlog.federated.history import GONE, write_report
from oddlog.federated.identity import Known, SiteKey, signing_keys, write_secret
from oddlog.federated.local import Local
from oddlog.federated.privacy import Bound
from oddlog.federated.server import Federation
from oddlog.federated.settings import Settings
from oddlog.federated.site import Site
from oddlog.federated.status import ABSENT, HERE, LEFT_OUT, State, Status
from oddlog.federated.superlink import SuperLink
from oddlog.federated.supernode import SuperNode
from oddlog.federated.wire import Note
from oddlog.model import check_destination

try:
    from flwr.app import Context, Message, RecordDict
except ImportError as error:
    from oddlog.errors import MissingExtraError

    raise MissingExtraError("A federation", "federated") from error

STATE = "site.state"
LAST = "train.finish"
NEVER = "never came"
Say = Callable[[str, int], None]

log = logging.getLogger("oddlog.federated")


def serve(settings: Settings, say: Say, sleep: Callable[[float], Any] = time.sleep) -> dict[str, Any]:
    """Wait for the sites of the roster, learn with them, and return the report.

    Raises
    ------
    ConfigError
        If nothing can listen there, or the certificate is none.
    FederationError
        If too few sites come, or nothing is learned.

    """
    kept = Checkpoint.read(settings.folder, settings.plan.checked())
    awaited = settings.sites if kept is None else len(kept.history[0].counted)  # who was left out does not come again
    link = SuperLink(settings.roster, settings.certificate, settings.key, settings.host, settings.port).start()
    served = _Served(settings, link)
    names = {str(node): site for node, site in link.name.items()}

    def waiting(seconds: float) -> None:
        served.waits()
        sleep(seconds)

    def after(made: Federation) -> None:
        served.after(made)
        say(made.history[-1].says(), made.history[-1].number)

    grid = FlowerLink(link.grid, fewest=awaited, wait_s=settings.wait_s, sleep=waiting)
    made = Federation(grid, settings.plan, settings.folder, served.learns, names=names, after=after)
    try:
        served.waits()
        say(f"waiting for {awaited} sites at {link.address}", 0)
        made.run()
        served.ends("finished", made.ended or f"{settings.plan.rounds} rounds")
    except BaseException as error:  # Ctrl-C is none of Exception
        failed = isinstance(error, Exception)
        served.ends("failed" if failed else "stopped", str(error) if failed else "begun again, it goes on where it was")
        raise
    finally:
        served.after(made)
        link.stop()
    return served.report(made)


class _Served:
    """Writes down how it goes."""

    def __init__(self, settings: Settings, link: SuperLink) -> None:
        self.settings, self.link = settings, link
        sites: dict[str, dict[str, Any]] = {site: {"state": ABSENT, "why": ""} for site in settings.roster}
        self.status = Status("waiting", os.getpid(), link.address, settings.plan.rounds, sites)

    def waits(self) -> None:
        """Say who is there."""
        here = self.link.here()
        for site, one in self.status.sites.items():
            one["state"] = HERE if site in here else ABSENT
        self._write()

    def learns(self, _what: str, number: int) -> None:
        """Say that a round begins."""
        self.status.state, self.status.round = "learning", number
        self._write()

    def after(self, made: Federation) -> None:
        """Say who was in the last round and who not; the report is whole after every round."""
        for one in made.history:
            for site, where in self.status.sites.items():
                if site in one.counted:
                    where |= {"state": HERE, "why": "", **({} if one.kept else {"last_round": one.number})}
                elif (why := one.dropped.get(site)) and (why != GONE or where["state"] != LEFT_OUT):  # it had said why
                    where |= {"state": LEFT_OUT, "why": f"round {one.number}: {why}"}
        if made.history:
            write_report(self.settings.folder, self.report(made))
        self._write()

    def ends(self, state: State, why: str) -> None:
        self.status.state, self.status.why = state, why
        self._write()

    def report(self, made: Federation) -> dict[str, Any]:
        """Return what happened, as JSON."""
        seen = {site for one in made.history for site in (*one.counted, *one.dropped)}
        return {
            "plan": asdict(made.plan),
            "rounds": [one.facts() for one in made.history],
            "ended": made.ended,
            "models": {},
            "left_out": {site: NEVER for site in self.settings.roster if site not in seen},
            "turned_away": dict(self.link.turned_away),
        }

    def _write(self) -> None:
        self.status.turned_away = dict(self.link.turned_away)
        self.status.write(self.settings.folder)


@dataclass(frozen=True)
class Taking:
    """How a site takes part.

    Attributes
    ----------
    logs : str
        A folder, file or glob of raw logs.
    model, work : Path
        Where its model is written in the end, and what it must know from one message to the next (secret).
    detector, detectors : str, sequence of str or None
        What is trained together, and the members of the site's verdict.
    reading : mapping
        ``session window format labels``, as of `oddlog.fit`.
    roster : mapping of Known
        The sites it sums with; if empty nobody's signature is asked for.
    shared : bytes
        Secret of all sites under which they show each other usual windows; if empty this one shows none.
    bound : Bound, optional
        The most that it gives away of any window.

    """

    logs: str
    model: Path
    work: Path
    detector: str
    detectors: Sequence[str] | None
    reading: dict[str, Any]
    roster: dict[str, Known]
    shared: bytes = b""
    seed: int = 0
    bound: Bound | None = None


def take_part(server: str, authority: Path | None, key: SiteKey, taking: Taking, say: Say) -> None:
    """Read the site's logs, answer the server until it has finished, and write the model.

    Raises
    ------
    UserError
        If there is too little to learn from (the server is told that the site does not take part), the server does not
        let the site in, is not who it should be, or asks for more than the site is willing to give away.

    """
    check_destination(taking.model)
    node = SuperNode(server, authority, key)
    failed: list[UserError] = []

    def make() -> Local:
        if failed:
            raise failed[0]
        return local

    try:
        say(f"{key.name}: reading", 0)
        local = Local.of(taking.logs, taking.detector, seed=taking.seed, progress=say, **taking.reading)
    except UserError as error:  # it may be long until the server asks
        say(f"{key.name}: takes no part, and will tell the server so: {error.message}", 0)
        failed.append(error)
    site = Site(key.name, make, key.signing, signing_keys(taking.roster), partial(_finished, taking, say))
    site.shared, site.bound = taking.shared, taking.bound
    recall(site, taking.work)
    app = client_app(lambda _context: site, lambda one, _context: keep(one, taking.work))

    def answer(message: Message) -> tuple[Message, bool]:
        kind = message.metadata.message_type
        say(f"{key.name}: {kind.split('.')[1]}", 0)
        if failed:  # the server is told the kind of error only: what it says may quote a log
            return packed(Note({"refused": type(failed[0]).__name__}), message), True
        reply = app(message, Context(message.metadata.run_id, 0, {}, RecordDict(), run_config={}))
        if site.ends is not None:
            failed.append(site.ends)
        return reply, kind == LAST or bool(failed)

    say(f"{key.name}: connecting to {server}", 0)
    node.run(answer)
    if failed:
        raise failed[0]


def _finished(taking: Taking, say: Say, local: Local) -> None:
    """Make the site's own model with the network it has kept."""
    trained = local.members(taking.detectors)
    options: dict[str, Any] = {**taking.reading, "detectors": taking.detectors, "seed": taking.seed}
    pipeline.fit(taking.logs, **options, trained=trained, progress=say).save(taking.model)


def recall(site: Site, work: Path) -> None:
    """Give a site back what it knew when its process ended."""
    if (work / STATE).is_file():
        site.recall(Note.read((work / STATE).read_bytes()))


def keep(site: Site, work: Path) -> None:
    """Write what the site must know at the next message; only its user may read it."""
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(work / STATE, site.state().written())
