"""The session key: found where lines share one, not invented where they do not."""

from __future__ import annotations

import random
import uuid

import polars as pl
import pytest

from oddlog.errors import ConfigError
from oddlog.windows import SessionChoice, find_session, parse_session, session_keys

STEPS = ("accepted {} from shop", "payment for {} authorised", "picked {} in aisle 7", "{} handed to carrier")
OTHER = ("cache refreshed in {} ms", "heartbeat {}", "connection pool holds {} of 40")


def interleaved(ids: list[str], steps=STEPS, *, seed: int = 1, other: int = 0) -> pl.DataFrame:
    """Sessions that overlap a little, as a service writes them; every `other`-th line belongs to none."""
    rng = random.Random(seed)
    lines = [
        (10 * i + 3 * j + rng.random(), step.format(one)) for i, one in enumerate(ids) for j, step in enumerate(steps)
    ]
    if other:
        span = 10 * len(ids)
        lines += [
            (rng.random() * span, rng.choice(OTHER).format(rng.randrange(40))) for _ in range(len(lines) // other)
        ]
    return pl.DataFrame({"message": [text for _, text in sorted(lines)]})


def uuids(n: int, prefix: str = "") -> list[str]:
    rng = random.Random(2)
    return [prefix + str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(n)]


UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


@pytest.mark.parametrize(
    ("ids", "steps", "regex", "first"),
    [
        ([f"blk_{(-1) ** i * (i + 7) * 7919}" for i in range(60)], STEPS, r"\b(blk_-?[0-9]+)", "blk_55433"),
        ([f"order-{i + 12345}" for i in range(60)], STEPS, r"\b(order-[0-9]+)", "order-12345"),
        (uuids(60, "req-"), STEPS, rf"\b(req-{UUID})\b", uuids(1, "req-")[0]),
        (uuids(60), STEPS, rf"\b({UUID})\b", uuids(1)[0]),
        (
            [f"{i * 7919 + 11:010x}"[:9] + "a" for i in range(60)],
            tuple(step.replace("{}", "<{}>") for step in STEPS),
            r"(?:^|[^\w\-])([0-9a-f]{10})(?:$|[^\w\-])",
            "000000000a",
        ),
        (
            [str(i + 900) for i in range(60)],
            tuple(step.replace("{}", "[orderId={}]") for step in STEPS),
            r"""\borderId["']?\s?[=:]\s?["']?([\w\-]*[0-9][\w\-]*)""",
            "900",
        ),
        (
            [f"T{i}x" for i in range(60)],
            tuple(step.replace("{}", 'trace: "{}"') for step in STEPS),
            r"""\btrace["']?\s?[=:]\s?["']?([\w\-]*[0-9][\w\-]*)""",
            "T0x",
        ),
    ],
    ids=["block", "order number", "prefixed uuid", "bare uuid", "hex", "key=value", "key: value"],
)
def test_an_identifier_that_recurs_across_lines_is_found(ids, steps, regex, first):
    records = interleaved(ids, steps)
    choice = find_session(records)
    assert (choice.kind, choice.value) == ("regex", regex)
    assert choice.candidates.row(0, named=True)["why_not"] == ""
    assert session_keys(records, choice)[0] == first
    assert session_keys(records, choice).n_unique() == len(ids)


def test_lines_of_no_session_have_a_null_key():
    records = interleaved([f"order-{i}" for i in range(60)], other=3)
    choice = find_session(records)
    keys = session_keys(records, choice)
    assert choice.value == r"\b(order-[0-9]+)"
    assert keys.null_count() == 80
    assert keys.n_unique() == 61


def test_a_found_field_is_preferred_to_the_same_identifier_in_the_message():
    records = interleaved([f"order-{i}" for i in range(60)])
    records = records.with_columns(**{"f.trace_id": pl.col("message").str.extract(r"(order-\d+)")})
    choice = find_session(records)
    assert (choice.kind, choice.value) == ("field", "f.trace_id")


def test_the_identifier_of_the_whole_is_preferred_to_that_of_a_step():
    records = interleaved([f"order-{i}" for i in range(80)])
    order = pl.col("message").str.extract(r"(order-\d+)")
    later = pl.col("message").str.contains("picked|carrier")
    records = records.with_columns(**{"f.trace": order, "f.span": pl.format("{}.{}", order, later)})
    assert find_session(records).value == "f.trace"


def by_candidate(choice: SessionChoice) -> dict[str, str]:
    return dict(choice.candidates.select("candidate", "why_not").iter_rows())


def access_log() -> pl.DataFrame:
    rng = random.Random(3)
    clients = [f"198.51.100.{i}" for i in range(40)]
    pages = ["/", "/cart", "/help", "/search?q=lamp", "/img/logo.png", "/login", "/api/items"]
    rows = [(rng.choice(clients), rng.choice(pages)) for _ in range(800)]
    return pl.DataFrame(
        {
            "message": [f"GET {page} HTTP/1.1" for _, page in rows],
            "f.peer_key": [client for client, _ in rows],
            "f.client": [client for client, _ in rows],
            "f.path": [page for _, page in rows],
        }
    )


def test_no_session_is_invented_on_a_web_access_log():
    choice = find_session(access_log())
    assert (choice.kind, choice.value) == ("none", "")
    assert by_candidate(choice) == {
        "f.client": "tells who or where",
        "f.peer_key": "tells who or where",
        "f.path": "tells what kind",
    }


def test_what_lives_as_long_as_the_log_is_no_session():
    rng = random.Random(4)
    rows = [
        (f"unit{rng.randrange(30)}", rng.choice(("fan slow", "fan fast", "link up", "link down"))) for _ in range(900)
    ]
    records = pl.DataFrame({"message": [text for _, text in rows], "f.rack": [unit for unit, _ in rows]})
    choice = find_session(records)
    assert choice.kind == "none"
    assert by_candidate(choice)["f.rack"].startswith("its values live long")


def test_what_recurs_on_lines_of_one_kind_only_is_no_session():
    records = pl.DataFrame({"message": [f"retry of order-{i // 3} scheduled" for i in range(300)]})
    choice = find_session(records)
    assert choice.kind == "none"
    assert by_candidate(choice)[r"\b(order-[0-9]+)"].startswith("only 0% of its lines share their value")


def test_what_most_lines_do_not_carry_is_no_session():
    records = interleaved([f"order-{i}" for i in range(60)])
    rest = pl.DataFrame({"message": ["heartbeat of the scheduler"] * 500})
    choice = find_session(pl.concat([records, rest]))
    assert choice.kind == "none"
    assert by_candidate(choice)[r"\b(order-[0-9]+)"] == "stands on 32% of the lines"


def test_a_date_is_no_session():
    records = interleaved([f"order-{i}" for i in range(60)]).with_columns(
        message=pl.col("message").str.replace(r"order-\d+", "it"),
        **{"f.when": pl.format("2026-02-{}", (pl.int_range(pl.len()) // 10 + 10).cast(pl.String))},
    )
    assert by_candidate(find_session(records))["f.when"] == "tells when"


def test_times_decide_how_long_a_value_lives_where_lines_have_them():
    """Two files one behind the other: by place in the log every order lives half of it, by time seconds."""
    ids = [f"order-{i}" for i in range(60)]
    front, back = (interleaved(ids, steps) for steps in (STEPS[:2], STEPS[2:]))
    place = pl.col("message").str.extract(r"order-(\d+)").cast(pl.Int64) * 1_000_000
    untimed = pl.concat([front, back])
    timed = untimed.with_columns(time=place.cast(pl.Datetime("us", "UTC")))
    lifetimes = [find_session(one).candidates["lifetime_share"][0] for one in (untimed, timed)]
    assert lifetimes == pytest.approx([0.85, 0.0], abs=0.1)


@pytest.mark.parametrize("messages", [[], [""] * 30, ["ok"] * 30], ids=["none", "empty", "alike"])
def test_logs_without_anything_to_find_give_none(messages):
    choice = find_session(pl.DataFrame({"message": messages}, schema={"message": pl.String}))
    assert choice.kind == "none"


def test_only_the_first_records_are_looked_at():
    records = pl.concat([access_log(), interleaved([f"order-{i}" for i in range(900)])], how="diagonal")
    assert find_session(records, max_records=800).kind == "none"


@pytest.mark.parametrize(
    ("option", "kind", "value"),
    [
        ("none", "none", ""),
        ("trace_id", "field", "trace_id"),
        ("f.trace_id", "field", "f.trace_id"),
        (r"(order-\d+)", "regex", r"(order-\d+)"),
        (r"(?:job|task) (\d+)", "regex", r"(?:job|task) (\d+)"),
    ],
)
def test_the_option_names_a_field_or_a_regular_expression(option, kind, value):
    choice = parse_session(option)
    assert choice is not None
    assert (choice.kind, choice.value, choice.confidence) == (kind, value, 1.0)


def test_auto_leaves_the_choice_to_the_log():
    assert parse_session("auto") is None


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (r"(order-\d+", "The session '(order-\\\\d+' is no regular expression: "),
        (r"order-\d+", "The session 'order-\\\\d+' has 0 groups, and needs one. Put ( ) around the identifier,"),
        (r"(a)-(\d+)", "The session '(a)-(\\\\d+)' has 2 groups, and needs one."),
    ],
)
def test_an_expression_that_cannot_work_is_refused_with_a_hint(option, said):
    with pytest.raises(ConfigError) as error:
        parse_session(option)
    assert str(error.value).startswith(said)


def test_a_field_that_is_not_there_names_those_there_are():
    records = access_log()
    with pytest.raises(ConfigError) as error:
        session_keys(records, SessionChoice("field", "clint"))
    assert str(error.value) == ("There is no field 'clint'. Did you mean 'client'? There are: client, path, peer_key.")


def test_a_field_is_found_with_and_without_its_prefix_and_blanks_are_null():
    records = pl.DataFrame(
        {"message": ["x"] * 5, "f.trace": ["a", "", "-", None, "b"], "n.job": [1.0, 2.0, None, 4.0, 5.0]}
    )
    expected = ["a", None, None, None, "b"]
    assert session_keys(records, SessionChoice("field", "trace")).to_list() == expected
    assert session_keys(records, SessionChoice("field", "f.trace")).to_list() == expected
    assert session_keys(records, SessionChoice("none")).to_list() == [None] * 5


def test_of_several_identifiers_in_a_line_the_first_counts():
    records = pl.DataFrame({"message": ["order-7 replaces order-6"]})
    assert session_keys(records, SessionChoice("regex", r"(order-\d+)")).to_list() == ["order-7"]
