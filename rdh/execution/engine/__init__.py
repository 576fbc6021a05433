"""Engines: what starts, watches and stops the process of a run on some machine."""
