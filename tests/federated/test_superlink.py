"""A server and its sites over TLS in one process: who gets in, what is served, what goes wrong on the way."""

from __future__ import annotations

import base64
import datetime as dt
import socket
import ssl
import threading
import time

import numpy as np
import pytest

pytest.importorskip("flwr", reason="extra 'federated'")

import httpx
from flwr.app import Context, RecordDict
from flwr.proto.node_pb2 import Node
from flwr.supercore.primitives.asymmetric import sign_message

from oddlog.errors import ConfigError, OddlogError
from oddlog.federated import site, supernode
from oddlog.federated.certificate import make_certificate
from oddlog.federated.flower import FlowerLink, client_app, packed
from oddlog.federated.guard import MOST_BYTES, SERVED
from oddlog.federated.identity import SiteKey, read_roster_lines
from oddlog.federated.plan import Plan
from oddlog.federated.server import Federation
from oddlog.federated.superlink import SuperLink
from oddlog.federated.supernode import NotTrustedError, SuperNode, TurnedAwayError
from oddlog.federated.wire import PROTOCOL, Note
from small_federation import Sites

NAMES = ("site0", "site1", "site2")


class Wire:
    """Three sites in threads, each at the end of a TLS connection, and the server they are connected to."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setattr(supernode, "POLL_S", 0.02)
        monkeypatch.setattr(supernode, "RETRY_S", 0.05)
        make_certificate(["127.0.0.1"], folder / "tls", 2, dt.datetime.now(dt.UTC))
        self.folder, self.monkeypatch = folder, monkeypatch
        self.keys = {name: SiteKey(name, name.encode().ljust(32)) for name in (*NAMES, "stranger")}
        self.sites = Sites(3)
        self.roster = read_roster_lines([self.keys[name].line() for name in NAMES])
        self.threads, self.ended, self.answered = [], {}, []
        self.listen()

    def listen(self, port=0):
        tls = self.folder / "tls"
        self.link = SuperLink(self.roster, tls / "server.pem", tls / "server.key", port=port).start()

    def node(self, key, authority="tls"):
        return SuperNode(self.link.address, self.folder / authority / "ca.pem", self.keys[key])

    def join(self, name, *, key="", app=None):
        node = self.node(key or name)
        app = app or client_app(lambda _context: self.sites.sites[name])

        def answer(message):
            self.answered.append((name, message.metadata.message_type))
            reply = app(message, Context(0, 0, {}, RecordDict(), run_config={}))
            return reply, message.metadata.message_type == "train.finish"

        def run():
            try:
                node.run(answer)
                self.ended[name] = None
            except (OddlogError, supernode.LostError) as error:
                self.ended[name] = error

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def federation(self, folder=None, **plan):
        names = {str(node): site for node, site in self.link.name.items()}
        link = FlowerLink(self.link.grid, fewest=3, wait_s=20, sleep=lambda _s: time.sleep(0.02))
        plan = Plan(**{"rounds": 2, "steps": 20, "mode": "secagg", "deadline_s": 20.0, **plan})
        return Federation(link, plan, folder, names=names)

    def post(self, path, *, content=b"", **headers):
        with httpx.Client(verify=ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))) as client:
            return client.post(f"https://{self.link.address}{path}", content=content, headers=headers)


@pytest.fixture
def wire(tmp_path, monkeypatch):
    made = Wire(tmp_path, monkeypatch)
    yield made
    made.link.stop()


def test_sites_learn_over_tls_as_they_do_in_one_process(wire):
    for name in NAMES:
        wire.join(name)
    made = wire.federation()
    history = made.run()
    for thread in wire.threads:
        thread.join(20)
    assert wire.ended == dict.fromkeys(NAMES)
    assert set(history[-1].kept) == set(NAMES)
    assert [one.dropped for one in history] == [{}] * 4
    sites = Sites(3)
    plain = Federation(FlowerLink(sites.grid), made.plan)
    plain.run()
    assert (plain.weights == made.weights).all()


def test_a_stranger_and_who_trusts_another_authority_do_not_get_in(wire):
    make_certificate(["127.0.0.1"], wire.folder / "other", 2, dt.datetime.now(dt.UTC))
    with pytest.raises(TurnedAwayError, match="does not let stranger in: its key is not in the roster"):
        wire.node("stranger").run(None)
    with pytest.raises(NotTrustedError, match="cannot be trusted by"):
        wire.node("site0", "other").run(None)
    assert [who.split(" (")[0] for who in wire.link.turned_away] == ["a stranger"]


def test_a_server_under_another_name_than_its_certificate_is_not_trusted(wire):
    make_certificate(["fed.example.com"], wire.folder / "named", 2, dt.datetime.now(dt.UTC))
    wire.link.stop()
    tls = wire.folder / "named"
    wire.link = SuperLink(wire.roster, tls / "server.pem", tls / "server.key").start()
    with pytest.raises(NotTrustedError, match="IP address mismatch"):
        wire.node("site0", "named").run(None)


def test_two_processes_with_one_identity_the_second_waits_and_is_counted(wire):
    for name in NAMES:
        wire.join(name)
    until(lambda: len(wire.link.here()) == 3)
    wire.join("twin", key="site0")
    until(lambda: wire.link.turned_away["site0: another process is connected with this identity"])
    history = wire.federation(rounds=1).run()
    assert set(history[1].counted) == set(NAMES)
    assert not [name for name, _ in wire.answered if name == "twin"]


def test_a_site_that_calls_itself_other_than_its_key_is_left_out(wire):
    for name in NAMES:
        wire.join(name)
    wire.sites.sites["site2"].name = "liar"
    history = wire.federation(rounds=1).run()
    assert history[0].dropped == {"site2": "the identity of another site"}
    assert set(history[1].counted) == {"site0", "site1"}


def test_a_site_whose_version_is_another_is_named(wire, monkeypatch):
    answer = site.Site.answer

    def older(self, kind, asked):
        if self.name == "site1":
            monkeypatch.setattr(site, "PROTOCOL", 0)
        try:
            return answer(self, kind, asked)
        finally:
            monkeypatch.setattr(site, "PROTOCOL", PROTOCOL)

    monkeypatch.setattr(site.Site, "answer", older)
    for name in NAMES:
        wire.join(name)
    history = wire.federation(rounds=1).run()
    assert history[0].dropped == {"site1": "another version of oddlog"}


def test_a_site_that_dies_in_a_round_is_named_and_takes_part_again_once_it_is_back(wire):
    class KilledError(OddlogError):
        pass

    app = client_app(lambda _context: wire.sites.sites["site1"])

    def dies(message, context):
        if message.metadata.message_type == "train.learn":
            raise KilledError("killed")
        return app(message, context)

    for name in NAMES:
        wire.join(name, app=dies if name == "site1" else None)
    back = []

    def after(federation):
        if len(federation.history) == 2 and not back:
            back.append(wire.join("site1"))
            until(lambda: len(wire.link.here()) == 3)

    made = wire.federation(rounds=2, mode="visible")
    made.after = after
    history = made.run()
    assert history[1].dropped == {"site1": "learn: gone"}
    assert set(history[1].counted) == {"site0", "site2"}
    assert set(history[2].counted) == set(NAMES)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/control/register-node",
        "/v1/control/list-nodes",
        "/v1/runtime/acquire-task",
        "/v1/fleet/register-node",
        "/v1/fleet/get-fab",
        "/docs",
        "/",
    ],
)
def test_nothing_is_served_but_what_sites_need(wire, path):
    assert wire.post(path).status_code == 403
    assert list(wire.link.turned_away) == ["somebody without a key: asked for what is not served"]


def test_a_known_key_without_its_signature_gets_nothing(wire):
    public = base64.b64encode(wire.roster["site0"].connection).decode()
    for path in sorted(SERVED):
        headers = {"flwr-public-key": public, "content-type": "application/x-protobuf"}
        assert wire.post(path, **headers).status_code in {401, 415}


def test_what_is_too_large_is_refused_before_it_is_read(wire):
    with began(wire, "site0", MOST_BYTES + 1, signed="site0") as line:
        assert line.recv(100).startswith(b"HTTP/1.1 413")
    assert list(wire.link.turned_away) == ["site0: sent more than 64 MiB at once"]


def test_a_site_may_leave_no_more_at_the_server_than_an_answer_holds(wire):
    app = client_app(lambda _context: wire.sites.sites["site1"])

    def floods(message, context):
        reply = app(message, context)
        if message.metadata.message_type != "train.learn":
            return reply
        big = Note({"round": 1}, {"update": np.zeros(1 << 18, np.float32)})
        return packed(big, message)

    for name in NAMES:
        wire.join(name, app=floods if name == "site1" else None)
    history = wire.federation(rounds=2, mode="visible").run()
    assert history[1].dropped["site1"].startswith("learn: ")
    assert set(history[1].counted) == {"site0", "site2"}
    assert set(history[2].counted) == {"site0", "site2"}
    assert wire.link.turned_away["site1: sent more than the answer may hold"]
    assert "takes no answer as large" in str(wire.ended["site1"])


def began(wire, name, length, *, signed):
    """Begin to leave so many bytes in a site's name, and return the connection; nothing of them is sent."""
    context = ssl.create_default_context(cafile=str(wire.folder / "tls" / "ca.pem"))
    host, port = wire.link.address.split(":")
    line = context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)
    said = dt.datetime.now(dt.UTC).isoformat()
    headers = {
        "host": "x",
        "content-type": "application/protobuf",
        "content-length": length,
        "flwr-public-key": base64.b64encode(wire.roster[name].connection).decode(),
        "flwr-timestamp": said,
        "flwr-signature": base64.b64encode(sign_message(wire.keys[signed].connection, said.encode())).decode(),
    }
    head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    line.sendall(f"POST /v1/fleet/push-object HTTP/1.1\r\n{head}\r\n".encode())
    return line


