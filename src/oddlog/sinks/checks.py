"""What every sink must keep to, as checks that anybody can run on one of their own.

For third parties they are to be had as `oddlog.testing.check_sink`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from oddlog.errors import SinkRefusedError, SinkUnavailableError
from oddlog.types import Incident, LineRef, LiveIncident, Reason, Sink


def live_incidents() -> list[LiveIncident]:
    """Return incidents that a sink must be able to take: plain, without times or lines, and with text of every kind."""
    time = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    nothing: dict[str, Any] = {"patterns": (), "new_types": (), "services": (), "hosts": (), "reasons": (), "lines": ()}
    bare = Incident("0" * 16, "a.log:1", (), 0, None, None, 1.0, 1.0, 1e-3, "f" * 16, **nothing)
    odd = "<b>&amp; \u202e \x1b[31m ` @here \U0001f600\n" + "x" * 70_000
    full = replace(
        bare,
        id="1" * 16,
        keys=("ord-1", odd[:50]),
        n_windows=2,
        start=time,
        end=time,
        services=("pay", odd[:40]),
        hosts=(odd[:40],),
        reasons=(Reason("unseen_template", odd, {"seen": 1}),),
        lines=(LineRef("a.log", 1, odd, 2.0),),
        members={"snn": 1e-9},
    )
    changes: tuple[Literal["new", "grown", "over", "withdrawn"], ...] = ("new", "grown", "over", "withdrawn")
    return [LiveIncident(one, change, change == "new") for one in (bare, full) for change in changes]


def check_sink(make: Callable[[], Sink], unavailable: Callable[[], Sink] | None = None) -> None:
    """Check that a sink keeps the contract of `types.Sink`.

    Parameters
    ----------
    make : callable
        Returns a sink whose other side takes what it gets.
    unavailable : callable, optional
        Returns one whose other side is gone.

    Raises
    ------
    AssertionError
        If it does not.

    """
    sink = make()
    assert sink.name, "a sink has a name"
    assert make().name == sink.name, "the name of a sink is the same after a restart: letters wait under it"
    for live in live_incidents():
        before = repr(live)
        sink.send(live)
        sink.send(live)  # a crash between sending and noting that it was sent sends it again
        assert repr(live) == before, "send changes nothing of the incident"
    if unavailable is None:
        return
    raised: Exception | None = None
    try:
        unavailable().send(live_incidents()[0])
    except (SinkUnavailableError, SinkRefusedError) as error:
        raised = error
    assert isinstance(raised, SinkUnavailableError), "a sink whose other side is gone raises SinkUnavailableError"
    assert raised.retry_after_s > 0, "a sink says when to try again"
