"""Benchmarks, called by `python -m rdh bench`: arms interleaved round by round, medians, ratios."""