@pytest.mark.parametrize("length", [100, 50_000_000])
def test_who_has_no_more_than_the_roster_takes_nothing_from_another_site(wire, length):
    app = client_app(lambda _context: wire.sites.sites["site0"])
    answers = []

    def answers_late(message, context):
        with began(wire, "site0", length, signed="stranger") as line:  # the roster has the key that it shows
            answers.append(line.recv(100))
        return app(message, context)

    for name in NAMES:
        wire.join(name, app=answers_late if name == "site0" else None)
    history = wire.federation(rounds=1, mode="visible").run()
    assert [one.dropped for one in history] == [{}] * 3
    assert set(history[1].counted) == set(NAMES)
    assert {one[:12] for one in answers} == {b"HTTP/1.1 401"}


def test_a_length_that_is_said_and_never_sent_holds_nothing_back(wire):
    app = client_app(lambda _context: wire.sites.sites["site0"])
    lines = []

    def stalls(message, context):
        left = wire.link._left[wire.roster["site0"].connection]
        lines.append(began(wire, "site0", left, signed="site0"))
        with began(wire, "site0", left + 1, signed="site0") as line:  # refused, and nothing is taken for it either
            assert line.recv(100).startswith(b"HTTP/1.1 413")
        assert wire.link._left[wire.roster["site0"].connection] == left
        return app(message, context)

    for name in NAMES:
        wire.join(name, app=stalls if name == "site0" else None)
    history = wire.federation(rounds=1, mode="visible").run()
    for line in lines:
        line.close()
    assert [one.dropped for one in history] == [{}] * 3


