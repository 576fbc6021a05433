"""The settings that the page Gradient landscape offers by name, and addresses of settings."""

from collections.abc import Mapping
from typing import Any

from pages.common.address import written

PRESETS: dict[str, dict[str, Any]] = {
    "Figure 3 as stated (η = 1)": {},
    "η below 0.225": {"eta": 0.1},
    "Large η (amber area)": {"eta": 2.0},
    "A dead bit": {"h_i": -0.999, "axis": "F", "rate": 0.5},  # Start's question leads here
    "Deep saturation": {"h_i": -0.9999, "amp": True, "axis": "F", "rate": 0.5},
    "With RDH": {"h_i": -0.99, "amp": True, "eaq": True, "axis": "F", "rate": 0.5},
}


def address_of(preset: str) -> dict[str, str]:
    """The URL parameters by which the page opens with this preset."""
    return query_of(PRESETS[preset])


def query_of(setting: Mapping[str, Any]) -> dict[str, str]:
    """The URL parameters by which the page opens with this setting."""
    return {name: written(value) for name, value in setting.items()}
