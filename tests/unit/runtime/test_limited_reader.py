"""Readers of strangers' files start with their parsers loaded, of whatever kind the file is."""

import subprocess
import sys

SCRIPT = """
from songline.processors.imports.history_sandbox import HistorySandbox
from songline.processors.ingestion.audio.sandbox import Sandbox
Sandbox()
context = HistorySandbox()._context
loaded = "songline.processors.imports.history_file", "songline.processors.ingestion.audio.probe"
process = context.Process(target=exec, args=(f"import sys; sys.exit(not {set(loaded)} <= set(sys.modules))",))
process.start()
process.join()
raise SystemExit(process.exitcode)
"""


def test_one_server_has_the_parsers_of_all_kinds() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240)
    assert (ended.returncode, ended.stderr) == (0, "")
