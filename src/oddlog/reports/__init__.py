"""A report of what was found: one HTML file that needs nothing else, for people to read, send and keep."""

from oddlog.reports.writing import check_report, write_report

__all__ = ["check_report", "write_report"]
