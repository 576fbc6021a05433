"""The settings of a run, their checks, presets, and lists as a person types them."""
