"""What goes wrong, two: the kinds that come today alone, which nobody could have learned as such."""

from __future__ import annotations

from oddlog.datasets.simulator.datacentre.effects import MINUTE_US, Change, Extra, Incident, Raised, Skewed, Told
from oddlog.datasets.simulator.datacentre.estate import HOSTS
from oddlog.datasets.simulator.datacentre.kinds import exhaustion, ramp, silent_service
from oddlog.datasets.simulator.datacentre.messages import MESSAGES
from oddlog.datasets.simulator.datacentre.requests import early, expired, into, pressed, repeated, served_by, through
from oddlog.datasets.simulator.datacentre.scene import BY_ONE, Kind, Scene, hosts_of, said
from oddlog.datasets.simulator.datacentre.values import ADDRESSES, N_USERS


def wrong_order(scene: Scene) -> Incident:
    """Lay out requests in which a step no longer waits for the one before."""
    message, before, scenarios = scene.next(
        (
            ("booking.confirmed", "postgres.commit", ("book a shipment", "book abroad")),
            ("cache.dropped", "postgres.commit", ("scan a parcel", "hand over a parcel")),
            ("billing.booked", "billing.authorised", ("pay an invoice",)),
            ("tracking.updated", "queue.published", ("scan a parcel",)),
        )
    )
    span = scene.meets(scenarios)
    services = tuple(dict.fromkeys((message.split(".")[0], before.split(".")[0])))
    what = f"'{said(message)}' no longer waits for '{said(before)}'."
    change = Change(span, scenarios, early(message, before))
    return Incident("wrong-order", what, span, services, hosts_of(*services), "", ("unexpected_event",), (change,))


def retry_storm(scene: Scene) -> Incident:
    """Lay out calls that are tried again and again: by a worker, by billing, or by a partner's program."""
    way = scene.next(("worker", "bank", "partner"))
    if way == "partner":
        address = scene.stranger()
        span, n = scene.lasts(8, 25), scene.number(*scene.requests)
        extra = Extra(span, "partner asks for a state", n, client=address, copies=4)
        what = f"{ADDRESSES[address]} repeats each of its calls within a second."
        hosts = hosts_of("portal")
        return Incident("retry-storm", what, span, ("portal", "web"), hosts, ADDRESSES[address], BY_ONE, (extra,))
    message, before, name = {
        "worker": ("notify.again", "notify.hook", "tell a partner"),
        "bank": ("billing.again", "billing.authorised", "pay an invoice"),
    }[way]
    span, times = scene.meets((name,)), scene.number(5, 9)
    service = message.split(".")[0]
    change = Change(span, (name,), pressed(message, before, times))
    what = f"{service} tries every call {times} times before it is answered."
    expected = ("count_off", "unexpected_event", "rate")
    return Incident("retry-storm", what, span, (service,), hosts_of(service), "", expected, (change,))


def clock_jump(scene: Scene) -> Incident:
    """Lay out a host whose clock is some minutes off; its lines arrive when they always do."""
    hosts = (("work-03", "scans"), ("app-04", "identity"), ("app-08", "search"), ("app-07", "tracking"))
    host, service = scene.next(hosts)
    minutes = scene.one((-11, -4, 3, 7))
    span = scene.meets(through(service), 100 // len(HOSTS[service]))
    skewed = Skewed(span, host, minutes * MINUTE_US)
    what = f"The clock of {host} is {abs(minutes)} minutes {'fast' if minutes > 0 else 'slow'}."
    expected = ("unexpected_event", "missing_event", "count_off")
    return Incident("clock-jump", what, span, (service,), (host,), host, expected, (skewed,))


def exfiltration(scene: Scene) -> Incident:
    """Lay out one account that fetches a great deal from one address, all of it allowed."""
    name = scene.next(("export a statement", "download a label"))
    address, user = scene.stranger(), scene.number(0, N_USERS - 1)
    span, n = scene.lasts(30, 80), scene.number(*scene.requests)
    extra = Extra(span, name, n, user, address, size=scene.number(20, 45))
    what = f"u{10_000 + user * 17} fetches {n} large documents from {ADDRESSES[address]}."
    services = ("billing", "storage", "web") if "export" in name else ("documents", "storage", "web")
    expected = ("out_of_range", "concentration", "rate")
    return Incident("exfiltration", what, span, services, hosts_of(services[0]), ADDRESSES[address], expected, (extra,))


def duplicated_consumer(scene: Scene) -> Incident:
    """Lay out a second worker that takes the same messages: what is told is told twice."""
    last, scenarios = scene.next(
        (
            ("notify.mail", ("book a shipment", "book abroad", "register")),
            ("notify.push", ("hand over a parcel", "move a delivery")),
        )
    )
    span = scene.meets(scenarios)
    change = Change(span, scenarios, repeated("notify.taken", last))
    what = "Every message is taken from the queue twice."
    expected = ("count_off", "unexpected_event")
    return Incident("duplicated-consumer", what, span, ("notify",), hosts_of("notify"), "", expected, (change,))


def port_scan(scene: Scene) -> Incident:
    """Lay out an address that knocks at many ports of the firewall."""
    address, host = ADDRESSES[scene.stranger()], scene.one(HOSTS["firewall"])
    span, n = scene.lasts(5, 18), scene.number(scene.requests[0] * 6, scene.requests[1] * 6)
    told = Told(MESSAGES["firewall.denied"], scene.within(span, n), host, {"stranger": address})
    what = f"{address} tries {n} ports behind {host}."
    return Incident("port-scan", what, span, ("firewall",), (host,), address, BY_ONE, (told,))


def certificate_expired(scene: Scene) -> Incident:
    """Lay out a service that cannot connect any more, as a certificate has expired."""
    service = scene.next(("billing", "identity", "documents"))
    span = scene.meets(served_by(service))
    change = Change(span, served_by(service), expired(service))
    what = f"{service} cannot connect: a certificate has expired."
    expected = ("unseen_template", "error_share", "rate")
    services = (service, "portal", "web")
    return Incident("certificate-expired", what, span, services, hosts_of(service), "", expected, (change,))


def replication_lag(scene: Scene) -> Incident:
    """Lay out a replica that falls behind, further and further."""
    host, span = scene.one(HOSTS["postgres"][1:]), scene.lasts(90, 180)
    behind = scene.number(40, 300)
    raised = Raised(span, "postgres.lag", host, "lag", behind * 1_000)
    what = f"{host} falls behind by {behind} s."
    return Incident("replication-lag", what, span, ("postgres",), (host,), host, ("out_of_range", "ramp"), (raised,))


def cold_cache(scene: Scene) -> Incident:
    """Lay out a cache that has forgotten everything: each request goes the usual long way."""
    span = scene.meets(("track a parcel",))
    change = Change(span, ("track a parcel",), into("track a parcel, not cached"))
    what = "The cache hits nothing, all requests go to the database."
    expected = ("rate", "silence", "count_off", "unexpected_event")
    return Incident("cold-cache", what, span, ("cache", "postgres"), hosts_of("cache"), "", expected, (change,))


UNKNOWN: tuple[Kind, ...] = (
    wrong_order,
    retry_storm,
    clock_jump,
    exfiltration,
    duplicated_consumer,
    port_scan,
    certificate_expired,
    replication_lag,
    cold_cache,
)
LONG = (exhaustion, ramp, silent_service, replication_lag)
"""Hours, not minutes: laid out beside the others."""
NEW_MESSAGES = frozenset({"error-spike", "exhaustion", "certificate-expired"})
"""Kinds that may write a message type, or a level, which usual traffic has not; all others never do."""
