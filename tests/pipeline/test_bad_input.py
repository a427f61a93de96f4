"""Whatever bytes stand in a file: learned from, judged, or refused in one clear line; never anything else."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oddlog
from oddlog.errors import ConfigError, InputError, ModelError, TooLittleDataError, UserError
from oddlog.model import Model, _manifest
from oddlog.pipeline.excluding import Exclusion

QUICK = ["snn", "new-event"]
START = "2026-03-02 08:"


@pytest.fixture(scope="module")
def model(small_log: Path) -> Model:
    return oddlog.fit(small_log, detectors=QUICK)


def orders(n: int, line: Callable[[int, int], str]) -> str:
    """Return the lines of `n` orders, each with three steps."""
    return "".join(line(order, step) + "\n" for order in range(n) for step in range(3))


KINDS: dict[str, bytes] = {
    "log4j": orders(
        40, lambda o, s: f"{START}{o:02d}:{s:02d},000 INFO shop.web: Order ord-7{o:03d} step {'abc'[s]}"
    ).encode(),
    "json": orders(
        40,
        lambda o, s: json.dumps(
            {
                "time": f"2026-03-02T08:{o:02d}:{s:02d}Z",
                "level": "info",
                "order": f"ord-7{o:03d}",
                "ms": o,
                "msg": f"step {'abc'[s]}",
            }
        ),
    ).encode(),
    "syslog": orders(
        40, lambda o, s: f"Mar  2 08:{o:02d}:{s:02d} web1 shop[{o + 300}]: order ord-7{o:03d} step {'abc'[s]}"
    ).encode(),
    "csv": b"time,level,service,message\n"
    + orders(40, lambda o, s: f"{START}{o:02d}:{s:02d},INFO,web,order ord-7{o:03d} step {'abc'[s]}").encode(),
    "access": orders(
        40,
        lambda o, s: f'192.0.2.{o} - - [02/Mar/2026:08:{o:02d}:{s:02d} +0000] "GET /{"abc"[s]} HTTP/1.1" 200 {o * 9}',
    ).encode(),
    "plain": orders(40, lambda o, s: f"order ord-7{o:03d} step {'abc'[s]}").encode(),
}
KINDS["gzip"] = gzip.compress(KINDS["log4j"], mtime=0)


def survives(content: bytes, model: Model) -> None:
    """Learn from and judge a file of these bytes; anything but a result or a UserError fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.log")
        path.write_bytes(content)
        try:
            found = model.detect(path, scores=Path(folder, "s.parquet"), line_scores=Path(folder, "l.parquet"))
            assert found.lines > 0
            assert len(pl.read_parquet(Path(folder, "l.parquet"))) >= 1
        except UserError:
            assert [one.name for one in Path(folder).iterdir()] == ["any.log"]
        with suppress(UserError):
            oddlog.fit(path, detectors=QUICK).detect(path)


@given(content=st.binary(max_size=3000))
@settings(max_examples=12, deadline=None)
def test_any_bytes_are_judged_or_refused(model: Model, content: bytes):
    survives(content, model)


