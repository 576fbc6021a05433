"""The reading side of a run's metrics.db. See `rdh.store.schema` for the tables."""

import contextlib
import functools
import json
import math
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import UserError, os_reason
from rdh.files import check_regular, read_json
from rdh.store.schema import LINES, RENAMED, TOGETHER

# the version of a file; a file without one is of version 1
VERSION = "(SELECT COALESCE(MAX(CAST(value AS INTEGER)), 1) FROM meta WHERE key = 'schema_version')"

# of a row of `arrays`: it holds the array, alone or together with others, or it is damaged
HAS_IT = (
    f"a.name IN (NAMES) AND (a.name <> '{TOGETHER}' OR instr(a.shape, ?) "
    "OR a.shape NOT LIKE '{\"%')"
)

AGAIN = "launch it again, then delete this one."
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, zlib.error)


class LostRecords(UserError):
    """The records of a run can't be read any more.

    Attributes:
        run_id: of the run.
        is_empty: nothing is there to read, so that what result.json says stands by itself.
    """

    def __init__(self, run_id: str, problem: str, *, is_empty: bool = False) -> None:
        super().__init__(f"metrics.db of run {run_id} {problem}: {AGAIN}")
        self.run_id, self.is_empty = run_id, is_empty


class MetricsReader:
    """Reads one run's metrics with short, read-only connections.

    Names of a file of version 1 are translated (`schema.RENAMED`): it has no `dead`, for instance.
    Everything is empty before the worker's first record. If the file is damaged, or empty although
    the run has finished, every method raises LostRecords.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def meta(self) -> dict[str, Any]:
        """Facts that do not change with the step.

        These are attempt, schema_version and what training added: n_bits, logit_edges, tau,
        n_train, total_steps and more.
        """
        rows = self._query("SELECT key, value FROM meta")
        with self._typed():
            return {key: json.loads(value) for key, value in rows}

    def version(self) -> tuple[int, int]:
        """(attempt, last seq), which changes exactly if there is something new: a key for caches.

        (0, 0) before the first record.
        """
        rows = self._query(
            "SELECT (SELECT value FROM meta WHERE key = 'attempt'), (SELECT MAX(seq) FROM records)"
        )
        with self._typed():
            return (int(rows[0][0] or 0), int(rows[0][1] or 0)) if rows else (0, 0)

    def record(self, seq: int) -> tuple[int, float] | None:
        """(step, Unix time) of a record; None if there is no such record."""
        rows = self._query("SELECT step, at FROM records WHERE seq = ?", (seq,))
        return rows[0] if rows else None

    def last_step(self) -> int:
        """The step of the newest record; 0 before the first."""
        rows = self._query("SELECT step FROM records ORDER BY seq DESC LIMIT 1")
        return rows[0][0] if rows else 0

    def records(self) -> list[tuple[int, int, float]]:
        """(step, epoch, Unix time) of all records, in order."""
        return self._query("SELECT step, epoch, at FROM records ORDER BY seq")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays that some record holds, and their shapes."""
        rows = self._query(f"SELECT DISTINCT {VERSION}, name, shape FROM arrays")
        found: dict[str, tuple[int, ...]] = {}
        with self._typed():
            for version, name, shape in rows:
                if name == TOGETHER:
                    found |= {name: shape for name, (*_, shape) in _places(shape).items()}
                else:
                    name = RENAMED.get(name, name) if version == 1 else name
                    found[name] = tuple(json.loads(shape))
        return dict(sorted(found.items()))

    def scalars(self, after: int = 0) -> list[tuple[int, int, int, str, float | None]]:
        """(seq, step, epoch, name, value) of the records with seq > after, in order."""
        rows = self._query(
            f"SELECT {VERSION}, r.seq, r.step, r.epoch, s.name, s.value FROM scalars s JOIN "
            "records r USING (seq) WHERE seq > ? ORDER BY seq",
            (after,),
        )
        return [
            (*where, RENAMED.get(name, name) if version == 1 else name, value)
            for version, *where, name, value in rows
        ]

    def scalar(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """One scalar of the whole run.

        Returns:
            steps (n,) and values (n,) of the records that hold a finite one.
        """
        rows = self._query(
            "SELECT r.step, s.value FROM scalars s JOIN records r USING (seq) "
            "WHERE s.name IN (NAMES) AND s.value IS NOT NULL ORDER BY seq",
            name=name,
        )
        with self._typed():
            steps = np.array([step for step, _ in rows], dtype=np.int64)
            return steps, np.array([value for _, value in rows], dtype=np.float64)

    def arrays(self, name: str, after: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The records with seq > after that hold this array.

        Returns:
            seqs (n,), steps (n,) and values (n, ...). The values are read-only.
        """
        # of each record, the array: an index that begins with seq finds it
        rows = self._query(
            "SELECT r.seq, r.step, a.name, a.dtype, a.shape, a.data FROM records r "
            f"CROSS JOIN arrays a ON a.seq = r.seq AND {HAS_IT} WHERE r.seq > ? ORDER BY r.seq",
            (after,),
            name,
        )
        unpacked = [self._unpack(name, *row[2:]) for row in rows]
        with self._typed():
            values = np.stack(unpacked) if rows else np.empty((0,))
            values.flags.writeable = False
            seqs, steps = (np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1))
            return seqs, steps, values

    def latest(self, name: str, step: int | None = None) -> tuple[int, np.ndarray] | None:
        """(step, values) of the newest record that holds this array.

        Args:
            name: The name of the array.
            step: Look only at records of this step and before. None looks at all.
        """
        rows = self._query(
            "SELECT r.step, a.name, a.dtype, a.shape, a.data FROM records r CROSS JOIN arrays a "
            f"ON a.seq = r.seq AND {HAS_IT} WHERE r.step <= ? ORDER BY r.seq DESC LIMIT 1",
            (2**62 if step is None else step,),
            name,
        )
        return (rows[0][0], self._unpack(name, *rows[0][1:])) if rows else None

    def events(self, after: int = 0) -> list[tuple[int, int, float, str, str]]:
        """(seq, step, Unix time, type, text) of the events with seq > after, in order."""
        return self._query(
            "SELECT r.seq, r.step, r.at, e.type, e.text FROM events e JOIN records r "
            "USING (seq) WHERE seq > ? ORDER BY seq",
            (after,),
        )

    def _query(
        self, sql: str, parameters: tuple[Any, ...] = (), name: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows. NAMES in the SQL, before all parameters, are those that the file stores `name` by:
        of scalars, or of arrays with HAS_IT.

        They are looked up first: SQLite does not use an index for names that a query works out.
        """
        try:
            check_regular(self.path)  # SQLite would wait for a pipe for ever
        except FileNotFoundError:
            return self._none()
        except OSError as error:
            raise self._damaged(os_reason(error)) from None
        try:
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
                if name is not None:
                    connection.execute("BEGIN")  # a resume renames them
                    names = _stored(name, connection.execute(f"SELECT {VERSION}").fetchone()[0])
                    if HAS_IT in sql:
                        names.append(TOGETHER)
                        parameters = (json.dumps(name), *parameters)
                    sql = sql.replace("NAMES", ", ".join("?" * len(names)))
                    parameters = (*names, *parameters)
                return connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # a damaged name in SQLite's message
            if "no such table" in str(error):
                return self._none()
            if "is locked" in str(error):
                raise UserError(
                    f"metrics.db of run {self.path.parent.name} is locked by another program, such "
                    f"as an editor of databases: close it there, then look again."
                ) from None
            raise self._damaged(error) from None

    def _unpack(self, name: str, row: str, dtype: str, shape: str, data: bytes) -> np.ndarray:
        """The array of this name in a row of `arrays`."""
        with self._typed():
            if row == TOGETHER:
                place, kind, form = _places(shape)[name]
                return np.frombuffer(data[place], dtype=kind).reshape(form)
            return np.frombuffer(zlib.decompress(data), dtype=np.dtype(dtype)).reshape(
                json.loads(shape)
            )

    @contextlib.contextmanager
    def _typed(self) -> Iterator[None]:
        """What is stored as another type or shape than ours is damage."""
        try:
            yield
        except DAMAGE as error:
            raise self._damaged(error) from None

    def _none(self) -> list[tuple[Any, ...]]:
        """No row, as long as the worker or the lines that it left may still make the tables."""
        folder = self.path.parent
        is_over = (read_json(folder / "result.json") or {}).get("state") == "finished"
        if is_over and not any(folder.glob(LINES)):
            problem = "is empty, so its records are lost"
            raise LostRecords(self.path.parent.name, problem, is_empty=True)
        return []

    def _damaged(self, error: Exception | str) -> LostRecords:
        problem = f"can't be read ({error}); its other files and all other runs are untouched"
        return LostRecords(self.path.parent.name, problem)


def _stored(name: str, version: int) -> list[str]:
    """The names that a file of this version stores a name by."""
    old = [before for before, now in RENAMED.items() if now == name]
    return [name] if version > 1 else old + [name] * (name not in RENAMED)


@functools.lru_cache(maxsize=64)
def _places(layout: str) -> dict[str, tuple[slice, np.dtype, tuple[int, ...]]]:
    """Where each array lies in the bytes of a row TOGETHER, its type and its shape."""
    places, start = {}, 0
    for name, (kind, shape) in json.loads(layout).items():
        dtype = np.dtype(kind)
        stop = start + math.prod(shape) * dtype.itemsize
        places[name] = slice(start, stop), dtype, tuple(shape)
        start = stop
    return places
