"""What goes wrong, one: the kinds that training may hold too.

Each kind has variants: where, how strong, how long. A kind is a function that lays out one incident.
"""

from __future__ import annotations

from oddlog.datasets.simulator.datacentre.effects import (
    MINUTE_US,
    ONCE,
    Change,
    Effect,
    Extra,
    Incident,
    Raised,
    Silent,
    Span,
    Told,
)
from oddlog.datasets.simulator.datacentre.estate import HOSTS, PRIMARY
from oddlog.datasets.simulator.datacentre.messages import MESSAGES
from oddlog.datasets.simulator.datacentre.requests import BY_NAME, fail, served_by, slowed, through, without
from oddlog.datasets.simulator.datacentre.scene import BY_ONE, Kind, Scene, hosts_of, said
from oddlog.datasets.simulator.datacentre.values import ADDRESSES, N_USERS
from oddlog.datasets.simulator.messages import Message


def error_spike(scene: Scene) -> Incident:
    """Lay out a service that refuses many or all requests for a while, perhaps since a deployment."""
    service = scene.next(("identity", "tracking", "pricing", "booking", "search", "documents", "cache", "storage"))
    share = scene.one((50, 80, 100))
    span = scene.meets(served_by(service), share)
    effects: list[Effect] = [Change(span, served_by(service), fail(service), (share, share))]
    if scene.one((False, False, True)):
        warning = Message(service, "WARNING", "setting 'upstream.{service}' is missing, release default is used")
        at = tuple(span.start_us + second * 1_000_000 for second in (1, 4, 9))
        given = {"service": service}
        effects += [Told(warning, at[i : i + 1], host, given) for i, host in enumerate(HOSTS[service][:3])]
    return Incident(
        "error-spike", f"{share} % of the requests fail in {service}.", span, (service, "portal", "web"),
        hosts_of(service), "", ("rate", "error_share", "unexpected_event", "missing_event", "unseen_template"),
        tuple(effects),
    )  # fmt: skip


