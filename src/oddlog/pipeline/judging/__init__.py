"""How a log is judged: windows → verdicts → incidents; `detecting` does all in order."""
