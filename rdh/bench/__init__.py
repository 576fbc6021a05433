"""Benchmarks: ratios within one run, arms interleaved round by round, medians.

Called by `python -m rdh bench`.
"""
