"""`python -m rdh`, and the command `rdh` of an installed package."""

import signal
import sys


def start() -> int:
    """Runs the command line.

    Returns:
        The exit code; 130 also if Ctrl-C comes before the command line is loaded.
    """
    try:
        from rdh.cli import main

        return main()
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt


if __name__ == "__main__":
    sys.exit(start())
