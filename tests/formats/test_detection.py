"""The right format wins, with a confidence that means something."""

from __future__ import annotations

import polars as pl
import pytest

from oddlog.errors import FormatError
from oddlog.formats import FORMATS, by_name, detect_format, register, registry
from oddlog.formats.plain import Plain

OPENSTACK = "2024-11-20 10:11:12.345 17 INFO nova.api [-] request {}"
LOG4J = "2024-11-20 10:11:12,345 INFO [main] org.example.App: request {}"
SYSLOG = "Nov 20 10:11:12 web-1 app[7]: request {}"


def many(*lines: str, n: int = 50) -> pl.Series:
    return pl.Series([line.format(i) for i in range(n) for line in lines])


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ([OPENSTACK], "openstack"),
        ([LOG4J], "log4j"),
        ([SYSLOG], "syslog"),
        (["241120 101112 7 INFO dfs.DataNode: block {}"], "hdfs"),
        (["2024-11-20 10:11:12 request {}"], "timestamp"),
        (["request {}"], "plain"),
        (["a,b\nrequest, {}"], "plain"),
        (["user=anna did something on {} and nothing else of note"], "plain"),
        (["a=1 b={}"], "logfmt"),
        ([LOG4J, "\tat org.example.App.run(App.java:17)", "Caused by: x", "", "  more"], "log4j"),
        ([LOG4J, LOG4J, LOG4J, LOG4J, "some line without a header {}"], "log4j"),
        (["some", "prose", "here", LOG4J], "plain"),
    ],
)
def test_the_format_that_fits_wins(lines: list[str], name: str) -> None:
    assert detect_format(many(*lines), year=2024).format.name == name


def test_confidence_is_the_share_of_telling_lines() -> None:
    found = detect_format(many(LOG4J, LOG4J, LOG4J, "no header {}", "  a continuation", ""), year=2024)
    assert (found.format.name, found.confidence, found.share_ok) == ("log4j", 0.75, 0.75)
    assert found.alternatives == (("timestamp", 0.75), ("plain", 0.1))


def test_plain_text_has_the_lowest_confidence() -> None:
    found = detect_format(many("just words {}"), year=2024)
    assert (found.format.name, found.confidence, found.share_ok) == ("plain", 0.1, 1.0)


def test_times_that_cannot_be_are_not_trusted() -> None:
    assert detect_format(many("1024-11-20 10:11:12 request {}"), year=2024).format.name == "plain"


def test_only_named_formats_are_considered() -> None:
    text = many(LOG4J)
    assert detect_format(text, year=2024, names=["timestamp", "plain"]).format.name == "timestamp"
    assert detect_format(text, year=2024, names=["hdfs"]).format.name == "hdfs"
    assert detect_format(text, year=2024, names=["hdfs"]).confidence == 0.0


def test_at_most_a_thousand_lines_are_looked_at() -> None:
    text = pl.concat([many(LOG4J, n=1_000), many("prose {}", n=5_000)])
    assert detect_format(text, year=2024).confidence == 1.0


@pytest.mark.parametrize("texts", [[], [""], ["", "  "]])
def test_nothing_to_look_at_is_plain_text(texts: list[str]) -> None:
    assert detect_format(pl.Series(texts, dtype=pl.String), year=2024).format.name == "plain"


def test_an_unknown_name_says_what_was_meant() -> None:
    with pytest.raises(FormatError, match=r"no format called 'sylog'.*Did you mean 'syslog'\?"):
        by_name("sylog")


def test_a_named_format_that_cannot_be_read_at_all_says_so() -> None:
    with pytest.raises(FormatError, match="cannot be read as 'csv'"):
        detect_format(many(LOG4J), year=2024, names=["csv"])


class Third(Plain):
    """A format from elsewhere."""

    name = "third-party"


def test_a_registered_format_is_found_by_name_and_may_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    first = Third()
    register(first)
    register(Third())
    assert isinstance(by_name("third-party"), Third)
    assert "third-party" not in [f.name for f in FORMATS]


def test_a_taken_name_is_refused() -> None:
    class Impostor(Plain):
        name = "json"

    with pytest.raises(FormatError, match="already a format called 'json'"):
        register(Impostor())
