"""The chapters of the study of dead bits, and what they read from runs.

`rdh.studies.dead_bits` is the study itself.
"""
