"""`python -m rdh`."""

import sys

from rdh.cli import main

sys.exit(main())