@given(lines=st.lists(st.text(max_size=60) | st.sampled_from(KINDS["log4j"].decode().splitlines()), max_size=60))
@settings(max_examples=12, deadline=None)
def test_any_lines_are_judged_or_refused(model: Model, lines: list[str]):
    survives("\n".join(lines).encode(errors="surrogatepass"), model)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return `content` with some bytes changed, cut out, doubled, or put in."""
    bytes_ = bytearray(content)
    for _ in range(draw.randint(1, 20)):
        at, length = draw.randrange(len(bytes_) + 1), draw.choice([1, 1, 2, 8, 60])
        match draw.randrange(5):
            case 0:
                bytes_[at : at + 1] = draw.randbytes(1)
            case 1:
                del bytes_[at : at + length]
            case 2:
                bytes_[at:at] = bytes_[at : at + length]
            case 3:
                bytes_[at:at] = draw.choice(
                    [b"\0", b"\xff\xfe", b"\r", b"\r\n", b"\n\n", b'"', b"\xf0\x9f", b"\x1b[31m", b"9" * 400]
                )
            case _:
                bytes_[at : at + 4] = str(draw.choice([-1, 2**31, 2**63, 1e300])).encode()
    return bytes(bytes_)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_logs_are_judged_or_refused(model: Model, kind: str):
    draw = random.Random(f"damage {kind}")
    for _ in range(4):
        survives(mutated(KINDS[kind], draw), model)


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_they_are_learned_from(kind: str, tmp_path: Path):
    path = tmp_path / "a.log"
    path.write_bytes(KINDS[kind])
    options = {"json": {"session": "order"}, "access": {"session": "none", "window": "10"}}
    learned = oddlog.fit(path, detectors=QUICK, **options.get(kind, {"session": r"(ord-\d+)"}))
    assert learned.training["records"] == 120


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "There is not one line of log in"),
        (b"\n" * 5000, "There is not one line of log in"),
        (b" \t \n" * 5000, "There is not one line of log in"),
        (b"\0" * 5000, "There is not one line of log in"),
        (bytes(range(256)) * 100, "it is binary"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "it is binary"),
        (KINDS["gzip"][:15], "the compressed data end in the middle"),
        (KINDS["gzip"][:-8] + b"\0" * 8, "the compressed data are damaged"),
    ],
)
def test_what_holds_no_line_is_refused(model: Model, content: bytes, says: str, tmp_path: Path):
    (tmp_path / "a.log").write_bytes(content)
    with pytest.raises(InputError, match=says):
        model.detect(tmp_path / "a.log")


@pytest.mark.parametrize("n", [1, 2, 10])
def test_few_lines_are_too_little_to_learn_from_but_can_be_judged(
    model: Model, n: int, small_log: Path, tmp_path: Path
):
    (tmp_path / "a.log").write_text("\n".join(small_log.read_text().splitlines()[:n]))
    with pytest.raises(TooLittleDataError, match=r"are too few \(at least 10\)\. Give more logs, or cut smaller"):
        oddlog.fit(tmp_path / "a.log", detectors=QUICK)
    found = model.detect(tmp_path / "a.log")
    assert (found.lines, found.incidents) == (n, ())


def test_sessions_of_lines_without_a_time_are_learned_and_judged(small_log: Path, odd_log: Path, tmp_path: Path):
    for name, path in (("usual", small_log), ("odd", odd_log)):
        lines = [line[24:] for line in path.read_text().splitlines()]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    learned = oddlog.fit(tmp_path / "usual", detectors=QUICK)
    assert learned.training["views"]["sessions"]["windows"] == 400
    found = learned.detect(tmp_path / "odd")
    assert len(found.scores) == 123
    odd = set(found.scores.filter("is_anomaly")["key"])
    assert odd == {"ord-200060", "ord-200061", "ord-200062"}
    assert (found.start, found.end) == (None, None)


def test_a_broken_off_file_is_read_as_far_as_it_goes(model: Model, small_log: Path, tmp_path: Path):
    packed = gzip.compress(small_log.read_bytes(), mtime=0)
    (tmp_path / "a.log.gz").write_bytes(packed[: len(packed) // 2])
    found = model.detect(tmp_path / "a.log.gz")
    assert 500 < found.lines < 2084
    assert found.tally.counts["source not read to its end"] == 1


def test_a_file_named_twice_and_odd_names_are_read_once(model: Model, odd_log: Path, tmp_path: Path):
    strange = tmp_path / "sp ace ünï\nline [b].log"
    strange.write_bytes(odd_log.read_bytes())
    found = model.detect([strange, strange, tmp_path])
    assert found.lines == 632
    assert found.incidents[0].lines[0].source == str(strange)


def test_a_name_that_is_no_utf8_is_passed_over(
    model: Model, odd_log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    strange = tmp_path / "o\udcff.log"
    strange.write_bytes(odd_log.read_bytes())
    with pytest.raises(InputError, match="has a name that is no UTF-8"):
        model.detect(strange)
    assert len(model.detect([strange, odd_log]).incidents) == 1
    assert "has a name that is no UTF-8" in caplog.text


def test_a_field_that_only_some_sources_have_can_be_excluded_by(tmp_path: Path, small_log: Path):
    (tmp_path / "a.json").write_bytes(KINDS["json"])
    both = [small_log, tmp_path / "a.json"]
    for condition in ("n.ms >= 20", '"n.ms" >= 20', "ms >= 20", "ms >= 20 OR thread LIKE 'none%'"):
        learned = oddlog.fit(both, detectors=["new-event"], exclude=condition)
        assert learned.training["records"] == 2084 + 60, condition
    # The model's own condition may name what another day's logs do not have; what is asked for now may not.
    assert learned.detect(small_log).lines == 2084
    with pytest.raises(ConfigError, match="names 'ms', which no record has"):
        learned.detect(small_log, exclude="ms >= 20")


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("level = 'ERROR'", [1, 3]),
        ("n.ms > 5", [1, 2]),
        ("message LIKE '%n.ms%'", [1, 2]),
        ("status = 200", [1, 2, 3]),
        ("status LIKE '2%' OR line = 1", [2, 3]),
        ("true", []),
    ],
)
def test_an_exclusion_keeps_the_others(condition: str, kept: list[int]):
    records = pl.DataFrame(
        {
            "line": [1, 2, 3],
            "level": ["INFO", "ERROR", None],
            "n.ms": [None, 3.0, 9.0],
            "message": ["a", "b", "set n.ms"],
        }
    )
    assert Exclusion(condition).kept(records)["line"].to_list() == kept


@pytest.mark.parametrize("name", ["manifest.json", "model.json", "templates.json", "events.safetensors"])
def test_a_model_with_one_changed_byte_is_refused(model: Model, tmp_path: Path, name: str):
    model.save(tmp_path / "a.model")
    path = tmp_path / "a.model" / name
    whole = path.read_bytes()
    draw = random.Random(name)
    for _ in range(40):
        at = draw.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ draw.randrange(1, 256)]) + whole[at + 1 :])
        with pytest.raises(ModelError):
            oddlog.load(tmp_path / "a.model")
    path.write_bytes(whole)
    assert oddlog.load(tmp_path / "a.model").id == model.id


def test_a_model_another_program_wrote_is_refused_whatever_is_in_it(model: Model, tmp_path: Path):
    model.save(tmp_path / "a.model")
    files = {path.name: path.read_bytes() for path in (tmp_path / "a.model").iterdir() if path.name != "manifest.json"}
    head = json.loads(files["model.json"])
    for name in head:
        for value in (None, [], {}, "x", [1], {"a": 1}):
            other = files | {"model.json": json.dumps(head | {name: value}).encode()}
            (tmp_path / "a.model" / "model.json").write_bytes(other["model.json"])
            (tmp_path / "a.model" / "manifest.json").write_bytes(_manifest(other))
            try:
                loaded = oddlog.load(tmp_path / "a.model")
            except UserError:
                continue
            assert name not in {"views", "parts", "numbers"} or not value, (name, value)
            assert loaded.id
