"""What customers, partners and couriers do: each scenario is one request, one trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from oddlog.datasets.simulator.datacentre.messages import MESSAGES
from oddlog.datasets.simulator.steps import Step
from oddlog.datasets.simulator.steps import step as _s

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Scenario:
    """One kind of request.

    Attributes
    ----------
    name : str
        For people.
    weight : int
        How often, relative.
    method, path : str
        What is asked for; a path may hold values.
    steps : tuple of Step
        What is written, in this order.
    rhythm : str
        ``people`` or ``machines``, see `plan.Rhythm`.
    tries : int
        The same user comes 1 to `tries` times within a minute or two.

    """

    name: str
    weight: int
    method: str
    path: str
    steps: Steps
    rhythm: str = "people"
    tries: int = 1

    @cached_property
    def mean_lines(self) -> float:
        """Lines per drawn start on average."""
        return sum(step.mean_lines for step in self.steps) * (1 + self.tries) / 2

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Who takes part, at least sometimes, in the order of the first line."""
        return tuple(dict.fromkeys(service for step in self.steps for service in _writers(step)))

    @cached_property
    def failing(self) -> tuple[str, ...]:
        """Those of `services` in which the request can fail."""
        ends = next((i for i, step in enumerate(self.steps) if step.message == "portal.answered"), len(self.steps))
        before = {MESSAGES[step.message].service for step in self.steps[:ends]}
        return tuple(s for s in self.services if s in before and s in FAILURES)


def _writers(step: Step) -> tuple[str, ...]:
    """Return the services that may write a step."""
    return tuple(MESSAGES[name].service for name in (step.message, step.otherwise) if name)


_ACCEPT = (_s("portal.accepted", 0),)
_GUEST = (Step("portal.anonymous", 1, 65, otherwise="identity.valid"),)
_USER = (_s("identity.valid", 3),)
_HIT = (_s("cache.hit", 0.6),)
_MISS = (_s("cache.miss", 0.6), _s("postgres.read", 7), _s("cache.put", 0.8))


def _done(status: int = 200) -> Steps:
    web = "web.access" if status < 400 else "web.refused"  # noqa: PLR2004 -- RFC 9110, 15.5: the client erred
    return _s("portal.answered", 1.4, status=status), _s(web, 0.7, status=status)


def _told(message: str, ms: float, topic: str) -> Steps:
    """Return what happens behind the answer: a message goes through the queue to a worker."""
    return _s("queue.published", 2, topic=topic), _s("notify.taken", 45), _s(message, ms)


FAILURES: dict[str, Steps] = {
    "identity": (_s("identity.refused", 2_000),),
    "booking": (_s("postgres.rollback", 6), _s("booking.conflict", 700)),
    "pricing": (_s("pricing.failed", 1_500),),
    "tracking": (_s("postgres.cancelled", 3_000), _s("tracking.failed", 3)),
    "search": (_s("search.failed", 900),),
    "billing": (_s("billing.again", 2_500, attempt=1), _s("billing.failed", 2_500)),
    "documents": (_s("documents.failed", 4_000),),
    "storage": (_s("storage.failed", 1_200),),
    "postgres": (_s("postgres.cancelled", 3_000),),
    "cache": (_s("cache.refused", 2), _s("portal.again", 20, upstream="cache", attempt=1), _s("cache.refused", 2)),
    "queue": (_s("queue.refused", 40),),
    "scans": (_s("scans.refused", 12),),
}
"""What a service writes when it fails; each also happens singly in usual traffic."""


def fail(service: str) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when `service` fails: up to its first line, then the failure, then a 5xx."""
    status = 503 if service in {"search", "queue", "cache"} else 500
    tail = (
        *(replace(step, direct=True) for step in FAILURES[service]),
        replace(_s("portal.failed", 1.5, upstream=service, status=status), direct=True),
        replace(_s("web.failed", 0.8, status=status), direct=True),
    )

    def failed(scenario: Scenario) -> Scenario:
        at = next(i for i, step in enumerate(scenario.steps) if MESSAGES[step.message].service == service)
        entered = 1 if service in {"scans", "billing"} else 0  # their first line only says that they were asked
        steps = (*scenario.steps[: at + entered], *tail)
        if scenario.steps[0].message == "scans.received":  # devices have no portal before them
            steps = tuple(step for step in steps if not step.message.startswith(("portal.", "web.")))
        return replace(scenario, steps=steps, tries=1)

    return failed


def without(message: str) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when the step `message` is left out."""

    def dropped(scenario: Scenario) -> Scenario:
        at = _position(scenario, message)
        after = (replace(step, direct=True) for step in scenario.steps[at + 1 : at + 2])
        return replace(scenario, steps=(*scenario.steps[:at], *after, *scenario.steps[at + 2 :]))

    return dropped


