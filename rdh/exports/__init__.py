"""What a person takes away of runs: reports that need no network, tables, and event files."""

from pathlib import Path

# A script for pages: numbers and pictures of a chart. Its folder holds nothing else, since servers
# give it away.
TAKE_AWAY = Path(__file__).parent / "browser" / "take_away.js"

__all__ = ["TAKE_AWAY"]
