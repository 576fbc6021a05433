"""The tables of a run's metrics.db.

A *record* is one logging step: `records` has a line for it, and `scalars`, `arrays` and `events`
hold what was logged then, by its `seq`. `step` counts optimizer steps completed. Arrays are
little-endian, in the form of zlib. A record's small arrays stand one behind the other, as they are,
in one row that is named TOGETHER; its `shape` says what is in it, as JSON {name: [dtype, shape]} in
their order. `meta` holds facts that do not change with the step, as JSON.
Every table grows at its end, so a record writes few pages. Until November 2026 every array had a
row of its own, as those of 600 bytes and more have now, and the index of `arrays` began with the
name.

Version 1, until November 2026, called entries dead that are called flagged now, and counted most
things over the window of a record. `RENAMED` says what its names are called now.
"""

SCHEMA_VERSION = 2
TOGETHER = "*"
LINES = "metrics-a*.jsonl"  # what a worker on another machine leaves to be taken in: lines.py
# Name in version 1 -> name now, of scalars and arrays. Version 1 had two vintages: the older one
# wrote dead, dead_now and levels, the newer one dead_window, dead_all and dead_levels.
RENAMED = {
    **dict.fromkeys(("dead", "dead_window"), "flagged_window"),
    **dict.fromkeys(("dead_now", "dead_all"), "flagged"),
    **dict.fromkeys(("levels", "dead_levels"), "flagged_levels_window"),
    "dead_hard": "flagged_hard_window",
    "dead_histogram": "flagged_histogram_window",
    "dead_total": "amplified",
    "deaths": "flags_raised",
    "rescues": "flags_answered",
    "releases": "flags_dropped",
    "relapses": "flags_raised_again",
    "entries": "window_entries",
    "saturated": "saturated_window",
    "saturated_levels": "saturated_levels_window",
    "histogram": "histogram_window",
}
TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE records (seq INTEGER PRIMARY KEY AUTOINCREMENT, step INTEGER NOT NULL, "
    "epoch INTEGER NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE scalars (seq INTEGER NOT NULL, name TEXT NOT NULL, value REAL, "
    "PRIMARY KEY (seq, name)) WITHOUT ROWID",
    "CREATE TABLE arrays (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, name TEXT NOT NULL, "
    "dtype TEXT NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (seq, name))",
    "CREATE TABLE events (seq INTEGER NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL)",
)
