"""Log stores are asked page by page: every entry once, in order, never too often, and failures pass.

Against small servers that answer as Loki's and Elasticsearch's documents say; a real one of either was not asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oddlog.errors import ConfigError, InputError
from oddlog.sources.asking import CROWDED, FAILED, Asked, fetch
from oddlog.sources.elastic import Elastic
from oddlog.sources.loki import Loki
from oddlog.testing import check_source
from oddlog.types import Tally
from stores import ElasticServer, LokiServer, running

NOW = 1_772_438_400_000_000_000  # 2026-03-02 08:00
SECOND = 1_000_000_000
QUERY = "query=%7Bapp%3D~%22.%2B%22%7D"


@pytest.fixture
def loki() -> Iterator[LokiServer]:
    with running(LokiServer()) as server:
        yield server


@pytest.fixture
def elastic() -> Iterator[ElasticServer]:
    with running(ElasticServer()) as server:
        yield server


class Time:
    """A clock that goes on while somebody waits."""

    def __init__(self) -> None:
        self.s = 0.0

    def wait(self, seconds: float) -> None:
        self.s += seconds

    def asked(self, store: object, tally: Tally, **options: object) -> Asked:
        return Asked(
            store, tally, clock=lambda: self.s, now=lambda: NOW + round(self.s * SECOND), wait=self.wait, **options
        )


def put_loki(server: LokiServer, *seconds: float, app: str = "shop", text: str = "line") -> None:
    for at in seconds:
        server.entries.append((NOW + round(at * SECOND), {"app": app}, f"{text} {at}"))


def put_elastic(server: ElasticServer, *seconds: float, text: str = "line") -> None:
    for at in seconds:
        time = datetime.fromtimestamp((NOW + round(at * SECOND)) / SECOND, UTC)
        body = {"@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z", "message": f"{text} {at}"}
        server.documents.append((f"id{len(server.documents)}", body))


def messages(source: Asked, polls: int = 20) -> list[str]:
    return [json.loads(text)["message"] for _ in range(polls) for text in source.poll(100, 1.0).lines["text"]]


def all_of(store: Loki | Elastic, tally: Tally | None = None, most: int = 10_000) -> list[tuple[str, str]]:
    pages = fetch(store, tally or Tally(), most_lines=most, now=lambda: NOW, wait=lambda _: None)
    return [(source, json.loads(text)["message"]) for page in pages for source, text in page]


@pytest.mark.parametrize("limit", [2, 3, 5, 100])
def test_a_stretch_of_time_is_fetched_in_pages_of_any_size(loki: LokiServer, limit: int):
    put_loki(loki, -7_200, -60, -60, -59.5, -1)
    put_loki(loki, -60, app="pay")
    put_loki(loki, -90_000, 1)  # before and after what is asked for
    found = all_of(Loki(f"loki+http://{loki.host}/?{QUERY}&limit={limit}&since=24h"))
    assert [text for source, text in found if source.endswith("/shop")] == [
        "line -7200", "line -60", "line -60", "line -59.5", "line -1",
    ]  # fmt: skip
    assert [source for source, _ in found if source.endswith("/pay")] == [f"loki+http://{loki.host}/pay"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_documents_are_fetched_in_pages_of_any_size(elastic: ElasticServer, limit: int):
    put_elastic(elastic, -7_200, -60, -60, -59.5, -1, 1)
    found = all_of(Elastic(f"es+http://{elastic.host}/web-*?query=x&limit={limit}"))
    assert [text for _, text in found] == ["line -7200", "line -60", "line -60", "line -59.5", "line -1"]
    assert {source for source, _ in found} == {f"es+http://{elastic.host}/web-*"}
    path, body, _ = elastic.asked[0]
    assert path == "/web-%2A/_search"
    assert body["query"]["bool"]["filter"][1] == {"query_string": {"query": "x"}}


def test_loki_keeps_the_contract(loki: LokiServer):
    put_loki(loki, -300, -200, -200, -100, -50)
    put_loki(loki, -200, app="pay")
    name, time = f"loki+http://{loki.host}", Time()

    def text(at: float, app: str) -> str:
        labels = {"app": app, "timestamp": str(NOW + round(at * SECOND)), "service": app}
        return json.dumps(labels | {"message": f"line {at}"}, separators=(",", ":"))

    expected = [(f"{name}/shop", text(at, "shop")) for at in (-300, -200, -200, -100, -50)]
    check_source(
        lambda at: time.asked(Loki(f"{name}/?{QUERY}&limit=2&since=1h"), Tally(), position=at, from_start=True),
        [*expected, (f"{name}/pay", text(-200, "pay"))],
    )


def test_elasticsearch_keeps_the_contract(elastic: ElasticServer):
    put_elastic(elastic, -300, -200, -200, -100, -50)
    name, time = f"es+http://{elastic.host}/web", Time()
    check_source(
        lambda at: time.asked(Elastic(f"{name}?limit=2&since=1h"), Tally(), position=at, from_start=True),
        [(name, json.dumps(body, separators=(",", ":"))) for _, body in elastic.documents],
    )


def test_only_what_comes_now_is_handed_over_once_it_has_settled(loki: LokiServer):
    time = Time()
    put_loki(loki, -60)
    source = time.asked(Loki(f"loki+http://{loki.host}/?{QUERY}"), Tally())
    put_loki(loki, 1, 2)
    assert messages(source, 3) == []  # 3 s: younger than 5 s
    put_loki(loki, 1.5)  # shown late
    assert messages(source, 20) == ["line 1", "line 1.5", "line 2"]
    assert len(loki.asked) <= 1 + 23 / 5 + 1  # every five seconds


def test_a_failure_passes_and_nothing_is_missing(loki: LokiServer):
    time, tally = Time(), Tally()
    source = time.asked(Loki(f"loki+http://{loki.host}/?{QUERY}"), tally)
    put_loki(loki, 1, 8, 20)
    loki.failures = [(500, {}, "too many outstanding requests"), (429, {"Retry-After": "30"}, "")]
    assert messages(source, 80) == ["line 1", "line 8", "line 20"]
    assert tally.counts[FAILED] == 2
    assert "too many outstanding requests" in tally.examples[FAILED]
    loki.server.server_close()


def test_what_a_store_refuses_is_the_users_to_mend(loki: LokiServer):
    loki.failures = [(400, {}, "parse error : syntax error: unexpected IDENTIFIER")] * 2
    store = Loki(f"loki+http://{loki.host}/?{QUERY}")
    with pytest.raises(InputError, match=r"answered 400: parse error"):
        all_of(store)
    with pytest.raises(InputError, match=r"answered 400: parse error"):
        Time().asked(store, Tally(), from_start=True)


def test_a_fetch_gives_up_after_five_tries():
    with pytest.raises(InputError, match="cannot be reached"):
        all_of(Loki(f"loki+http://127.0.0.1:9/?{QUERY}"))


def test_at_start_a_store_that_is_away_is_awaited():
    time, tally = Time(), Tally()
    source = time.asked(Loki(f"loki+http://127.0.0.1:9/?{QUERY}"), tally, from_start=True)
    assert messages(source, 3) == []
    assert tally.counts[FAILED] >= 1


def test_more_entries_than_a_page_in_one_moment_are_read_and_what_cannot_be_is_counted(
    elastic: ElasticServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("oddlog.sources.elastic.LARGEST_PAGE", 6)
    put_elastic(elastic, *[-60] * 5, -50)
    tally = Tally()
    assert len(all_of(Elastic(f"es+http://{elastic.host}/web?limit=2"), tally)) == 6
    assert not tally.counts
    put_elastic(elastic, *[-60] * 3)
    assert len(all_of(Elastic(f"es+http://{elastic.host}/web?limit=2"), tally)) == 7
    assert tally.counts[CROWDED] == 1


def test_a_fetch_ends_at_the_most_and_says_so(loki: LokiServer):
    put_loki(loki, *range(-100, 0))
    tally = Tally()
    assert len(all_of(Loki(f"loki+http://{loki.host}/?{QUERY}&limit=30"), tally, most=50)) == 50
    assert tally.counts["log store read only up to 50 entries (most=)"] == 1


def test_who_asks_says_who_it_is_and_tells_nobody_else(loki: LokiServer, elastic: ElasticServer, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    all_of(Loki(f"loki+http://u:p%40ss@{loki.host}/base/?{QUERY}&tenant=blue&since=1h"))
    path, _, headers = loki.asked[0]
    assert path == "/base/loki/api/v1/query_range"
    assert (headers["Authorization"], headers["X-Scope-Orgid"]) == ("Basic dTpwQHNz", "blue")
    all_of(Elastic(f"es+http://{elastic.host}/web?token-file={token}&since=1h"))
    assert elastic.asked[0][2]["Authorization"] == "Bearer s3cret"
    all_of(Elastic(f"es+http://{elastic.host}/web?api-key-file={token}&since=1h"))
    assert elastic.asked[-1][2]["Authorization"] == "ApiKey s3cret"
    assert "p%40ss" not in Loki(f"loki+http://u:p%40ss@{loki.host}/?{QUERY}").name


def test_links_lead_to_the_entries_or_to_the_page_that_was_named():
    store = Loki(f"loki+http://u:p@loki:3100/?{QUERY}")
    assert store.link(NOW, NOW + SECOND) == (
        f"http://loki:3100/loki/api/v1/query_range?query=%7Bapp%3D~%22.%2B%22%7D&start={NOW}&end={NOW + SECOND}"
        "&direction=forward"
    )
    named = Loki(f"loki+http://loki:3100/?{QUERY}&link=https%3A%2F%2Fg%2Fexplore%3Ff%3D%7Bstart%7D%26t%3D%7Bend%7D")
    assert named.link(NOW, NOW + SECOND) == "https://g/explore?f=1772438400000&t=1772438401000"
    es = Elastic("es+http://es:9200/web?query=status:500").link(NOW, NOW + SECOND)
    assert es.startswith(
        "http://es:9200/web/_search?q=%28status%3A500%29+AND+%40timestamp%3A%5B2026-03-02T08%3A00%3A00"
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Loki("loki+http://loki:3100/"), "asks for nothing"),
        (lambda: Loki("loki+http:///?query={a}"), "names no log store"),
        (lambda: Loki(f"loki+http://l/?{QUERY}&sinse=1h"), "Did you mean 'since'"),
        (lambda: Loki(f"loki+http://l/?{QUERY}&since=yesterday"), "is no time"),
        (lambda: Loki(f"loki+http://l/?{QUERY}&limit=many"), "is no number"),
        (lambda: Elastic("es+http://es:9200/"), "names no index"),
        (lambda: Elastic("es+http://es:9200/web?limit=50000"), "more than Elasticsearch gives"),
        (lambda: Elastic("es+http://es:9200/web?token-file=/nowhere"), "cannot be read"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_with_a_hint(make: Callable[[], object], said: str):
    with pytest.raises((ConfigError, InputError), match=said):
        make()
