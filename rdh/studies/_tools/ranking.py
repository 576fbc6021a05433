"""Ranks the gallery of a finished run once more, for what its records don't hold."""

from typing import Any

from rdh.errors import UserError
from rdh.retrieval import Evaluation, evaluate
from rdh.store.kept_codes import kept_codes
from rdh.store.run_store import RunStore


def ranked(store: RunStore, run_id: str, **options: Any) -> Evaluation | None:
    """`evaluate` of the codes that a run kept; None if they can't be read.

    Args:
        store: where the run lies.
        run_id: the run.
        options: of `evaluate`.
    """
    try:
        n_bits = store.config(run_id).n_bits
        return evaluate(*kept_codes(store, run_id), n_bits=n_bits, **options)
    except (UserError, KeyError, IndexError):
        return None
