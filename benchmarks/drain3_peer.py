"""Other people's tools, set up the way their own examples do."""

from __future__ import annotations

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
MASKS = {
    "ID": rf"{_START}(?:[0-9a-f]{{2,}}:){{3,}}[0-9a-f]{{2,}}{_END}",
    "IP": rf"{_START}\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}{_END}",
    "SEQ": rf"{_START}(?:[0-9a-f]{{6,}} ?){{3,}}{_END}",
    "SEQ4": rf"{_START}(?:[0-9A-F]{{4}} ?){{4,}}{_END}",
    "HEX": rf"{_START}0x[a-fA-F0-9]+{_END}",
    "NUM": rf"{_START}[-+]?\d+{_END}",
    "CMD": r'(?<=executed cmd )".+?"',
}
"""What the masks of Drain3's example configuration mask, in their order."""


def drain3_miner() -> TemplateMiner:
    """Return Drain3 with its default parameters and the masks of its example."""
    config = TemplateMinerConfig()
    config.masking_instructions = [MaskingInstruction(pattern, name) for name, pattern in MASKS.items()]
    return TemplateMiner(config=config)
