from __future__ import annotations

import re

from oddlog.datasets.simulator.datacentre.messages import MESSAGES, ODDMENTS
from oddlog.datasets.simulator.datacentre.requests import (
    BY_NAME,
    FAILURES,
    early,
    expired,
    fail,
    into,
    pressed,
    repeated,
    served_by,
    slowed,
    through,
    without,
)
from oddlog.datasets.simulator.datacentre.values import VALUES


def said(scenario):
    return [step.message for step in scenario.steps]


def shown(scenario):
    return [step.message for step in scenario.steps if step.direct]


def test_every_place_in_a_message_has_a_value():
    own = {"user", "client", "took", "elapsed", "method", "path", "status", "cpu", "memory", "disk", "load", "sockets"}
    for message in (*MESSAGES.values(), *ODDMENTS):
        values = {field.rpartition("=")[2] for field in message.fields} | set(re.findall(r"\{(\w+)\}", message.text))
        assert values <= own | set(VALUES), message


def test_the_mean_number_of_lines_counts_steps_that_happen_sometimes():
    # offline 1, battery .12, decoded 1 to 8, unreadable .3, five more
    assert round(BY_NAME["scans after a time offline"].mean_lines, 2) == 10.92
    assert BY_NAME["log in, password mistyped"].mean_lines == 2 * (1 + 1 + 1 + 0.03 + 2)


def test_a_request_that_fails_goes_up_to_the_service_and_ends_with_a_5xx():
    failed = fail("pricing")(BY_NAME["ask for a price"])
    assert said(failed) == ["portal.accepted", "portal.anonymous", "pricing.failed", "portal.failed", "web.failed"]
    assert shown(failed) == ["pricing.failed", "portal.failed", "web.failed"]
    assert {step.given["status"] for step in failed.steps if "status" in step.given} == {500}


def test_a_scan_that_fails_has_no_portal_to_say_so():
    failed = fail("tracking")(BY_NAME["scan a parcel"])
    assert said(failed)[-2:] == ["postgres.cancelled", "tracking.failed"]
    assert not {"portal.failed", "web.failed"} & set(said(failed))


def test_every_service_that_can_fail_fails_in_some_scenario():
    assert all(served_by(service) for service in FAILURES)
    assert served_by("search") == ("look for an address", "look for an address, nothing found")


def test_a_service_is_also_passed_where_it_writes_instead_of_another():
    assert "track a parcel" in through("identity")
    assert "track a parcel" not in served_by("identity")


def test_a_step_left_out_shows_in_the_line_behind_the_gap():
    gap = without("identity.audit")(BY_NAME["log in"])
    assert said(gap) == ["portal.accepted", "identity.lookup", "identity.login", "portal.answered", "web.access"]
    assert shown(gap) == ["portal.answered"]


def test_steps_out_of_order_are_both_shown():
    moved = early("billing.booked", before="billing.authorised")(BY_NAME["pay an invoice"])
    assert said(moved)[4:7] == ["billing.booked", "billing.authorised", "postgres.commit"]
    assert shown(moved) == ["billing.booked", "billing.authorised"]


def test_what_is_told_twice_is_told_once_more_at_the_end():
    twice = repeated("notify.taken", "notify.mail")(BY_NAME["register"])
    assert said(twice)[-4:] == ["notify.taken", "notify.mail", "notify.taken", "notify.mail"]
    assert shown(twice) == ["notify.taken", "notify.mail"]


def test_a_call_is_pressed_with_rising_numbers_of_attempts():
    storm = pressed("notify.again", "notify.hook", 3)(BY_NAME["tell a partner"])
    assert said(storm) == ["queue.published", "notify.taken", *["notify.again"] * 3, "notify.hook"]
    assert [step.given["attempt"] for step in storm.steps if step.message == "notify.again"] == [1, 2, 3]


def test_an_expired_certificate_is_met_where_the_service_connects():
    refused = expired("billing")(BY_NAME["pay an invoice"])
    assert said(refused)[-4:] == ["billing.charge", "billing.certificate", "portal.failed", "web.failed"]


def test_a_cold_cache_shows_in_the_steps_of_the_long_way():
    cold = into("track a parcel, not cached")(BY_NAME["track a parcel"])
    assert shown(cold) == ["cache.miss", "postgres.read", "cache.put", "tracking.late"]


def test_a_slow_service_shows_in_its_lines_and_in_those_who_wait_for_it():
    slow = slowed("pricing")(BY_NAME["ask for a price"])
    assert shown(slow) == ["pricing.zones", "pricing.fallback", "pricing.quoted", "portal.answered", "web.access"]
