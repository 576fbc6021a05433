"""Hashing methods, one file each: the folder is the registry.

Names and cards without torch: `rdh.catalog`.
"""

from importlib import import_module

from rdh.errors import UserError
from rdh.methods._tools.base import LOSSES, Method

__all__ = ["LOSSES", "Method", "method_class"]


def method_class(name: str) -> type[Method]:
    """The last class of `rdh/methods/NAME.py`, as in the catalog. Names come checked by RunConfig.

    UserError for a file without one.
    """
    module = import_module(f"rdh.methods.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    ]
    if not found:
        raise UserError(
            f"{module.__file__} defines no class derived from Method: write one, or "
            f"remove the file."
        )
    return found[-1]
