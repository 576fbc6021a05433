"""The verbs of the command line, one file a group.

Each has `add(verbs, common)`; torch is imported only where a verb needs it.
"""
