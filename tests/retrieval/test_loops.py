"""Machine code that is kept on disk."""

import importlib
import sys

LOOP = """
from rdh.retrieval.loops import compiled_loop
from numbers_of_a_loop import N

@compiled_loop("int64(int64)")
def times(x):
    return N * x
"""


def test_code_on_disk_is_not_used_once_a_number_of_another_file_has_changed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "a_loop.py").write_text(LOOP, encoding="utf-8")
    for n, is_new in ((7, True), (7, False), (1234, True)):
        (tmp_path / "numbers_of_a_loop.py").write_text(f"N = {n}\n", encoding="utf-8")
        for name in ("a_loop", "numbers_of_a_loop"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        times = importlib.import_module("a_loop").times
        assert times(3) == 3 * n
        assert bool(times.stats.cache_hits) is not is_new