def test_several_requests_at_once_leave_no_more_together_than_one_may(wire):
    known = wire.roster["site0"].connection
    wire.link._left[known] = 1_000
    with began(wire, "site0", 800, signed="site0") as one, began(wire, "site0", 800, signed="site0") as other:
        one.sendall(b"x" * 800)
        until(lambda: wire.link._left[known] == 200)
        other.sendall(b"x" * 800)
        until(lambda: wire.link.turned_away["site0: sent more than the answer may hold"])
    assert wire.link._left[known] == 200


def test_an_answer_in_the_name_of_another_site_is_refused(wire):
    app = client_app(lambda _context: wire.sites.sites["site0"])
    liar, said = wire.node("site1"), []
    node = Node(node_id=next(node for node, name in wire.link.name.items() if name == "site1"))

    def lies(message):
        liar._node = node
        try:
            liar._send(packed(Note({"refused": "Lie"}), message))
        except supernode.LostError as error:
            said.append(str(error))

    def lied_about(message, context):
        lies(message)  # before site 0 can say anything itself
        return app(message, context)

    for name in NAMES:
        wire.join(name, app=lied_about if name == "site0" else None)
    history = wire.federation(rounds=1, mode="visible").run()
    liar._client.close()
    assert [one.dropped for one in history] == [{}] * 3
    assert set(said) == {"it answers 403"}
    assert wire.link.turned_away == {"site1: answered in the name of another site": len(said)}


def test_what_nobody_waits_for_any_more_is_not_kept(wire):
    for name in NAMES:
        wire.join(name)
    wire.federation(rounds=1).run()
    for thread in wire.threads:
        thread.join(20)
    state = wire.link.state
    assert (state.message_ins_store, state.message_res_store, wire.link.grid._coming) == ({}, {}, {})
    assert len(state.object_store) == 0


def test_a_server_that_is_begun_again_finds_its_sites_and_goes_on_to_the_same_weights(wire, tmp_path):
    whole = Federation(FlowerLink(Sites(3).grid), Plan(rounds=3, steps=20, mode="secagg"))
    whole.run()
    wire = Wire(tmp_path / "again", wire.monkeypatch)
    for name in NAMES:
        wire.join(name)
    made = wire.federation(tmp_path / "kept", rounds=3)

    class KilledError(BaseException):
        pass

    def dies(federation):
        if len(federation.history) == 2:
            raise KilledError

    made.after = dies
    with pytest.raises(KilledError):
        made.run()
    port = int(wire.link.address.rpartition(":")[2])
    wire.link.stop()
    wire.listen(port)
    again = wire.federation(tmp_path / "kept", rounds=3)
    again.run()
    wire.link.stop()
    assert (again.weights == whole.weights).all()


def test_nobody_can_listen_twice_and_what_is_no_certificate_is_told(wire):
    tls = wire.folder / "tls"
    port = int(wire.link.address.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"Nothing can listen at 127.0.0.1:{port}"):
        SuperLink(wire.roster, tls / "server.pem", tls / "server.key", port=port)
    with pytest.raises(ConfigError, match="are no certificate and its key"):
        SuperLink(wire.roster, tls / "server.key", tls / "server.pem")
    with pytest.raises(ConfigError, match="There is no"):
        SuperLink(wire.roster, tls / "none.pem", tls / "server.key")
    with pytest.raises(ConfigError, match="is no certificate of an authority"):
        SuperNode("127.0.0.1:1", tls / "server.key", wire.keys["site0"])
    with pytest.raises(ConfigError, match=r"is no server\. Write its name and port"):
        SuperNode("127.0.0.1", None, wire.keys["site0"])


def until(what):
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)
