"""The machines of the data centre, and what runs on each of them."""

from __future__ import annotations

HOSTS: dict[str, tuple[str, ...]] = {
    # the web tier: one entry a request, as an access log has it; and what the same servers say otherwise
    "web": ("edge-01", "edge-02", "edge-03"),
    "proxy": ("edge-01", "edge-02", "edge-03"),
    # applications
    "portal": ("app-01", "app-02", "app-03"),
    "identity": ("app-04", "app-05"),
    "booking": ("app-01", "app-02", "app-03"),
    "pricing": ("app-04", "app-05"),
    "tracking": ("app-06", "app-07", "app-08"),
    "search": ("app-07", "app-08"),
    "billing": ("app-02", "app-03"),
    "documents": ("app-05", "app-06"),
    "scans": ("work-03", "work-04"),
    "notify": ("work-01", "work-02"),
    # what they stand on
    "postgres": ("db-01", "db-02", "db-03"),
    "cache": ("cache-01", "cache-02"),
    "queue": ("mq-01", "mq-02"),
    "storage": ("stor-01", "stor-02", "stor-03"),
    # the machines themselves, and who looks after them
    "agent": (
        "edge-01", "edge-02", "edge-03", "app-01", "app-02", "app-03", "app-04", "app-05", "app-06", "app-07",
        "app-08", "work-01", "work-02", "work-03", "work-04", "db-01", "db-02", "db-03", "cache-01", "cache-02",
        "mq-01", "mq-02", "stor-01", "stor-02", "stor-03", "ops-01",
    ),
    "system": (
        "edge-01", "edge-02", "edge-03", "app-01", "app-02", "app-03", "app-04", "app-05", "app-06", "app-07",
        "app-08", "work-01", "work-02", "work-03", "work-04", "db-01", "db-02", "db-03", "cache-01", "cache-02",
        "mq-01", "mq-02", "stor-01", "stor-02", "stor-03", "ops-01",
    ),
    "sshd": ("ops-01",),
    "operations": ("ops-01",),
    # network devices
    "firewall": ("fw-01", "fw-02"),
    "router": ("rtr-01", "rtr-02"),
    "switch": ("sw-01", "sw-02", "sw-03", "sw-04"),
}  # fmt: skip
"""The services and where each of them runs; each has a log of its own."""

SERVICES = tuple(HOSTS)
DEVICES = frozenset({"firewall", "router", "switch"})
"""Write syslog in the old form (RFC 3164), as such devices do."""
PRIMARY = HOSTS["postgres"][:1]
ALL_HOSTS = tuple(sorted({host for hosts in HOSTS.values() for host in hosts}))


def services_on(host: str) -> tuple[str, ...]:
    """Return what runs on `host`, besides what runs everywhere."""
    return tuple(s for s, hosts in HOSTS.items() if host in hosts and s not in {"agent", "system"})