def failed_logins(scene: Scene) -> Incident:
    """Lay out somebody who tries passwords: of many users, of one, or on the bastion."""
    address, way = scene.stranger(), scene.next(("many users", "one user", "bastion"))
    span, n = scene.lasts(6, 25), scene.number(scene.requests[0] * 3, scene.requests[1] * 3)
    name = ADDRESSES[address]
    if way == "bastion":
        tries = scene.within(span, n)
        told = Told(MESSAGES["sshd.failed"], tries, HOSTS["sshd"][0], {"stranger": name})
        what, services, effects = f"{name} tries passwords on the bastion.", ("sshd",), (told,)
        return Incident("failed-log-ins", what, span, services, hosts_of("sshd"), name, BY_ONE, effects)
    user = scene.number(0, N_USERS // 20) if way == "one user" else -1
    extra = Extra(span, "log in, password mistyped", n, user, address)
    what = f"{name} tries passwords of {way}."
    return Incident(
        "failed-log-ins", what, span, ("identity", "portal", "web"), hosts_of("identity"), name, BY_ONE, (extra,)
    )


def slow_responses(scene: Scene) -> Incident:
    """Lay out a service, or one host of it, that takes many times as long as usual."""
    service = scene.next(("identity", "tracking", "pricing", "search", "documents", "billing", "postgres", "storage"))
    times = scene.number(5, 14)
    host = scene.one(("", *HOSTS[service])) if service in {"identity", "tracking", "storage"} else ""  # the busiest
    span = scene.meets(through(service), 100 // len(HOSTS[service]) if host else 100)
    slow = (service, times * ONCE, times * ONCE)
    change = Change(span, through(service), slowed(service), slow=slow, host=(service, host) if host else None)
    where = f"{service} on {host}" if host else service
    return Incident(
        "slow-responses", f"{where} takes {times} times as long as usual.", span, (service, "portal", "web"),
        (host,) if host else hosts_of(service), host, ("out_of_range", "rate"), (change,),
    )  # fmt: skip


def exhaustion(scene: Scene) -> Incident:
    """Lay out memory, connections or a disk that fill until something fails, and the recovery."""
    of = scene.next(("memory", "connections", "disk"))
    rise = scene.lasts(80, 170)
    broken = Span(rise.end_us, rise.end_us + scene.number(6, 14) * MINUTE_US)
    whole = Span(rise.start_us, broken.end_us)
    if of == "memory":
        service = scene.one(("tracking", "search", "booking", "pricing"))
        host = scene.one(HOSTS[service])
        killed = Told(MESSAGES["system.oom"], (rise.end_us,), host, {"service": service})
        again = Told(MESSAGES["system.restarted"], (broken.end_us,), host, {"service": service})
        effects: tuple[Effect, ...] = (
            Raised(rise, "agent.usage", host, "memory", 1_000), killed, again,
            Change(broken, served_by(service), fail(service), (70, 70), host=(service, host)),
        )  # fmt: skip
        what = f"The memory of {host} fills until {service} is killed."
    elif of == "connections":
        service, host = "postgres", PRIMARY[0]
        effects = (
            Raised(rise, "postgres.pool", host, "connections", 500),
            Raised(rise, "agent.usage", host, "sockets", 520),
            Told(MESSAGES["postgres.slots"], scene.within(broken, 12), host),
            Change(broken, served_by(service), fail(service), (70, 70)),
        )
        what = f"Connections to {host} are not given back until none is left."
    else:
        service, host = "storage", scene.one(HOSTS["storage"])
        effects = (
            Raised(rise, "agent.usage", host, "disk", 1_000),
            Told(MESSAGES["storage.full"], scene.within(broken, 12), host),
            Change(broken, served_by(service), fail(service), (70, 70), host=(service, host)),
        )
        what = f"The disk of {host} fills until nothing can be written."
    expected = ("out_of_range", "ramp", "unseen_template", "error_share", "rate", "unexpected_event")
    return Incident("exhaustion", what, whole, (service, "agent"), (host,), host, expected, effects)


def missing_steps(scene: Scene) -> Incident:
    """Lay out requests of which a step is silently left out; they are answered as ever."""
    message, scenarios = scene.next(
        (
            ("identity.audit", ("log in",)),
            ("postgres.commit", ("scan a parcel", "hand over a parcel")),
            ("cache.dropped", ("scan a parcel", "hand over a parcel")),
            ("storage.put", ("book a shipment", "book abroad", "hand over a parcel")),
            ("booking.checked", ("book a shipment", "book abroad")),
            ("pricing.zones", ("ask for a price",)),
            ("tracking.updated", ("scan a parcel",)),
            ("documents.found", ("download a label",)),
        )
    )
    share = scene.one((60, 100))
    span = scene.meets(scenarios, share)
    services = tuple(dict.fromkeys((message.split(".")[0], BY_NAME[scenarios[0]].services[0])))
    return Incident(
        "missing-steps", f"'{said(message)}' is missing in {share} % of its requests.", span, services,
        hosts_of(*services), "", ("missing_event", "count_off", "unexpected_event"),
        (Change(span, scenarios, without(message), (share, share)),),
    )  # fmt: skip


def silent_service(scene: Scene) -> Incident:
    """Lay out a source that usually talks all the time and stops; there is no line to mark."""
    service = scene.next(("scans", "firewall", "agent", "proxy"))
    span = scene.lasts(50, 120)
    return Incident(
        "silent-service", f"Nothing comes from {service}.", span, (service,), hosts_of(service), service,
        ("silence", "rate"), (Silent(span, (service,)),),
    )  # fmt: skip


def ramp(scene: Scene) -> Incident:
    """Lay out six hours in which a service grows slower, or fails more and more often."""
    span = Span(scene.start_us, scene.start_us + 6 * 60 * MINUTE_US)
    if scene.next((True, False)):
        service, times = scene.one(("search", "pricing", "documents")), scene.number(5, 8)
        host = "" if service == "search" else scene.one(HOSTS[service])
        slow = (service, ONCE, times * ONCE)
        change = Change(span, through(service), slowed(service), slow=slow, host=(service, host) if host else None)
        what = f"Within six hours {service}{f' on {host}' if host else ''} becomes {times} times as slow."
        expected: tuple[str, ...] = ("ramp", "out_of_range", "rate")
    else:
        service, share, host = scene.one(("search", "pricing", "booking")), scene.number(30, 50), ""
        change = Change(span, served_by(service), fail(service), (0, share))
        what = f"Within six hours the share of requests that fail in {service} rises to {share} %."
        expected = ("ramp", "error_share", "rate", "unexpected_event", "missing_event")
    hosts, services = (host,) if host else hosts_of(service), (service, "portal", "web")
    return Incident("ramp", what, span, services, hosts, host, expected, (change,))


KNOWN: tuple[Kind, ...] = (
    error_spike,
    failed_logins,
    slow_responses,
    exhaustion,
    missing_steps,
    silent_service,
    ramp,
)
