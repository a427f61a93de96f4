"""The slow, obvious twin of `oddlog.cleaning.Cleaner`: one row after the other, everything in memory."""

import re
from datetime import UTC, datetime

FRAME = re.compile(
    r"\s+at |\s*\.\.\. \d+ |\s*Caused by: |\s*Suppressed: |\s*Traceback \(most recent call last\)"
    r'|\s+File ".*", line \d|-----BEGIN [A-Z ]*PRIVATE KEY-----'
)
WITHIN = re.compile(r"\s|([\w$]+\.)*[\w$]*(Error|Exception|Exit|Interrupt)\b|[A-Za-z0-9+/=]{16,}$|-----END ", re.ASCII)
THROWN = re.compile(
    r'(?:Exception in thread "[^"]*" )?((?:[\w$]+\.)*[\w$]*(?:Exception|Error|Throwable)\b.*)', re.ASCII
)


def clean(rows: list[dict], *, drop_duplicates: bool = False) -> tuple[list[dict], list[tuple[str, int]]]:
    """Return the records and (source, line) of the quarantined lines of one source's rows."""
    records, quarantined = _join(rows)
    done: list[dict] = []
    time, seen = None, set()
    said = None
    for record in records:
        time = record["time"] = _possible(record["time"]) or time
        record["message"] = re.sub(r"[\x00-\x20]+", " ", record["message"]).strip(" ")
        said = _count(record, said)
        if drop_duplicates and record["text"] in seen:
            continue
        seen.add(record["text"])
        done.append(record)
    return done, quarantined


def _join(rows: list[dict]) -> tuple[list[dict], list[tuple[str, int]]]:
    records, quarantined = [], []
    highest, in_trace = -1, False
    for row in rows:
        if row["position"] <= highest:
            continue
        highest = row["position"]
        bare = row["ok"] and row["time"] is None
        continued = (
            not row["ok"]
            or bool(bare and FRAME.match(row["text"]))
            or bool(bare and WITHIN.match(row["text"]) and in_trace)
        )
        in_trace = continued
        if continued and records:
            records[-1]["lines"].append(row)
        elif row["ok"]:
            records.append({**row, "lines": [row]})
        else:
            quarantined.append((row["source"], row["line"]))
    return [_one(record) for record in records], quarantined


def _one(record: dict) -> dict:
    lines = record.pop("lines")
    size, kept = 0, []
    for rank, line in enumerate(lines):
        size += len(line["text"].encode()) + 1
        if rank == 0 or (rank <= 256 and size <= 65_537):
            kept.append(line["text"])
    named = _exception(kept)
    if named:
        record["message"] += f" ⏎ {named[:300]}"
    del record["ok"]
    return {**record, "text": "\n".join(kept), "position": lines[-1]["position"]}


def _exception(kept: list[str]) -> str | None:
    if len(kept) == 1:
        return None
    for i in reversed(range(len(kept))):
        if kept[i].endswith("Traceback (most recent call last):"):
            rest = list(kept[i + 1 :])
            while rest and rest[0][:1] in {" ", "\t"}:
                rest.pop(0)
            if rest and rest[0] and not rest[0][0].isspace():
                return rest[0]
    for line in reversed(kept[1:]):
        cause = re.match(r"\s*Caused by: (.+)", line)
        if cause:
            return cause[1]
    for line in kept[1:]:
        thrown = THROWN.match(line)
        if thrown:
            return thrown[1]
    return None


def _possible(time: datetime | None) -> datetime | None:
    return time if time and datetime(1990, 1, 1, tzinfo=UTC) <= time < datetime(2101, 1, 1, tzinfo=UTC) else None


def _count(record: dict, said: dict | None) -> dict:
    """Count a repeat; return what was said: the record itself, or what it repeats."""
    inner = re.fullmatch(r"message repeated (\d+) times?: \[ ?(.*?) ?\]?", record["message"])
    if inner:
        record["message"] = inner[2]
        record["count"] *= max(1, min(10_000, int(inner[1])))
    previous = re.fullmatch(r"last message (?:buffered and )?repeated (\d+) times?\.?", record["message"])
    if not previous or said is None:
        return {name: record[name] for name in ("message", "service", "level")}
    record["count"] *= max(1, min(10_000, int(previous[1])))
    record["message"] = said["message"]
    record["service"] = record["service"] or said["service"]
    record["level"] = said["level"] if record["level"] in {None, "UNKNOWN"} else record["level"]
    return said
