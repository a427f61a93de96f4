"""Incidents by Apprise, with a service of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oddlog.errors import ConfigError, SinkUnavailableError
from oddlog.sinks import parse
from oddlog.testing import check_sink, live_incidents

apprise = pytest.importorskip("apprise", reason="the extra notify is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it


class Notes:
    """What the service was told, and whether it takes it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.takes = True


@pytest.fixture
def notes() -> Iterator[Notes]:
    made = Notes()

    @apprise.decorators.notify(on="oddtest")
    def tell(body: str, title: str, notify_type: object, *_args: object, **_more: object) -> bool:
        made.told.append((str(getattr(notify_type, "value", notify_type)), title, body))
        return made.takes

    yield made
    apprise.plugins.N_MGR.remove("oddtest")


def test_a_service_of_apprise_keeps_the_contract(notes: Notes):
    check_sink(lambda: parse("apprise+oddtest://"))
    assert len(notes.told) == 2 * len(live_incidents())
    assert {kind for kind, _, _ in notes.told} == {"warning", "success"}


def test_what_a_service_does_not_take_is_tried_again(notes: Notes):
    notes.takes = False
    with pytest.raises(SinkUnavailableError):
        parse("apprise+oddtest://").send(live_incidents()[0])


def test_a_service_that_apprise_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="knows no service"):
        parse("apprise+nowhere://topic")


def test_the_name_of_a_sink_holds_no_secret():
    name = parse("apprise+ntfy://s3cret-topic").name
    assert name.startswith("apprise+ntfy://…")
    assert "s3cret" not in name
