"""Messages to types: mask what varies, mine the distinct masked texts, match what comes later."""

from oddlog.templates.mask import Masked, key_of_text, mask
from oddlog.templates.match import Matcher
from oddlog.templates.miner import mine, with_embedding

__all__ = ["Masked", "Matcher", "key_of_text", "mask", "mine", "with_embedding"]
