"""`python -m rdh`."""

import signal
import sys


def start() -> int:
    """130 where Ctrl-C comes before the command line is even loaded."""
    try:
        from rdh.cli import main

        return main()
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt


sys.exit(start())
