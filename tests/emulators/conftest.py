"""`make test-emulators` runs these, and nothing else does: they need Docker."""

import os

collect_ignore_glob = [] if os.environ.get("SONGLINE_TEST_EMULATORS") else ["test_*.py"]
