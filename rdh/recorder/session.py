"""An open recording: what passes becomes records, and the records become a run."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdh.config.watched import WatchedConfig
from rdh.folders import runs_root
from rdh.recorder.complaints import Complaints
from rdh.recorder.folder import WatchedFolder
from rdh.recorder.given import as_indices, as_number, form, has_values, in_words, whole
from rdh.recorder.scores import count_classes, multi_hot, score
from rdh.recorder.window import Window
from rdh.retrieval import Evaluation
from rdh.retrieval.checks import as_array
from rdh.store.levels import TAU_LEVELS
from rdh.store.metrics_writer import Record
from rdh.store.run_store import RunStore
from rdh.training.probes import logit_edges

MOST_VISITS = 10_000  # between two steps


class Session:
    """A run that is being recorded. Its methods may raise: `Recorder` stands between.

    Args:
        config: What is known of the run.
        labels: Of all training items, as they were given; None: unknown.
        runs: The runs folder; None: RDH_RUNS, else ./runs.
        run_id: The name of the run's folder; None: one that is free.
        total_steps: Steps that the training will take; None: unknown.
        n_ranks: Processes that train together.

    Raises:
        UserError: The folder can't be made.

    Attributes:
        lock: Held by who calls a method, since a loop may evaluate in a thread of its own.
        complaints: What could not be recorded.
        n_steps: Steps so far.
    """

    def __init__(
        self,
        config: WatchedConfig,
        labels: np.ndarray | None,
        runs: Path | str | None,
        run_id: str | None,
        total_steps: int | None,
        n_ranks: int,
    ) -> None:
        self.config, self._labels, self._total = config, labels, total_steps
        self.lock = threading.RLock()
        hot = None
        if labels is not None:
            hot = torch.from_numpy(multi_hot(labels, count_classes(labels)))
        self.folder = WatchedFolder(RunStore(runs_root(runs)), config, run_id, total_steps)
        self.complaints = Complaints(self.folder.log)
        kind = config.n_items, config.n_bits, config.tau, hot, config.amplifier
        self._window = Window(*kind, self.complaints, n_ranks)
        self.n_steps, self._epoch, self._losses = 0, 0, list[Any]()
        self._lr: float | None = None
        self._since = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._notes: tuple[str, ...] = ()
        self._has_facts = self._was_watched = False
        self._apart = ""  # the codes of a quantization term in this step: "taken" or "refused"
        if n_ranks > 1:
            told_of = f"rank 0 of {n_ranks} is recorded: the counts are of what it sees"
            self.folder.log(told_of)

    def watch(self, codes: Any, indices: Any) -> None:
        """`Recorder.watch`."""
        n_bits, complaints, self._was_watched = self.config.n_bits, self.complaints, True
        if not isinstance(codes, Tensor) or codes.ndim != 2 or codes.shape[1] != n_bits:
            got = tuple(codes.shape) if isinstance(codes, Tensor) else type(codes).__name__
            complaints.say(
                "codes of another shape",
                f"codes must be a tensor (n, {n_bits}), as the recorder's n_bits says, got {got}; "
                f"they are not counted.",
            )
        elif not codes.requires_grad:
            complaints.say(
                "codes without a gradient",
                "codes must have a gradient to be judged, but these have requires_grad = False: "
                "watch them before .detach(), .sign() or .data; they are not counted.",
            )
        elif not codes.is_floating_point() or not has_values(codes):
            complaints.say(
                "codes of another kind",
                f"codes must be a dense tensor of floating-point numbers, got {form(codes)}: watch "
                f"what torch.tanh returns; they are not counted.",
            )
        elif (places := as_indices(indices, len(codes))) is False:
            complaints.say(
                "indices of another shape",
                f"indices must be {len(codes)} whole numbers, one a code, got {form(indices)}; "
                f"this batch is not counted.",
            )
        else:
            if self._window.ends_epoch(len(codes)):  # of a loader that drops its last batch
                self.record(ends_epoch=True)
            self._make_room()
            codes.register_hook(self._window.add(codes.detach(), places).receive)

    def quantized(self, codes: Any) -> Any:
        """`Recorder.quantized`."""
        waiting = [one for one in self._window.visits[-1:] if one.gradient is None]
        if not (isinstance(codes, Tensor) and waiting and codes.shape == waiting[0].codes.shape):
            self.complaints.say(
                "codes of the quantization term that were not watched",
                "quantized must get the codes that watch returned last: call watch before it; what "
                "the term holds is not counted.",
            )
            self._apart = self._apart or "refused"
            return codes
        if waiting[0].goes_apart:
            self.complaints.say(
                "codes that went to the quantization term twice",
                "quantized was called twice for the codes that watch returned last, so what both "
                "hold is summed: call it once after each watch.",
            )
        waiting[0].goes_apart, self._apart = True, "taken"
        apart = codes.view_as(codes)
        if apart.requires_grad:
            apart.register_hook(waiting[0].receive_held)
        return apart

    def _make_room(self) -> None:
        """Memory stays bounded in a loop that never calls `step`."""
        visits = self._window.visits
        if len(visits) >= MOST_VISITS:
            self.complaints.say(
                "batches without a step",
                f"watch was called {MOST_VISITS:,} times without a step between, so these are "
                f"forgotten: call recorder.step() after each optimizer step.",
                len(visits),
            )
            visits.clear()

    def step(self, loss: Any, lr: float | None, quantization: Any = None) -> None:
        """`Recorder.step`."""
        self.n_steps += 1
        self.folder.pulse.facts["step"] = self.n_steps
        term = self._number("quantization", quantization)
        self._check_apart(is_told=quantization is not None)
        self._losses.append((self._number("loss", loss), term))
        found = self._number("lr", lr)
        self._lr = self._lr if found is None else float(found)
        n_open = self._window.drop_open()
        if n_open:
            self.complaints.say(
                "codes that no gradient reached",
                "step came, but no gradient has come back to the watched codes: call it after "
                "loss.backward(), and compute the loss from what watch returns.",
                n_open,
            )
        is_last = self._window.ends_epoch()
        if is_last or len(self._losses) >= self.config.probe_every:
            self.record(ends_epoch=is_last)

    def _check_apart(self, *, is_told: bool) -> None:
        """The codes of a quantization term and its value belong together."""
        apart, self._apart = self._apart, ""
        if is_told and not apart:
            self.complaints.say(
                "a quantization term without its codes",
                "step got the value of a quantization term, but no codes of it, so what it holds "
                "is not counted: pass it recorder.quantized(codes) in place of the codes.",
            )
        elif apart == "taken" and not is_told:
            self.complaints.say(
                "a quantization term without its value",
                "quantized was called, but step got no value of the term, so the loss is not "
                "recorded term by term: call recorder.step(loss, quantization=term).",
            )

    def _number(self, name: str, value: Any) -> Any:
        """A number or a tensor of one; None, with a complaint, if it is neither."""
        found = None if value is None else as_number(value)
        if found is not False:
            return found
        self.complaints.say(
            f"a {name} that is no number",
            f"{name} must be a number or a tensor of one, got {form(value)}: pass "
            f"{'one rate' if name == 'lr' else f'{name}.mean() or {name}.item()'}; it is not "
            f"recorded.",
        )
        return None

    def record(self, *, ends_epoch: bool = False) -> None:
        """Writes what came since the last record; nothing if no step did."""
        if ends_epoch:
            self._window.start_epoch()
            self._epoch += 1
        losses, self._losses = self._losses, []
        if not losses:
            return
        seconds, self._since = time.monotonic() - self._since, time.monotonic()
        counts, arrays = self._window.digest(ends_epoch)
        if not self._window.n_rows and not self._was_watched:  # else it was said what was wrong
            self.complaints.say(
                "steps without codes to count",
                "no codes could be counted so far: call recorder.watch(codes) in the loop, outside "
                "of what torch.compile compiles; the loss alone is recorded.",
                len(losses),
            )
        self._put_facts()
        scalars = {"steps_per_second": len(losses) / max(seconds, 1e-9), **counts}
        scalars |= {} if self._lr is None else {"lr": self._lr}
        self._log(Record(self.n_steps, self._epoch, scalars | self._mean(losses), arrays))

    def _mean(self, losses: list[tuple[Any, Any]]) -> dict[str, float]:
        """The mean loss of some steps, and its parts; training waits for the device here."""
        told = [[None if one is None else float(one) for one in step] for step in losses]
        values = [loss for loss, _ in told if loss is not None]
        terms = [term for loss, term in told if loss is not None and term is not None]
        if self._are_finite("loss", "losses", [loss for loss, _ in told]):
            self._are_finite("quantization term", "quantization terms", [term for _, term in told])
        found = {"loss": float(np.mean(values))} if values else {}
        if terms and len(terms) == len(values) and np.isfinite(terms).all():
            term = float(np.mean(terms))
            found |= {"quantization_loss": term, "similarity_loss": found["loss"] - term}
        return found

    def _are_finite(self, name: str, names: str, values: list[float | None]) -> bool:
        """Whether the numbers of the last steps are finite, or untold; else says which was not."""
        first = self.n_steps - len(values) + 1
        bad = [
            (first + place, value)
            for place, value in enumerate(values)
            if value is not None and not np.isfinite(value)
        ]
        if bad:
            step, value = bad[0]
            self.complaints.say(
                f"{names} that are not finite",
                f"the {name} became {value} at step {step:,}: lower the learning rate.",
                len(bad),
            )
        return not bad

    def _log(self, record: Record) -> None:
        writer = self.folder.writer
        before = writer.n_dropped
        writer.log(record)
        self.folder.pulse.facts["dropped_records"] = writer.n_dropped
        if writer.n_dropped > before:
            self.complaints.say(
                "records that could not be written",
                f"the record of step {record.step} can't be written ({writer.last_error}): "
                f"{self.folder.run_dir} must be there, and have space.",
            )

    def _put_facts(self) -> None:
        """What charts need besides the records; once the number of counted items is known."""
        if self._has_facts:
            return
        self._has_facts, tau = True, self.config.tau
        facts = {"n_bits": self.config.n_bits, "tau": tau, "tau_levels": TAU_LEVELS}
        facts |= {"n_train": self._window.n_counted, "torch": torch.__version__}
        facts |= {"logit_edges": logit_edges(tau).tolist()}
        self.folder.writer.put_meta(
            **facts, **({"total_steps": self._total} if self._total else {})
        )

    def evaluate(self, codes: tuple[Any, Any], labels: tuple[Any, Any], top_k: Any) -> Evaluation:
        """`Recorder.evaluate`, of queries and gallery.

        Raises:
            UserError: For input that does not fit.
            OSError: The codes can't be kept.
        """
        self.record()
        window, top_k = self._window, whole(top_k)
        sides = [
            (as_array(one, f"{side}_codes"), as_array(its, f"{side}_labels"))
            for side, one, its in zip(("query", "gallery"), codes, labels, strict=True)
        ]
        probes = window.probes if window.has_labels and window.n_rows else None
        found = score(sides[0], sides[1], self._labels, self.config.n_bits, top_k, probes)
        self._put_facts()
        event = "eval", f"MAP {found.evaluation.map:.4f}"
        self._log(Record(self.n_steps, self._epoch, found.scalars, found.arrays, [event]))
        best = max(self._metrics.get("best_map", 0.0), found.evaluation.map or 0.0)
        finite = {name: value for name, value in found.scalars.items() if np.isfinite(value)}
        self._metrics, self._notes = finite | {"best_map": best}, found.evaluation.notes
        sizes = {"n_query": len(sides[0][0]), "n_gallery": len(sides[1][0])}
        self.folder.writer.put_meta(**sizes, top_k=top_k)
        self.folder.save("split.npz", found.split)
        self.folder.save("codes/final.npz", found.codes | {"network": np.array("")})
        return found.evaluation

    def end(self, error: BaseException | None) -> None:
        """Ends the run: lost if an error ended the training, else finished."""
        with self.complaints.instead("the last record is missing"):
            self._window.drop_open()
            self.record()
            self._put_facts()
            self.folder.writer.put_meta(total_steps=self.n_steps)
        if self.folder.pulse.trouble:
            self.folder.log(self.folder.pulse.trouble)
        ended = None
        if error is not None:
            ended = f"The training ended by {in_words(error)} after step {self.n_steps:,}."
        told = " ".join(filter(None, [ended, *self._notes, self.complaints.summary()])) or None
        self.folder.end("lost" if error else "finished", told, self.n_steps, self._metrics)
