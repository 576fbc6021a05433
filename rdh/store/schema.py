"""The tables of a run's metrics.db.

A *record* is one logging step: `records` has a line for it, and `scalars`, `arrays` and `events`
hold what was logged then, by its `seq`. `step` counts optimizer steps completed. Arrays are
little-endian and compressed by zlib. `meta` holds facts that do not change with the step, as JSON.
"""

SCHEMA_VERSION = 1
TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE records (seq INTEGER PRIMARY KEY AUTOINCREMENT, step INTEGER NOT NULL, "
    "epoch INTEGER NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE scalars (seq INTEGER NOT NULL, name TEXT NOT NULL, value REAL, "
    "PRIMARY KEY (seq, name)) WITHOUT ROWID",
    "CREATE TABLE arrays (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, name TEXT NOT NULL, "
    "dtype TEXT NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (name, seq))",
    "CREATE TABLE events (seq INTEGER NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL)",
)
