"""Which sources of training are not here, by who wrote what."""

from __future__ import annotations

import polars as pl

from oddlog.rates import Absent, Origin, Origins, Wrote, joined

ROUTER = Origin(("router.log",), 1, (("kernel", "gw1", 4_198), ("dhcpd", "gw1", 3_362)))
WEB = Origin(("web-1.export",), 1, (("kernel", "web-1", 591), ("sshd", "web-1", 1_801)))
APP = Origin(("app.log",), 1, (("orders", "", 900), ("pool", "", 100), ("", "", 3)))
OLD = Origin(("app.log.1",), 1, (("orders", "", 800),))
ACCESS = Origin(("access.log",), 1, (("", "", 5_000),))


def test_sources_that_share_a_service_of_a_host_are_one():
    names = [one.names for one in joined([ROUTER, APP, WEB, ACCESS, OLD])]
    assert names == [("router.log",), ("web-1.export",), ("access.log",), ("app.log", "app.log.1")]


def test_a_service_that_an_absent_source_wrote_most_of_is_not_expected():
    origins = Origins(joined([ROUTER, WEB, APP, ACCESS]), {0: {"kernel": 4_198}, 1: {"sshd": 1_801}, 2: {"orders": 9}})
    absent = origins.absent({("sshd", "web-1"), ("kernel", "web-1")}, ["today/web-1.export"])
    assert absent.services == {"kernel", "dhcpd", "orders", "pool", ""}
    assert absent.hosts == {"gw1"}
    assert absent.templates == {0, 2}
    assert absent.says.startswith("3 of the 4 sources of training are not here: router.log, app.log, access.log. ")


def test_one_service_of_a_source_is_enough_for_it_to_be_here():
    origins = Origins((ROUTER, APP, ACCESS), {})
    absent = origins.absent({("pool", ""), ("", "")}, [])
    assert absent.origins == (ROUTER,)


def test_nothing_is_absent_where_nothing_at_all_is_known_or_a_file_of_that_name_was_read():
    origins = Origins((ROUTER, APP), {})
    assert origins.absent({("else", "")}, []) == Absent()
    assert not origins.absent({("pool", "")}, ["/var/log/router.log"])


def test_what_was_written_is_noted_block_by_block_and_kept_in_a_model():
    wrote = Wrote()
    block = pl.DataFrame({"source": [0, 0, 1], "service": [1, 0, 0], "host": [0, 0, 1], "count": [2, 1, 4]})
    wrote.add(block)
    wrote.add(block)
    found = wrote.origins(["a", "b"], ["", "app"], ["", "h"])
    assert found == (Origin(("a",), 1, (("", "", 2), ("app", "", 4))), Origin(("b",), 1, (("", "h", 8),)))
    assert wrote.pairs(["", "app"], ["", "h"]) == {("app", ""), ("", "h")}
    origins = Origins(found, {3: {"app": 4}})
    assert Origins.from_states(origins.state()) == origins
    assert Origins.from_states({}) is None
