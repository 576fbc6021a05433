"""Time of a training step, with probes over without."""

from typing import Any

from rdh.bench._machine import machine
from rdh.bench.step import FINETUNE, HEAD_ONLY, STEPS, compared
from rdh.config.run_config import make_config, with_plug_ins


def measure(rounds: int) -> dict[str, Any]:
    """Step time with probes and their records over without; both arms with RDH."""
    result: dict[str, Any] = {"what": "probes", **machine()}
    for kind, fields in (("head-only", HEAD_ONLY), ("finetune", FINETUNE)):
        arms = {
            name: with_plug_ins(
                make_config(method="hashnet", probe_every=every, **fields), rdh=True
            )
            for name, every in (("without", 0), ("probes", 20))
        }
        result[kind] = compared(
            arms, rounds if kind == "head-only" else max(3, rounds // 3), STEPS[kind]
        )
    return result
