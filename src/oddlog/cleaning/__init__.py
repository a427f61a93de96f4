"""From parsed lines to clean records: traces joined, times repaired, secrets taken out, repeats counted."""

from oddlog.cleaning.cleaner import Cleaner, Quarantined, cleaning_table
from oddlog.cleaning.together import by_source, last_of

__all__ = ["Cleaner", "Quarantined", "by_source", "cleaning_table", "last_of"]
