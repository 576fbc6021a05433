"""Before any test imports torch: idle threads sleep instead of spinning, or tests on a busy machine
take ten times as long.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
