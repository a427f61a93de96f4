"""How a model is learned: windows are gathered, members fitted, thresholds set; `fitting` does all in order."""
