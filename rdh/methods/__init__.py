"""Hashing methods, one file each: the folder is the registry. Names and cards without torch: `rdh.catalog`."""

from importlib import import_module

from rdh.methods._base import Method


def method_class(name: str) -> type[Method]:
    """The class in `rdh/methods/NAME.py` (its name without case and underscores is NAME). Names come checked by RunConfig."""
    module = import_module(f"rdh.methods.{name}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
    )
