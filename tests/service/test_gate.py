"""Who may do what: each rule with somebody who tries to break it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import oddlog
from oddlog.errors import ConfigError
from oddlog.pipeline.live.streaming import Streaming
from oddlog.sources.spool import Spool
from oddlog.types import Tally
from stored_incidents import live

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
from functools import partial

from fastapi.testclient import TestClient

from oddlog.service import reading
from oddlog.service.api import make_app
from oddlog.service.gate import Gate, scopes_for
from oddlog.service.limits import Rate
from oddlog.service.watching import Watching
from oddlog.service.worker import Worker
from oddlog.store import Store
from oddlog.web import pages

ORIGIN = "http://testserver"


class Served:
    """Tenants behind a gate."""

    def __init__(self, model: Path, data: Path, *tenants: str, rate: Rate | None = None, **options: object) -> None:
        self.now = datetime.now(UTC).timestamp()
        self.stores: dict[str, Store] = {}
        self.spools: dict[str, Spool] = {}
        apps = {}
        for name in ("", *tenants):
            folder = data / (name or "default")
            self.spools[name] = Spool(folder / "spool", Tally())
            self.stores[name] = Store(folder / "oddlog.db")
            own = folder / "shop.model"
            own.symlink_to(model)
            worker = Worker(self.spools[name], Streaming(oddlog.load(model)), self.stores[name])
            watching = Watching(worker, own, name=name)
            apps[name] = make_app(
                worker, rate=rate, parts=[partial(one.install, watching=watching) for one in (reading, pages)]
            )
        self.store, self.routes = self.stores[""], apps[""].routes
        self.gate = Gate(apps, self.store, pages.sign_in, clock=lambda: self.now, **options)
        self.client = TestClient(self.gate, follow_redirects=False)

    def token(self, *scopes: str, tenant: str = "", name: str = "anna", **more: object) -> dict[str, str]:
        """Make a token; return the header that brings it."""
        _, text = self.store.make_token(name, list(scopes), tenant, **more)
        self.now += 10  # what was known of tokens is looked up anew
        return {"Authorization": f"Bearer {text}"}

    def session(self, header: dict[str, str]) -> tuple[TestClient, str]:
        """Sign in; return a browser with its cookie, and what its forms bring."""
        browser = TestClient(self.gate, follow_redirects=False, headers={"Accept": "text/html"})
        text = header["Authorization"].removeprefix("Bearer ")
        assert browser.post("/login", data={"token": text, "next": "/"}).status_code == 303
        page = browser.get("/").text
        return browser, page.split('name="csrf" content="')[1].split('"')[0]

    def close(self) -> None:
        for one in (*self.stores.values(), *self.spools.values()):
            one.close()


@pytest.fixture
def served(quick_model: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(*tenants: str, **options: object) -> Served:
        made.append(Served(quick_model, tmp_path, *tenants, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_without_tokens_loopback_is_open_and_the_first_token_closes_it(served: Callable[..., Served]):
    one = served()
    assert one.client.get("/v1/incidents").status_code == 200
    assert one.client.post("/v1/lines", content=b"x").status_code == 204
    read = one.token("read")
    assert one.client.get("/v1/incidents").status_code == 401
    assert one.client.get("/v1/incidents", headers=read).status_code == 200


PATHS = ("/v1/incidents", "/v1/incidents/x", "/metrics", "/openapi.json", "/v1/letters", "/v1/rules", "/rules", "/v1/answers", "/incidents", "/",
         "/timeline", "/v1/model", "/v1/status", "/_bulk", "/anything")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_nothing_is_told_but_health(served: Callable[..., Served], path: str):
    one = served(token="s3cret")
    for said in (
        "",
        "Bearer",
        "Bearer nope",
        "Bearer s3cre",
        "Basic !!!",
        f"Bearer oddlog_{'0' * 12}_{'a' * 43}",
        "Bearer é",
    ):
        headers = {"Authorization": said.encode()} if said else {}
        assert one.client.get(path, headers=headers).status_code == 401
    assert one.client.get("/healthz").text == "ok"
    basic = base64.b64encode(b"oddlog:s3cret").decode()
    for said in ("Bearer s3cret", "Splunk s3cret", f"Basic {basic}"):
        assert one.client.get(path, headers={"Authorization": said}).status_code in (200, 404, 405)


def test_a_token_does_what_its_scope_says_and_no_more(served: Callable[..., Served]):
    one = served()
    one.store.save("m", [live(1)])
    ingest, read, admin = (one.token(scope, name=scope) for scope in ("ingest", "read", "admin"))
    answer = {"incident": f"{1:016x}", "answer": "usual"}
    for header, pushes, reads, answers in ((ingest, 204, 403, 403), (read, 403, 200, 403), (admin, 403, 200, 201)):
        assert one.client.post("/v1/lines", content=b"x", headers=header).status_code == pushes
        assert one.client.get("/v1/incidents", headers=header).status_code == reads
        assert one.client.post("/v1/answers", json=answer, headers=header).status_code == answers
    (told,) = one.client.get("/v1/answers", headers=read).json()["answers"]
    assert told["who"] == "admin"  # the token's name, whatever a request says


def test_rules_and_marks_are_set_and_taken_back_by_admins_from_their_own_pages(served: Callable[..., Served]):
    one = served()
    read, admin = one.token("read", name="reader"), one.token("admin", name="anna")
    rule = {"kind": "never", "fields": {"match": "boom"}, "who": "somebody else"}
    asked = (("POST", "/v1/rules", rule), ("POST", "/v1/changes", {"service": "pay"}))
    for method, path, body in asked:
        assert one.client.request(method, path, json=body, headers=read).status_code == 403
        assert one.client.request(method, path, json=body, headers=admin).status_code == 201
    (shown,) = one.client.get("/v1/rules", headers=read).json()["rules"]
    assert (shown["who"], shown["is_heeded"]) == ("anna", False)
    for path in ("/v1/rules/1", "/v1/changes/1"):
        assert one.client.delete(path, headers=read).status_code == 403
        assert [one.client.delete(path, headers=admin).status_code for _ in range(2)] == [200, 404]
    browser, csrf = one.session(admin)
    form = {"kind": "budget", "per_day": "5"}
    for path in ("/rules", "/rules/2/undo", "/model/marks/1/undo"):
        assert browser.post(path, data=form).status_code == 403
    assert browser.post("/rules", data=form | {"csrf": csrf}).status_code == 303
    assert one.client.get("/v1/rules", headers=read).json()["budget"]["who"] == "anna"
    shown = browser.get("/rules").text
    assert "told a day" in shown
    reader, _ = one.session(read)
    assert "told a day" not in reader.get("/rules").text  # who may not set it is shown no form


ASKED_BY_SHIPPERS = {"/", "/_bulk", "/{index}/_bulk", "/_refresh", "/{index}/_refresh", "/_license", "/_cluster/health"}
PUSHED_TO = {
    "/v1/lines", "/v1/logs", "/loki/api/v1/push", "/services/collector", "/services/collector/event",
    "/services/collector/event/1.0", "/services/collector/raw",
} | (ASKED_BY_SHIPPERS - {"/"})  # fmt: skip
OPEN = {"/healthz", "/readyz", "/services/collector/health", "/static/{name}"}


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "*/*"])
@pytest.mark.parametrize("scope", ["ingest", "read", "admin"])
def test_each_address_opens_to_the_scopes_it_is_for_whoever_asks(
    served: Callable[..., Served], scope: str, accept: str
):
    one = served()
    one.store.save("m", [live(1)])
    header = one.token(scope) | {"Accept": accept}
    may_read = {"ingest": ASKED_BY_SHIPPERS - ({"/"} if "html" in accept else set())}
    told = {}
    for route in one.routes:  # all there are, so that a new page is not forgotten
        path = route.path.replace("{id_}", f"{1:016x}").replace("{id}", f"{1:016x}").replace("{number}", "1")
        for method in sorted(route.methods):
            answer = one.client.request(method, path.replace("{name}", "page.css"), headers=header)
            if route.path in OPEN:
                continue
            if method in ("GET", "HEAD", "OPTIONS"):
                is_let_in = (
                    scope != "ingest" or route.path in may_read["ingest"] or (route.path, method) == ("/", "HEAD")
                )
            else:
                is_let_in = scope == ("ingest" if route.path in PUSHED_TO else "admin")
            told[method, route.path] = (answer.status_code != 403, is_let_in)
            if scope == "ingest":
                assert live(1).incident.id not in answer.text
                assert "Odd now" not in answer.text
    assert {asked: both for asked, both in told.items() if both[0] != both[1]} == {}
    assert ("GET", "/") in told
    assert ("GET", "/model") in told


def test_a_client_of_elasticsearch_pushes_and_refreshes_with_a_token_that_may_only_push(served: Callable[..., Served]):
    one = served()
    ingest = one.token("ingest")
    assert one.client.get("/", headers=ingest).json()["name"] == "oddlog"
    for path in ("/logs/_bulk", "/logs/_refresh", "/_refresh"):
        answer = one.client.post(path, content=b'{"index":{}}\n{"message":"x"}\n', headers=ingest)
        assert (answer.status_code, answer.headers["X-Elastic-Product"]) == (200, "Elasticsearch")


def test_what_no_rule_names_needs_the_scope_admin():
    assert scopes_for("/v1/anything-new", "POST") == {"admin"}
    assert scopes_for("/v1/lines/../answers", "POST") == {"admin"}
    assert scopes_for("/v1/answers/1", "DELETE") == {"admin"}
    assert scopes_for("/web/_bulk", "PUT") == {"ingest"}
    for path in ("/v1/rules/_bulk", "/v1/rules/_refresh", "/v1/_bulk/answers"):  # of no index
        assert scopes_for(path, "DELETE") == {"admin"}


def test_a_token_ends_and_is_revoked(served: Callable[..., Served]):
    one = served()
    short = one.token("read", ends=datetime.now(UTC) - timedelta(seconds=1), name="short")
    long = one.token("read", name="long")
    assert one.client.get("/v1/incidents", headers=short).status_code == 401
    assert one.client.get("/v1/incidents", headers=long).status_code == 200
    one.store.revoke("long")
    one.now += 10
    one.token("read", name="other")  # so that tokens are needed still
    assert one.client.get("/v1/incidents", headers=long).status_code == 401


def test_of_tokens_only_a_hash_is_kept(served: Callable[..., Served], tmp_path: Path):
    one = served()
    secret = one.token("read")["Authorization"].rpartition("_")[2]
    one.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("oddlog.db*"))
    assert secret.encode() not in kept
    assert secret[:20].encode() not in kept


def test_a_tenant_sees_and_changes_nothing_of_another(served: Callable[..., Served], tmp_path: Path):
    one = served("acme", "umbrella")
    for name in ("", "acme", "umbrella"):
        one.stores[name].save("m", [live(1, severity=float(len(name)))])
    acme = one.token("ingest", "read", "admin", tenant="acme")
    (seen,) = one.client.get("/v1/incidents", headers=acme).json()["incidents"]
    assert seen["severity"] == 4.0
    assert one.client.post("/v1/lines?source=x", content=b"a\nb\n", headers=acme).status_code == 204
    assert {name: spool.appended for name, spool in one.spools.items()} == {"": 0, "acme": 2, "umbrella": 0}
    assert (
        one.client.post("/v1/answers", json={"incident": f"{1:016x}", "answer": "usual"}, headers=acme).status_code
        == 201
    )
    assert sorted(path.parent.name for path in tmp_path.rglob("*.answers.jsonl")) == ["acme"]
    gone = one.token("read", tenant="gone")
    assert one.client.get("/v1/incidents", headers=gone).status_code == 403


@pytest.mark.parametrize("name", ["../other", "a/b", "A", "", "a" * 33, "-x", "a\0", 'a";drop schema x;--'])
def test_no_tenant_has_a_name_that_leads_out_of_its_folder(tmp_path: Path, name: str):
    from oddlog.cli.serving import tenants_of  # noqa: PLC0415

    with pytest.raises(ConfigError):
        tenants_of([f"{name}="], tmp_path)


def test_another_sites_page_can_send_nothing(served: Callable[..., Served]):
    one = served()
    one.store.save("m", [live(1)])
    form = {"id": f"{1:016x}", "answer": "usual"}
    for headers in (
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://testserver.evil.example"}, {"Origin": "http://testserver:1"},
    ):  # fmt: skip
        assert one.client.post("/answers", data=form, headers=headers).status_code == 403
        assert (
            one.client.post("/v1/lines", content=b"x", headers=headers | {"Content-Type": "text/plain"}).status_code
            == 403
        )
    assert one.client.get("/v1/answers").json()["answers"] == []
    own = one.client.post("/answers", data=form, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"})
    assert own.status_code == 303


def test_a_name_that_was_made_to_point_here_is_not_answered_while_no_token_is_needed(served: Callable[..., Served]):
    one = served(hosts=("localhost", "127.0.0.1", "[::1]"))
    for name, status in (
        ("localhost:8514", 200),
        ("127.0.0.1", 200),
        ("[::1]:8514", 200),
        ("evil.example", 400),
        ("", 400),
    ):
        assert one.client.get("/v1/incidents", headers={"Host": name}).status_code == status
    read = one.token("read")  # whoever brings one is no stranger's page
    assert one.client.get("/v1/incidents", headers={"Host": "logs.example"} | read).status_code == 200


def test_a_session_is_needed_to_answer_on_the_page_and_its_forms_prove_it(served: Callable[..., Served]):
    one = served()
    one.store.save("m", [live(1)])
    browser, csrf = one.session(one.token("read", "admin"))
    form = {"id": f"{1:016x}", "answer": "usual"}
    assert browser.post("/answers", data=form).status_code == 403
    assert browser.post("/answers", data=form | {"csrf": "wrong"}).status_code == 403
    assert browser.post("/answers", data=form, headers={"X-CSRF": ""}).status_code == 403
    assert browser.post("/v1/answers", json={"incident": form["id"], "answer": "usual"}).status_code == 403
    other, theirs = one.session(one.token("read", "admin", name="ben"))
    assert browser.post("/answers", data=form | {"csrf": theirs}).status_code == 403
    assert browser.post("/answers", data=form | {"csrf": csrf}).status_code == 303
    assert "anna" in browser.get("/answers").text
    assert browser.post("/logout", data={"csrf": csrf}).status_code == 303
    assert browser.get("/").headers["location"] == "/login?next=%2Fnow"
    assert other.get("/").status_code == 200


def test_a_session_cannot_be_forged_nor_outlive_its_time_or_its_token(served: Callable[..., Served]):
    one = served()
    header = one.token("read")
    one.token("read", name="other")
    browser, _ = one.session(header)
    cookie = browser.cookies["oddlog"]
    id_, until, nonce, signed = cookie.split(".")
    for forged in (
        f"{id_}.{int(until) + 9_999_999}.{nonce}.{signed}",
        f"{'0' * 12}.{until}.{nonce}.{signed}",
        "a.b.c.d",
        "",
        ".",
    ):
        thief = TestClient(one.gate, follow_redirects=False, cookies={"oddlog": forged})
        assert thief.get("/v1/incidents").status_code == 401
    one.store.revoke("anna")
    assert browser.get("/v1/incidents", headers={"Accept": "application/json"}).status_code == 401
    later, _ = one.session(one.token("read", name="carl"))
    one.now += 13 * 3_600
    assert later.get("/v1/incidents", headers={"Accept": "application/json"}).status_code == 401


def test_cookies_are_for_this_page_only(served: Callable[..., Served]):
    one = served(is_secure=True)
    text = one.token("read")["Authorization"].removeprefix("Bearer ")
    set_ = one.client.post("/login", data={"token": text}).headers["set-cookie"]
    assert set_.startswith("__Host-oddlog=")
    for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
        assert word in set_
    assert text not in set_


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x=1"],
)
def test_signing_in_leads_nowhere_else(served: Callable[..., Served], wanted: str):
    one = served()
    text = one.token("read")["Authorization"].removeprefix("Bearer ")
    answer = one.client.post("/login", data={"token": text, "next": wanted})
    assert answer.headers["location"] == "/"
    assert "evil" not in one.client.get("/login", params={"next": wanted}).text


def test_a_token_that_may_only_push_opens_no_page(served: Callable[..., Served]):
    one = served()
    text = one.token("ingest")["Authorization"].removeprefix("Bearer ")
    answer = one.client.post("/login", data={"token": text})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert one.client.post("/login", data={"token": "<script>"}).status_code == 401


def test_lines_beyond_the_rate_are_refused_until_there_is_room(served: Callable[..., Served]):
    now = [0.0]
    one = served(rate=Rate(100.0, clock=lambda: now[0]))
    hundred = b"x\n" * 100
    assert (
        one.client.post("/v1/lines", content=hundred * 3).status_code == 204
    )  # a push is never too large to begin with
    refused = one.client.post("/v1/lines", content=b"x")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    now[0] += 2.0
    assert one.client.post("/v1/lines", content=hundred).status_code == 204
    assert 'reason="too fast"' in one.client.get("/metrics").text


@pytest.mark.parametrize(
    "path",
    ["/static/../pages.py", "/static/..%2f..%2fstore%2ftokens.py", "/static/%2e%2e/base.html", "/static//etc/passwd"],
)
def test_no_file_but_our_own_is_handed_out(served: Callable[..., Served], path: str):
    answer = served().client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_a_service_is_ready_when_all_its_tenants_are(served: Callable[..., Served]):
    one = served("acme")
    assert one.client.get("/readyz").status_code == 503


def test_while_the_store_is_gone_known_tokens_push_on_and_open_nothing_else(served: Callable[..., Served]):
    one = served()
    pushes, sees, stranger = one.token("ingest"), one.token("read", "admin", name="ben"), {"Authorization": "Bearer x"}
    everything = one.token("ingest", "read", "admin", name="carl")
    browser, _ = one.session(sees)
    for header in (pushes, everything):
        assert one.client.post("/v1/lines", content=b"a\n", headers=header).status_code == 204
    assert one.client.get("/v1/incidents", headers=sees).status_code == 200
    moved = one.store._place.path.rename(one.store._place.path.with_suffix(".away"))
    one.store.close()  # no connection that was open before reads on
    one.now += 10
    for header in (pushes, everything):
        assert one.client.post("/v1/lines", content=b"b\n", headers=header).status_code == 204
    for header, path in ((sees, "/v1/incidents"), (everything, "/v1/incidents"), (sees, "/v1/status")):
        answer = one.client.get(path, headers=header)
        assert (answer.status_code, "unable to open" in answer.text or "needs a token" in answer.text) in (
            (503, True),
            (403, True),
        )
    assert one.client.post("/v1/lines", content=b"c\n", headers=stranger).status_code == 401
    assert one.client.get("/healthz").status_code == 200
    shown = browser.get("/")
    assert (shown.status_code, "Nothing can be read" in shown.text) == (503, True)
    moved.rename(one.store._place.path)
    one.now += 10
    assert one.client.get("/v1/incidents", headers=sees).status_code == 200
    assert browser.get("/").status_code == 200
    assert one.spools[""].appended == 4
