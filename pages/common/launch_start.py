"""What the launch form starts from: a run of ?clone=, and what ?set.FIELD=VALUE changes in it."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pages.common.address import written
from pages.common.experiment import ARMS
from pages.common.number_field import parsed
from rdh.config.run_config import make_config
from rdh.diagnosis import tried_config
from rdh.errors import UserError, printable

SET = "set."
# A link may change how a run trains, not what it reads or where it runs; of what it reads, only
# that broken images are left out.
CHANGEABLE = {
    *("n_bits", "seed", "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay"),
    *("schedule", "hash_lr_scale", "amplifier", "amplifier_aim", "amplifier_scale"),
    *("quantization", "eta", "tau", "eaq_normalization", "eaq_pairs", "probe_every", "eval_every"),
    "bad_images",
}
OPTION = "method_options."
WORDS = {"true": True, "false": False}


class Start(NamedTuple):
    """What the form starts from.

    Attributes:
        key: prefix of the widgets' keys; another start makes other widgets.
        name: of the preset or run, for the sentence on what differs.
        before: the fields of that preset or run.
        fields: those that the form shows first: `before` with the changes.
        arms: a key of ARMS.
    """

    key: str
    name: str
    before: dict[str, Any]
    fields: dict[str, Any]
    arms: str


def changed_copy(run_id: str, changes: Mapping[str, Any]) -> dict[str, str]:
    """The address of a copy of a run with these changes, as `read_changes` reads it."""
    return {"clone": run_id} | {f"{SET}{name}": written(value) for name, value in changes.items()}


def changes_said(sentence: str) -> dict[str, str]:
    """What a sentence says to set, as far as a link may: {"bad_images": "skip"}."""
    found = re.findall(r"\b(\w+)=([\w.]*\w)", sentence)
    return {name: value for name, value in found if name in CHANGEABLE}


def read_changes(query: Mapping[str, str]) -> dict[str, Any]:
    """The values of ?set.FIELD=VALUE as they would be typed, not checked yet.

    Raises:
        UserError: a link may not change this setting.
    """
    changes: dict[str, Any] = {}
    for name, text in query.items():
        if not name.startswith(SET):
            continue
        field = name.removeprefix(SET)
        if field not in CHANGEABLE and not field.startswith(OPTION):
            near = difflib.get_close_matches(field, CHANGEABLE, 1)
            mean = f" (did you mean {near[0]}?)" if near else ""
            raise UserError(
                f"A link can't change {printable(field)[:80]!r}{mean}, so nothing of it was taken "
                "over; change settings in the form."
            )
        changes[field] = WORDS.get(text.lower(), parsed(text))
    return changes


def with_changes(start: Start, changes: Mapping[str, Any]) -> Start:
    """The start with some settings changed, and with the arm that these settings make.

    Raises:
        UserError: one sentence for the first setting that is not valid.
    """
    if not changes:
        return start
    config = tried_config(make_config(**start.before), changes)
    said = ",".join(f"{name}={value}" for name, value in changes.items())
    arm = [(config.amplifier, config.quantization)]
    arms = next((name for name, own in ARMS.items() if own == arm), start.arms)
    return start._replace(key=f"{start.key}~{said}", fields=config.model_dump(), arms=arms)
