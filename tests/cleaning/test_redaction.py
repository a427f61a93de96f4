"""Secrets go, the words around them stay, and what only looks like a secret stays too."""

import polars as pl
import pytest

from oddlog.cleaning.redaction import redact, redact_texts
from oddlog.types import Tally

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"

SECRETS = [
    ("login user=ana password=hunter2 ok", "login user=ana password=<redacted> ok", "password"),
    ("dsn: DB_PASSWORD='s3 cr;et' host=db", "dsn: DB_PASSWORD='<redacted>' host=db", "password"),
    ('{"user":"ana","passwd": "a\\"b","id":7}', '{"user":"ana","passwd": "<redacted>","id":7}', "password"),
    ("POST /login?user=ana&password=abc&next=/", "POST /login?user=ana&password=<redacted>&next=/", "password"),
    ("Server=db;Uid=app;Pwd=hunter2;", "Server=db;Uid=app;Pwd=<redacted>;", "password"),
    ("bind with Password: hunter2", "bind with Password: <redacted>", "password"),
    ("refresh_token=abcdef, expires=3600", "refresh_token=<redacted>, expires=3600", "token or key"),
    ("X-Api-Key: 0a1b2c3d4e", "X-Api-Key: <redacted>", "token or key"),
    ('{"accessToken": "opaque"}', '{"accessToken": "<redacted>"}', "token or key"),
    ("token=a1 token=b2,token=c3", "token=<redacted> token=<redacted>,token=<redacted>", "token or key"),
    (r"body {\"token\":\"opaque\",\"n\":1}", r"body {\"token\":\"<redacted>\",\"n\":1}", "token or key"),
    ("{password=a{b, user=ana}", "{password=<redacted>, user=ana}", "password"),
    ("client_secret=abc/def+ghi==", "client_secret=<redacted>", "token or key"),
    ("aws_secret_access_key = wJalrXUtnFEMI7MDENG", "aws_secret_access_key = <redacted>", "token or key"),
    ("using key AKIAIOSFODNN7EXAMPLE now", "using key <redacted> now", "AWS key id"),
    ("Authorization: Bearer abc.def-123", "Authorization: Bearer <redacted>", "authorization header"),
    ('"authorization":"Basic YW5hOnB3"', '"authorization":"Basic <redacted>"', "authorization header"),
    ("sent bearer 0123456789abcdef0123", "sent bearer <redacted>", "bearer token"),
    (f"session {JWT} opened", "session <redacted> opened", "JSON web token"),
    ("GET https://ana:pw@example.com/x", "GET https://ana:<redacted>@example.com/x", "password in a URL"),
    ("amqp://app:p:w@192.0.2.7:5672/", "amqp://app:<redacted>@192.0.2.7:5672/", "password in a URL"),
    (
        "key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----\ndone",
        "key:\n<redacted>\ndone",
        "private key",
    ),
    ("key: -----BEGIN PRIVATE KEY-----\nMIIEow", "key: <redacted>", "private key"),
    ("card 4111 1111 1111 1111 declined", "card <redacted> declined", "card number"),
    ("Card: 3782-822463-10005", "Card: <redacted>", "card number"),
]
HARMLESS = [
    "Failed password for root from 192.0.2.4 port 22",
    "Invalid token: unexpected end of input",
    "window token=Token{a64f992 Record{u0}} wtoken = 7",
    "stream/token: 132: request for com.example.store/2 is stale",
    "max_tokens=512 prompt tokens=80",
    "PWD=/srv/app",
    "see https://example.com/path?x=1@2",
    "connecting to redis://cache:6379/0",
    "block blk_-1608999687919862906 of 67108864",
    "order 1234 5678 9012 3456 shipped",  # no word of a card
    "-----BEGIN CERTIFICATE-----",
    "secretary joined; cardinal rule",
    "password changed for ana",
    "tokenizer loaded in 5 ms",
]


def records(texts: list[str], **columns: list[str]) -> pl.DataFrame:
    n = len(texts)
    return pl.DataFrame({"source": ["a.log"] * n, "line": range(1, n + 1), "text": texts, "message": texts, **columns})


@pytest.mark.parametrize(("text", "expected", "kind"), SECRETS)
def test_a_secret_is_taken_out_and_counted_by_kind(text, expected, kind):
    tally = Tally()
    got = redact(records(["nothing here", text]), tally)
    assert got["text"].to_list() == ["nothing here", expected]
    assert got["message"].to_list() == ["nothing here", expected]
    assert tally.counts == {f"secret redacted: {kind}": 1}
    assert tally.examples == {f"secret redacted: {kind}": "a.log:2"}
    assert redact_texts(pl.Series([text])).to_list() == [expected]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_stays(text):
    tally = Tally()
    assert redact(records([text]), tally)["text"].to_list() == [text]
    assert not tally.counts


@pytest.mark.parametrize("expected", [expected for _, expected, _ in SECRETS])
def test_redacting_twice_changes_nothing_more(expected):
    assert redact_texts(pl.Series([expected])).to_list() == [expected]


def test_found_fields_lose_their_secrets_too():
    text = '{"msg": "signed in", "token": "opaque", "url": "https://a:b@example.com"}'
    fields = {"f.token": ["opaque", None], "f.url": ["https://a:b@example.com", "/"], "f.user": ["ana", "bo"]}
    got = redact(records([text, "token of nobody"], **fields), Tally())
    assert got["f.token"].to_list() == ["<redacted>", None]
    assert got["f.url"].to_list() == ["https://a:<redacted>@example.com", "/"]
    assert got["f.user"].to_list() == ["ana", "bo"]


def test_a_missing_message_stays_missing():
    frame = records(["password=hunter2"]).with_columns(pl.lit(None, pl.String).alias("message"))
    assert redact(frame, Tally()).select("text", "message").row(0) == ("password=<redacted>", None)
