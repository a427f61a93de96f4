"""From parsed lines to clean records: traces joined, times repaired, secrets taken out, repeats counted."""

from oddlog.cleaning.cleaner import Cleaner, Quarantined, cleaning_table

__all__ = ["Cleaner", "Quarantined", "cleaning_table"]
