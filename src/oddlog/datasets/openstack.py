"""OpenStack of loghub: instances of virtual machines, four of them with a fault (Du et al., CCS 2017).

Their sequences hardly differ from usual ones: no set for a headline.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polars as pl

from oddlog.datasets.folders import LABELS, LOGS, About
from oddlog.datasets.raw import find, open_raw

ABOUT = About(
    name="openstack",
    title="OpenStack (loghub): 208,000 lines of virtual machines, four of them with a fault",
    format="openstack",
    session=r"\[instance: ([0-9a-f-]{36})\]",
    terms="CC BY 4.0 (loghub); cite",
    cite="Zhu et al., ISSRE 2023 (loghub); Du et al., CCS 2017 (doi 10.1145/3133956.3134015)",
    trained_on="openstack_normal",
)
FILES = ("openstack_normal1.log", "openstack_normal2.log", "openstack_abnormal.log")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INSTANCE = re.compile(rb"\[instance: ([0-9a-f-]{36})\]")


def write(raw: Path, to: Path) -> None:
    """Write the set from a folder with the three logs and `anomaly_labels.txt`."""
    (to / LOGS).mkdir(parents=True, exist_ok=True)
    met: dict[str, None] = {}
    for name in FILES:
        with open_raw(find(raw, (name, f"{name}.gz"))) as lines, (to / LOGS / name).open("wb") as file:
            shutil.copyfileobj(lines, file)
        with (to / LOGS / name).open("rb") as file:
            met |= {found[1].decode(): None for line in file if (found := INSTANCE.search(line))}
    odd = set(UUID.findall(find(raw, ("anomaly_labels.txt",)).read_text(encoding="utf-8")))
    pl.DataFrame({"key": list(met), "label": [int(one in odd) for one in met]}).write_csv(to / LABELS)
