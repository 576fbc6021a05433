"""One file for each engine. RDH_ENGINE names the file; without it, runs go to this machine.

A file holds two functions and says in the first line of its docstring what it is:

    check(env)                  # raises UserError for a setting that can't be; asks no network
    make(root, env, worker)     # an `Engine`; worker: the command of a worker
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from rdh.errors import UserError

LOCAL = "local"


def names() -> list[str]:
    """What RDH_ENGINE may say."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def name_in(env: Mapping[str, str]) -> str:
    """The engine that the environment asks for.

    Raises:
        UserError: There is no such engine.
    """
    name = env.get("RDH_ENGINE") or LOCAL
    if name not in names():
        raise UserError(
            f"RDH_ENGINE must be one of {', '.join(names())}, got {name!r}; correct it or unset it."
        )
    return name


def chosen(env: Mapping[str, str]) -> ModuleType:
    """The file of the engine that the environment asks for, its settings checked.

    Raises:
        UserError: There is no such engine, or one of its settings can't be.
    """
    kind = importlib.import_module(f"{__name__}.{name_in(env)}")
    kind.check(env)
    return kind