def early(message: str, before: str) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when the step `message` comes right before another one."""

    def moved(scenario: Scenario) -> Scenario:
        step = replace(scenario.steps[_position(scenario, message)], direct=True)
        rest = tuple(one for one in scenario.steps if one.message != message)
        at = next(i for i, one in enumerate(rest) if one.message == before)
        overtaken = replace(rest[at], direct=True)
        return replace(scenario, steps=(*rest[:at], step, overtaken, *rest[at + 1 :]))

    return moved


def repeated(*messages: str, times: int = 2) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when the last steps `messages` happen `times` times."""

    def again(scenario: Scenario) -> Scenario:
        first = _position(scenario, messages[0])
        more = tuple(replace(step, direct=True) for step in scenario.steps[first:] if step.message in messages)
        return replace(scenario, steps=scenario.steps + more * (times - 1))

    return again


def pressed(message: str, before: str, times: int) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when `message` (an attempt) comes `times` times before another step."""

    def again(scenario: Scenario) -> Scenario:
        rest = tuple(one for one in scenario.steps if one.message != message)
        at = next(i for i, one in enumerate(rest) if one.message == before)
        tries = tuple(replace(_s(message, 1_200, attempt=i + 1), direct=True) for i in range(times))
        return replace(scenario, steps=(*rest[:at], *tries, *rest[at:]))

    return again


def expired(service: str) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when `service` finds an expired certificate where it has to connect to."""
    tail = (
        _s(f"{service}.certificate", 35),
        _s("portal.failed", 1.5, upstream=service, status=502),
        _s("web.failed", 0.8, status=502),
    )

    def refused(scenario: Scenario) -> Scenario:
        at = next(i for i, step in enumerate(scenario.steps) if MESSAGES[step.message].service == service)
        entered = 1 if service == "billing" else 0
        steps = (*scenario.steps[: at + entered], *(replace(step, direct=True) for step in tail))
        return replace(scenario, steps=steps, tries=1)

    return refused


def slowed(service: str) -> Callable[[Scenario], Scenario]:
    """Return a request whose lines of `service`, and of those who wait for it, show how long it took."""
    waiting = {service, "portal", "web"}

    def marked(scenario: Scenario) -> Scenario:
        first = next(i for i, step in enumerate(scenario.steps) if service in _writers(step))
        steps = (
            replace(step, direct=i >= first and not waiting.isdisjoint(_writers(step)))
            for i, step in enumerate(scenario.steps)
        )
        return replace(scenario, steps=tuple(steps))

    return marked


def into(other: str) -> Callable[[Scenario], Scenario]:
    """Return how a request goes on when it has to go the way of another scenario."""

    def instead(scenario: Scenario) -> Scenario:
        own = {step.message for step in scenario.steps}
        steps = (replace(step, direct=step.message not in own) for step in BY_NAME[other].steps)
        return replace(BY_NAME[other], steps=tuple(steps))

    return instead


def through(service: str) -> tuple[str, ...]:
    """Return the scenarios that come, at least sometimes, to `service`."""
    return tuple(scenario.name for scenario in SCENARIOS if service in scenario.services)


def served_by(service: str) -> tuple[str, ...]:
    """Return the scenarios that can fail in `service`."""
    return tuple(scenario.name for scenario in SCENARIOS if service in scenario.failing)


def same(scenario: Scenario) -> Scenario:
    """Return the scenario as it is."""
    return scenario


