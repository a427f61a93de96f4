"""Make the golden model of the current format version, and write down the verdicts it gives.

    PYTHONPATH=tests python tests/golden/make.py

Run it once for each new `oddlog.model.FORMAT_VERSION`, needs the extra `train`, and commit what it writes. A folder that is
there is never made again for a later oddlog: what it holds is what users have on their disks.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

import oddlog
from oddlog.model import FORMAT_VERSION, Model
from small_shop import shop_lines

HERE = Path(__file__).resolve().parent


def verdicts(model: Model, log: Path) -> dict[str, Any]:
    """Return what a model says of a log, as JSON holds it; words may change, what is said must not."""
    with tempfile.TemporaryDirectory() as place:
        found = model.detect(log, line_scores=Path(place, "lines.parquet"))
        lines = pl.read_parquet(Path(place, "lines.parquet"))
    return {
        "windows": found.scores.select("key", "n_events", "is_anomaly", "score", "p_value", "threshold").rows(),
        "lines": lines.select("line", "template", "is_anomaly", "score", "p_value").rows(),
        "incidents": [
            {
                "key": incident.key,
                "n_windows": incident.n_windows,
                "pattern": incident.pattern,
                "reasons": [[reason.kind, dict(reason.numbers)] for reason in incident.reasons],
                "lines": [line.line for line in incident.lines],
            }
            for incident in found.incidents
        ],
    }


def main() -> None:
    """Fit on one day's orders, detect in the next day's, three of which are lost."""
    folder = HERE / f"format-{FORMAT_VERSION}"
    if folder.exists() and "--again" not in sys.argv:
        sys.exit(f"{folder} is there already. Before a release, --again makes it anew.")
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # the model remembers its sources by the names they were given
        Path("usual.log").write_text("\n".join(shop_lines(400, 1)) + "\n", encoding="utf-8")
        late = shop_lines(20, 3, start=90_000)
        today = folder / "today.log"
        today.write_text("\n".join([*shop_lines(30, 2, start=80_000, broken=3), *late]) + "\n", encoding="utf-8")
        model = oddlog.fit("usual.log")
        model.save(folder / "model")
    said = {"oddlog": oddlog.__version__, "id": model.id, **verdicts(model, today)}
    (folder / "verdicts.json").write_text(
        json.dumps(said, ensure_ascii=False).replace("], [", "],\n[") + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
