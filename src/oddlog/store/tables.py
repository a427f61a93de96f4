"""The tables. A column that is added here needs a step in `migrations`, which adds it to databases that are there."""

from __future__ import annotations

from oddlog.errors import MissingExtraError

try:
    import sqlalchemy as sa
except ImportError as error:
    raise MissingExtraError("The store", "service") from error

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows by itself only where it says INTEGER
ISO = sa.String(32)  # UTC, ISO 8601: sorts as text; empty where there is no time

every = sa.MetaData()
version = sa.Table("version", every, sa.Column("number", sa.Integer, nullable=False))
incidents = sa.Table(
    "incidents",
    every,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("change", sa.String(16), nullable=False),  # new, grown, over, withdrawn
    sa.Column("provisional", sa.Boolean, nullable=False),
    sa.Column("severity", sa.Float, nullable=False),
    sa.Column("pattern", sa.String(16), nullable=False),
    sa.Column("started", ISO, nullable=False),
    sa.Column("stored", ISO, nullable=False),
    sa.Column("updated", ISO, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),  # how often it was told
    sa.Column("body", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("ended", ISO, nullable=False, server_default=""),
    sa.Column("urgency", sa.String(8), nullable=False, server_default="alert"),
    sa.Index("incidents_by_time", "updated"),
)
sa.Index("incidents_by_start", incidents.c.started)
sa.Index("incidents_by_pattern", incidents.c.pattern)
places = sa.Table(  # services and hosts of incidents, to look for them
    "places",
    every,
    sa.Column("incident", sa.String(16), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),  # service, host
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Index("places_by_name", "kind", "name"),
)
closeups = sa.Table(  # an incident from near
    "closeups",
    every,
    sa.Column("incident", sa.String(16), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),  # JSON
)
answered = sa.Table(  # which answers hold, as the log of answers beside the model says: to leave out what is answered
    "answered",
    every,
    sa.Column("pattern", sa.String(16), primary_key=True),
    sa.Column("answer", sa.String(16), nullable=False),
    sa.Column("until", sa.Float),  # seconds since the epoch; none for good
)
checkpoint = sa.Table(
    "checkpoint",
    every,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("position", BIG, nullable=False),
    sa.Column("stored", ISO, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
challenged = sa.Table(  # incidents of models that judge beside the one that judges, and tell nobody
    "challenged",
    every,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("change", sa.String(16), nullable=False),
    sa.Column("started", ISO, nullable=False),
    sa.Column("ended", ISO, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # JSON
)
letters = sa.Table(
    "letters",
    every,
    sa.Column("number", BIG, primary_key=True),  # the order they are sent in
    sa.Column("sink", sa.String, nullable=False),
    sa.Column("incident", sa.String(16), nullable=False),
    sa.Column("what", sa.String, nullable=False),  # one letter for each, however often it is found anew
    sa.Column("state", sa.String(8), nullable=False),  # waiting, sent, dead
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("written", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("due", sa.Float, nullable=False),
    sa.Column("said", sa.String, nullable=False),  # why it was not sent
    sa.Column("told", sa.LargeBinary, nullable=False),  # JSON
    sa.UniqueConstraint("sink", "incident", "what"),
    sa.Index("letters_by_state", "state", "sink", "due"),
)
minutes = sa.Table(  # what went by, by the minute (since the epoch) of the lines' own time
    "minutes",
    every,
    sa.Column("minute", sa.Integer, primary_key=True),
    sa.Column("service", sa.String(256), primary_key=True),
    sa.Column("lines", BIG, nullable=False),
    sa.Column("errors", BIG, nullable=False),
    sa.Column("unseen", BIG, nullable=False),  # lines of types that the model has never seen
)
scores = sa.Table(  # windows that were judged, by the minute they ended in
    "scores",
    every,
    sa.Column("minute", sa.Integer, primary_key=True),
    sa.Column("view", sa.String(64), primary_key=True),
    sa.Column("windows", BIG, nullable=False),
    sa.Column("odd", BIG, nullable=False),
    sa.Column("top", sa.Float, nullable=False),  # the highest score as a share of the threshold
)
types = sa.Table(  # message types by day
    "types",
    every,
    sa.Column("day", sa.Integer, primary_key=True),  # since the epoch, of the lines' own time
    sa.Column("key", sa.String(16), primary_key=True),
    sa.Column("lines", BIG, nullable=False),
    sa.Column("first", sa.Float, nullable=False),  # seconds since the epoch
    sa.Column("last", sa.Float, nullable=False),
    sa.Index("types_by_key", "key"),
)
texts = sa.Table(  # of message types that the model has never seen
    "texts",
    every,
    sa.Column("key", sa.String(16), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("service", sa.String(256), nullable=False),
)
sources = sa.Table(
    "sources",
    every,
    sa.Column("name", sa.String(512), primary_key=True),
    sa.Column("lines", BIG, nullable=False),
    sa.Column("errors", BIG, nullable=False),  # lines of level ERROR or worse
    sa.Column("event", sa.Float),  # the latest time of a line, seconds since the epoch
    sa.Column("arrived", sa.Float, nullable=False),  # when the last line was judged
)
scored = sa.Table(  # windows that were judged and are not in a Parquet file yet
    "scored",
    every,
    sa.Column("number", BIG, primary_key=True),
    sa.Column("made", sa.Float, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # Arrow IPC
)
tokens = sa.Table(
    "tokens",
    every,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),  # SHA-256 of a secret of 256 random bits
    sa.Column("scopes", sa.String(64), nullable=False),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("made", ISO, nullable=False),
    sa.Column("ends", ISO, nullable=False),
    sa.Column("revoked", ISO, nullable=False),
)
settings = sa.Table(
    "settings", every, sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.String, nullable=False)
)
