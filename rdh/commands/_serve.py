"""`python -P _serve.py run app.py`: Streamlit's command line, which ends quietly with Ctrl-C.

Streamlit's own prints "Aborted!" or a traceback, depending on the moment. This file is run by its
path, since -P hides the current folder, where the package may be.
"""

import os
import signal
import sys


def _end(*_: object) -> None:
    """The handler of Ctrl-C while no page is served: nothing has begun, or all has ended."""
    os._exit(130)


def main() -> None:
    """Serves until Ctrl-C or SIGTERM. Meanwhile the server has handlers of its own."""
    signal.signal(signal.SIGINT, _end)
    # `dashboard` has blocked it, since Python's own handler would print a traceback before this.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    from streamlit.web import cli

    cli.main(sys.argv[1:], prog_name="streamlit")


if __name__ == "__main__":
    main()