def _position(scenario: Scenario, message: str) -> int:
    return next(i for i, step in enumerate(scenario.steps) if step.message == message)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "track a parcel", 2_000, "GET", "/parcels/{parcel}",
        (*_ACCEPT, *_GUEST, *_HIT, _s("tracking.estimate", 2, 40), _s("tracking.shown", 6), *_done()),
    ),
    Scenario(
        "track a parcel, not cached", 820, "GET", "/parcels/{parcel}",
        (*_ACCEPT, *_GUEST, *_MISS, _s("tracking.late", 1, 4), _s("tracking.shown", 9), *_done()),
    ),
    Scenario(
        "track an unknown parcel", 190, "GET", "/parcels/{parcel}",
        (*_ACCEPT, *_GUEST, _s("cache.miss", 0.6), _s("postgres.read", 5), _s("tracking.unknown", 3), *_done(404)),
    ),
    Scenario(
        "partner asks for a state", 700, "GET", "/api/v2/parcels/{parcel}/state",
        (*_ACCEPT, _s("portal.limit", 0.4, 12), *_HIT, _s("tracking.shown", 5), *_done()),
        rhythm="machines",
    ),
    Scenario(
        "log in", 520, "POST", "/login",
        (*_ACCEPT, _s("identity.lookup", 9), _s("identity.login", 70), _s("identity.audit", 2), *_done()),
    ),
    Scenario(
        "log in, password mistyped", 120, "POST", "/login",
        (*_ACCEPT, _s("identity.lookup", 9), _s("identity.wrong", 70), _s("identity.locked", 1, 3), *_done(401)),
        tries=3,
    ),
    Scenario(
        "list shipments", 620, "GET", "/shipments",
        (*_ACCEPT, *_USER, _s("postgres.read", 9), _s("booking.listed", 6), *_done()),
    ),
    Scenario(
        "ask for a price", 760, "POST", "/quotes",
        (
            *_ACCEPT, *_GUEST, _s("pricing.zones", 4), _s("pricing.fallback", 180, 4), _s("pricing.quoted", 14),
            *_done(),
        ),
    ),
    Scenario(
        "book a shipment", 460, "POST", "/shipments",
        (
            *_ACCEPT, *_USER, _s("booking.draft", 6), _s("booking.checked", 5), _s("pricing.quoted", 14),
            _s("booking.created", 8), _s("postgres.lock", 40, 5), _s("postgres.commit", 5), _s("documents.label", 60),
            _s("storage.put", 14), _s("booking.confirmed", 5), *_done(201), *_told("notify.mail", 380, "bookings"),
        ),
    ),
    Scenario(
        "book abroad", 90, "POST", "/shipments",
        (
            *_ACCEPT, *_USER, _s("booking.draft", 6), _s("booking.checked", 5), _s("pricing.quoted", 16),
            _s("booking.customs", 6, most=3), _s("booking.created", 8), _s("postgres.commit", 5),
            _s("documents.font", 2, 3), _s("documents.label", 80), _s("storage.put", 14), _s("booking.confirmed", 5),
            *_done(201), *_told("notify.mail", 380, "bookings"),
        ),
    ),
    Scenario(
        "booking rejected", 80, "POST", "/shipments",
        (*_ACCEPT, *_USER, _s("booking.draft", 6), _s("booking.rejected", 4), *_done(422)),
    ),
    Scenario(
        "download a label", 380, "GET", "/labels/{object}",
        (*_ACCEPT, *_USER, _s("documents.found", 4), _s("storage.get", 12), _s("documents.served", 5), *_done()),
    ),
    Scenario(
        "look for an address", 560, "GET", "/addresses",
        (*_ACCEPT, *_GUEST, _s("search.shard", 90, 2), _s("search.query", 22), *_done()),
    ),
    Scenario(
        "look for an address, nothing found", 90, "GET", "/addresses",
        (*_ACCEPT, *_GUEST, _s("search.nothing", 24), *_done()),
    ),
    Scenario(
        "move a delivery", 150, "PUT", "/parcels/{parcel}/slot",
        (
            *_ACCEPT, *_USER, _s("postgres.read", 6), _s("booking.moved", 8), _s("postgres.commit", 5),
            _s("cache.dropped", 1), *_done(), *_told("notify.push", 120, "bookings"),
        ),
    ),
    Scenario(
        "cancel a shipment", 70, "DELETE", "/shipments/{shipment}",
        (*_ACCEPT, *_USER, _s("booking.cancelled", 8), _s("postgres.commit", 5), _s("cache.dropped", 1), *_done(204)),
    ),
    Scenario(
        "pay an invoice", 190, "POST", "/invoices/{invoice}/payment",
        (
            *_ACCEPT, *_USER, _s("billing.charge", 6), _s("billing.again", 1_800, 2, attempt=1),
            _s("billing.authorised", 260), _s("billing.booked", 6), _s("postgres.commit", 5), *_done(),
            *_told("notify.receipt", 360, "payments"),
        ),
    ),
    Scenario(
        "payment declined", 30, "POST", "/invoices/{invoice}/payment",
        (*_ACCEPT, *_USER, _s("billing.charge", 6), _s("billing.declined", 240), *_done(402)),
    ),
    Scenario(
        "export a statement", 60, "GET", "/statements/{object}",
        (
            *_ACCEPT, *_USER, _s("postgres.read", 30), _s("billing.export", 180), _s("storage.put", 20),
            _s("storage.get", 10), *_done(),
        ),
    ),
    Scenario(
        "import addresses", 40, "POST", "/addresses",
        (*_ACCEPT, *_USER, _s("storage.put", 16), _s("booking.imported", 90), _s("postgres.commit", 12), *_done(202)),
    ),
    Scenario(
        "register", 45, "POST", "/accounts",
        (
            *_ACCEPT, _s("identity.lookup", 8), _s("identity.registered", 30), _s("postgres.commit", 5), *_done(201),
            *_told("notify.mail", 380, "bookings"),
        ),
    ),
    Scenario(
        "forgotten password", 40, "POST", "/accounts/reset",
        (*_ACCEPT, _s("identity.lookup", 8), _s("identity.resetmail", 6), *_done(202)),
    ),
    Scenario(
        "change a profile", 60, "PUT", "/account",
        (*_ACCEPT, *_USER, _s("booking.profile", 7), _s("postgres.commit", 5), *_done()),
    ),
    Scenario(
        "scan a parcel", 1_900, "POST", "/scans",
        (
            _s("scans.received", 0), Step("scans.decoded", 8, 94, otherwise="scans.unreadable"),
            _s("scans.accepted", 3), _s("queue.published", 2, topic="scans"), _s("tracking.updated", 30),
            _s("postgres.commit", 5), _s("cache.dropped", 1),
        ),
        rhythm="machines",
    ),
    Scenario(
        "scan a parcel, code typed in", 70, "POST", "/scans",
        (
            _s("scans.received", 0), _s("scans.unreadable", 8, most=5), _s("scans.manual", 9_000),
            _s("scans.accepted", 3), _s("queue.published", 2, topic="scans"), _s("tracking.updated", 30),
            _s("postgres.commit", 5), _s("cache.dropped", 1),
        ),
        rhythm="machines",
    ),
    Scenario(
        "scans after a time offline", 60, "POST", "/scans/batch",
        (
            _s("scans.offline", 0), _s("scans.battery", 1, 12), _s("scans.decoded", 7, most=8),
            _s("scans.unreadable", 8, 30), _s("scans.accepted", 3), _s("queue.published", 2, topic="scans"),
            _s("tracking.updated", 40), _s("postgres.commit", 6), _s("cache.dropped", 1),
        ),
        rhythm="machines",
    ),
    Scenario(
        "hand over a parcel", 330, "POST", "/scans/proof",
        (
            _s("scans.received", 0), _s("scans.decoded", 8), _s("scans.accepted", 3), _s("documents.proof", 35),
            _s("storage.put", 18), _s("tracking.delivered", 12), _s("postgres.commit", 5), _s("cache.dropped", 1),
            *_told("notify.push", 120, "scans"),
        ),
        rhythm="machines",
    ),
    Scenario(
        "tell a partner", 360, "POST", "/hooks",
        (
            _s("queue.published", 0, topic="hooks"), _s("notify.taken", 60),
            _s("notify.again", 2_000, 5, attempt=1), _s("notify.hook", 140, status=200),
        ),
        rhythm="machines",
    ),
    Scenario(
        "device asks for firmware", 40, "GET", "/devices/{device}",
        (_s("scans.firmware", 0), _s("storage.get", 15), _s("scans.battery", 2, 8)),
        rhythm="machines",
    ),
)  # fmt: skip
"""Usual traffic."""

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
