"""Small labelled sets of our own for tests of the bench."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

USUAL = ("begin job", "read 12 rows", "write 12 rows", "commit", "end job")
ODD = ("begin job", "read 12 rows", "disk quota exceeded", "rollback")


def write_made_set(folder: Path, *, sessions: int = 240, every: int = 12, seed: int = 0) -> Path:
    """Sessions of five lines that overlap; every twelfth breaks off with two lines that no usual one has."""
    draw = np.random.default_rng(seed)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    lines, labels = [], ["key,label,system"]
    for number in range(sessions):
        odd = number % every == every - 1
        for step, text in enumerate(ODD if odd else USUAL):
            time = start + timedelta(seconds=60 * number + 20 * step + float(draw.random()))
            lines.append((time, f"{time:%Y-%m-%dT%H:%M:%S.%fZ} INFO worker: [job-{number:04d}] {text}"))
        labels.append(f"job-{number:04d},{int(odd)},{'north' if number % 2 else 'south'}")
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "jobs.log").write_text("\n".join(text for _, text in sorted(lines)) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "set.json").write_text(r'{"name": "jobs", "session": "(job-\\d+)"}')
    return folder
