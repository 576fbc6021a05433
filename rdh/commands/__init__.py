"""The verbs of the command line, one file a group.

Each has a function `add(verbs, common)`. torch is imported only by the verbs that need it.
"""
