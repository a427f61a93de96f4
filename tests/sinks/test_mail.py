"""Incidents by e-mail, to a real SMTP server of these tests (aiosmtpd): STARTTLS, refusals, threads, log text as text."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from certificates import Certificates, make_certificates
from oddlog.errors import ConfigError, SinkRefusedError, SinkUnavailableError
from oddlog.sinks import parse
from oddlog.sinks.mail import MailSink
from oddlog.testing import check_sink, live_incidents

pytest.importorskip("aiosmtpd", reason="aiosmtpd is not installed")
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Inbox:
    """Notes what it gets; answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []
        self.tls: list[bool] = []
        self.answers: list[str] = []
        self.refused: set[str] = set()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, session: Any, envelope: Any
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        message = BytesParser(policy=default).parsebytes(envelope.content)
        self.got.append((envelope.rcpt_tos, message))
        self.tls.append(session.ssl is not None)
        return "250 OK"


class Server:
    """An SMTP server in a thread."""

    def __init__(self, **options: Any) -> None:
        self.inbox = Inbox()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self.inbox, hostname="127.0.0.1", port=self.port, **options)
        self.controller.start()

    def url(self, query: str = "tls=none", *, user: str = "") -> str:
        return f"mail+smtp://{user}127.0.0.1:{self.port}/?to=ops@example.com&{query}"


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(**options: Any) -> Server:
        started.append(Server(**options))
        return started[-1]

    yield start
    for one in started:
        one.controller.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_mail_keeps_the_contract(serving: Callable[..., Server]):
    server = serving()
    check_sink(lambda: parse(server.url()), lambda: parse("mail+smtp://127.0.0.1:9/?to=ops@example.com&tls=none"))
    assert len(server.inbox.got) == 2 * len(live_incidents())


def test_starttls_is_spoken_with_a_certificate_that_is_checked_and_a_password(
    serving: Callable[..., Server], certificates: Certificates, tmp_path: Path
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_cert, certificates.server_key)
    seen: list[tuple[bytes, bytes]] = []

    def allowed(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret", handled=False)

    server = serving(tls_context=context, require_starttls=True, authenticator=allowed, auth_required=True)
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    parse(server.url(f"ca={certificates.ca}&password-file={password}", user="oddlog@")).send(live_incidents()[4])
    assert server.inbox.tls == [True]
    assert seen == [(b"oddlog", b"s3cret")]
    with pytest.raises(SinkUnavailableError, match=r"(?i)certificate"):
        parse(server.url("from=oddlog@example.com", user="oddlog@")).send(live_incidents()[4])  # not one it trusts
    password.write_text("wrong")
    with pytest.raises(SinkRefusedError, match="answered 535"):
        parse(server.url(f"ca={certificates.ca}&password-file={password}", user="oddlog@")).send(live_incidents()[4])


def test_the_changes_of_an_incident_are_one_thread_and_a_change_sent_again_has_its_id():
    sink = MailSink("smtp://127.0.0.1/?to=ops@example.com&tls=none&from=oddlog@example.com", clock=lambda: NOW)
    new, grown, over, _ = (sink.message(live) for live in live_incidents()[4:])
    assert new["Message-ID"] == "<1111111111111111@example.com>"
    assert grown["In-Reply-To"] == over["In-Reply-To"] == new["Message-ID"]
    assert len({one["Message-ID"] for one in (new, grown, over)}) == 3
    assert sink.message(live_incidents()[5])["Message-ID"] == grown["Message-ID"]
    assert over["Subject"].startswith("[oddlog] Over: ")


def test_log_text_makes_no_header_and_hides_nothing():
    sink = MailSink("smtp://127.0.0.1/?to=ops@example.com&tls=none", clock=lambda: NOW)
    message = BytesParser(policy=default).parsebytes(sink.message(live_incidents()[4]).as_bytes())
    assert message["Bcc"] is None
    assert len(message["Subject"]) <= 150
    text = message.get_content()
    assert "<b>&amp;" in text
    assert not set("\u202e\x1b") & {*text, *message["Subject"]}
    assert message.get_content_type() == "text/plain"


def test_what_may_pass_is_tried_again_and_what_will_not_is_refused(serving: Callable[..., Server]):
    server = serving()
    server.inbox.answers = ["451 try later", "552 too much"]
    sink = parse(server.url())
    with pytest.raises(SinkUnavailableError, match="answered 451"):
        sink.send(live_incidents()[0])
    with pytest.raises(SinkRefusedError, match="answered 552"):
        sink.send(live_incidents()[0])
    server.inbox.refused = {"ops@example.com"}
    with pytest.raises(SinkRefusedError, match="answered 550"):
        sink.send(live_incidents()[0])


def test_who_of_several_is_refused_is_told(serving: Callable[..., Server]):
    server = serving()
    server.inbox.refused = {"gone@example.com"}
    with pytest.raises(SinkRefusedError, match=r"not for gone@example\.com"):
        parse(server.url("tls=none").replace("ops@", "gone@example.com,ops@")).send(live_incidents()[0])
    assert [to for to, _ in server.inbox.got] == [["ops@example.com"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mail+smtp://mail.example.com/", "not to whom"),
        ("mail+smtp://mail.example.com/?to=ops", "no e-mail address"),
        ("mail+smtp://mail.example.com/?to=a@b.c%0ABcc:x@y.z", "no e-mail address"),
        ("mail+smtp://mail.example.com/?to=a@b.c&tls=none", "without TLS"),
        ("mail+smtp://mail.example.com/?too=a@b.c", "Did you mean 'to'"),
        ("mail+smtp://mail.example.com/?to=a@b.c&password-file=/nowhere", "cannot be read"),
        ("mail+imap://mail.example.com/?to=a@b.c", "names no server"),
        ("mail+smtp://mail.example.com:99999/?to=a@b.c", "makes no sense"),
        ("mail+smtp://mail.example.com:x/?to=a@b.c", "makes no sense"),
        ("mail+smtp://[::1/?to=a@b.c", "makes no sense"),
        ("mail+smtp://mail.example.com/?to=a@b.c&ca=/nowhere", "certificates in /nowhere cannot be read"),
        (f"mail+smtp://mail.example.com/?to=a@b.c&ca={__file__}", "cannot be read"),
        ("webhook+http://example.com:99999/", "makes no sense"),
    ],
)
def test_a_sink_that_makes_no_sense_is_refused_with_a_hint(text: str, said: str):
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_the_name_of_a_sink_holds_no_secret():
    name = parse("mail+smtps://user:pw@mail.example.com/?to=boss@example.com").name
    assert name.startswith("mail+smtps://mail.example.com:465/")
    assert not any(word in name for word in ("pw", "user", "boss"))
