"""The recorder: three lines in a foreign training loop.

It is a guest there. After its construction it raises nothing, changes no number, and waits for the
device only once a record. What it can't record, it says once (`RecorderWarning`) and counts.
"""

import atexit
import contextlib
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch

from rdh.config.watched import make_watched, no_numbers, told
from rdh.errors import UserError, printable
from rdh.recorder.complaints import Complaints
from rdh.recorder.given import (
    check_count,
    check_memory,
    checked_labels,
    clean_name,
    last_error,
    rank_of_process,
    whole,
)
from rdh.recorder.session import Session
from rdh.retrieval import Evaluation

Codes = TypeVar("Codes")
_living: "weakref.WeakSet[Recorder]" = weakref.WeakSet()
_abandoned: list[Session] = []  # what a forked child must neither use nor close


class Recorder:
    """Records a training loop as a run of kind `watched`.

    The run is finished with `close`, at the end of a `with` block, and at the end of the process.
    It is lost, with its last step, if an exception or a signal ends the process or the block.

    Several threads may call it, one at a time: `step` ends the step of all of them.

    Of several processes that train together (DDP), rank 0 records what it sees; the recorders of
    the others do nothing, and have no `run_id`. A forked child leaves the run to its parent.

    Args:
        name: What the run is called on the pages. Slashes in it become hyphens.
        n_items: Training items N.
        n_bits: Code length.
        labels: Of all training items: class numbers (N,) or multi-hot (N, n_classes), a tensor or
            an array. None: dead entries are not counted, since labels say which side is right.
        tau: Threshold of saturation, in [0, 1). The paper uses 0.99.
        probe_every: Steps between two records.
        method: The method in any words; None: the name.
        eta: Weight of the quantization term, if there is one.
        amplifier: Whether a GradientAmplifier with this tau is in the loop. The recorder sees the
            gradients behind it, and takes its factor out again.
        settings: The loop's own settings, name -> value. Some names are known to the pages: lr,
            epochs, batch_size, seed, dataset, backbone, optimizer, quantization ("none", "plain" or
            "error_aware"); of these lr, epochs, batch_size and seed are numbers.
        total_steps: Steps that the training will take; None: unknown.
        runs: The runs folder; None: RDH_RUNS, else ./runs.
        run_id: The name of the run's folder, which must be free; None: the name, the code length
            and 6 random characters.

    Raises:
        UserError: An argument breaks its rule, or the folder can't be made.

    Attributes:
        run_id: The run; None for a rank that does not record.
    """

    def __init__(
        self,
        name: str,
        *,
        n_items: int,
        n_bits: int,
        labels: Any = None,
        tau: float = 0.99,
        probe_every: int = 20,
        method: str | None = None,
        eta: float | None = None,
        amplifier: bool = False,
        settings: Mapping[str, Any] | None = None,
        total_steps: int | None = None,
        runs: Path | str | None = None,
        run_id: str | None = None,
    ) -> None:
        self._session: Session | None = None
        self._late = Complaints()  # of what comes after the end: the run has its last word
        self._over = ""  # why nothing is recorded any more
        self.run_id: str | None = None
        given_name, name = name, clean_name(name)
        if not name:
            raise UserError(
                f"name must be a text of more than slashes, dots and hyphens, got {given_name!r}."
            )
        n_items, n_bits, probe_every = whole(n_items), whole(n_bits), whole(probe_every)
        total_steps = whole(total_steps)
        fields = {"method": method or name, "amplifier": amplifier}
        fields |= {"name": name, "n_items": n_items, "n_bits": n_bits, "tau": tau}
        check_count("probe_every", probe_every)
        fields |= told(settings or {}) | ({} if eta is None else {"eta": eta})
        config = make_watched(**fields, probe_every=probe_every)
        if total_steps is not None:
            check_count("total_steps", total_steps, ", or left out")
        given = checked_labels(labels, n_items)
        check_memory(n_items, n_bits, given)
        rank, n_ranks = rank_of_process()
        if rank:
            return
        self._session = Session(config, given, runs, run_id, total_steps, n_ranks)
        self.run_id = self._session.folder.run_id
        for setting in no_numbers(settings or {}):
            self._session.complaints.say(
                f"{setting} that is no number",
                f"{setting} in settings must be a finite number, got "
                f"{printable(repr((settings or {})[setting]))[:80]}; it is left out.",
            )
        self._error_before = last_error()
        _living.add(self)

    def watch(self, codes: Codes, indices: Any = None) -> Codes:
        """Looks at codes on their way from the activation to the loss.

        Args:
            codes: h = tanh(F), (n, n_bits), with a gradient. Under `torch.no_grad` nothing happens.
            indices: Positions of the items in the training set, (n,). None: counts and histograms
                of what passes, no events; then at every call.

        Returns:
            The codes themselves.
        """
        if torch.compiler.is_compiling():  # a hook has no place in a graph: watch stands around it
            return codes
        if torch.is_grad_enabled() and (session := self._open()) is not None:
            with session.lock, session.complaints.instead("codes were not looked at"):
                session.watch(codes, indices)
        return codes

    def quantized(self, codes: Codes) -> Codes:
        """The watched codes on their way to the quantization term, if the loss has one.

        The gradient that comes back by this way is that of the term alone: so entries are counted
        that the pairs ask to leave their side and that the term holds. As in

            loss = pairs(codes) + eta * (recorder.quantized(codes).abs() - 1).square().mean()

        Args:
            codes: What `watch` returned last, (n, n_bits).

        Returns:
            The same numbers, as a tensor of their own.
        """
        if torch.compiler.is_compiling():
            return codes
        if torch.is_grad_enabled() and (session := self._open()) is not None:
            with session.lock, session.complaints.instead("the quantization term was not told"):
                return session.quantized(codes)
        return codes

    def step(self, loss: Any = None, lr: float | None = None, quantization: Any = None) -> None:
        """After `backward` and the optimizer's step: ends a step; a record every `probe_every`.

        With gradient accumulation: once for all `backward` calls of a step.

        Args:
            loss: A number or a tensor of one, not waited for before the record.
            lr: The learning rate.
            quantization: Of the loss, what the quantization term adds, with its weight. Then the
                terms are recorded apart. It goes with `quantized`.
        """
        if (session := self._open()) is not None:
            with session.lock, session.complaints.instead("a step was not recorded"):
                session.step(loss, lr, quantization)

    def evaluate(
        self,
        query_codes: Any,
        gallery_codes: Any,
        query_labels: Any,
        gallery_labels: Any,
        *,
        top_k: int | None = None,
    ) -> Evaluation | None:
        """Ranks the gallery for every query: MAP, precision and recall, and what dead bits cost.

        The codes of the last call are kept, for the pages Bits and Retrieval.

        Args:
            query_codes, gallery_codes: (n, n_bits), h in [-1, 1] or signs. Costs need h, and the
                labels of the training items.
            query_labels, gallery_labels: Class numbers (n,) or multi-hot (n, n_classes).
            top_k: Ranks that count; None: all.

        Returns:
            The scores; None if they could not be computed, which is said once.
        """
        if (session := self._open()) is None:
            return None
        with session.lock, session.complaints.instead("the evaluation is missing"):
            codes, labels = (query_codes, gallery_codes), (query_labels, gallery_labels)
            return session.evaluate(codes, labels, top_k)
        return None

    def close(self) -> None:
        """Writes the last record, and ends the run as finished. Calling it again does nothing.

        What comes after it is not recorded, which is said once.
        """
        self._end(None)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_plain = isinstance(error, SystemExit) and not error.code
        self._end(None if is_plain else error)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy knows, as deepcopy of a model that holds a recorder makes one: no run."""
        over = f"this is a copy of the recorder of run {self.run_id}: only the first one records."
        return {"run_id": None, "_session": None, "_late": Complaints(), "_over": over}

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _open(self) -> Session | None:
        """What is recorded to; None after the end, and for a rank that does not record."""
        if self._over:
            self._late.say("after the end", self._over)
        return self._session

    def _end(self, error: BaseException | None) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._over = (
                f"run {self.run_id} is closed, so nothing is recorded any more: call close() after "
                "the last step and evaluation."
            )
            with session.lock, session.complaints.instead("the end of the run is not written"):
                session.end(error)

    def _leave_to_parent(self) -> None:
        """In a forked child: a database that it closes may damage the parent's, so it is kept."""
        session, self._session = self._session, None
        if session is not None:
            session.folder.let_go()
            _abandoned.append(session)


def _at_exit() -> None:
    """At the end of the process: an exception that nobody caught has ended the training."""
    for recorder in list(_living):
        error = last_error()
        recorder._end(error if error is not recorder._error_before else None)


def _in_child() -> None:
    for recorder in list(_living):
        recorder._leave_to_parent()
    _living.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
