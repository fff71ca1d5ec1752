"""`python -m songline.deployment.start`: run the process that SONGLINE_PROCESS names. It is the image's command.

azd gives an app its first image and changes nothing else of it, so that a command beside the image would be missing.
"""

import os
import runpy
from collections.abc import Mapping

from songline.deployment.access import PROCESSES

PROCESS = "SONGLINE_PROCESS"

MODULES = {name: "songline.api" if name == "api" else f"songline.processors.{name}" for name in PROCESSES}
"""What runs each process, as `python -m MODULE` does."""


def module_of(environ: Mapping[str, str]) -> str:
    """The module of the process that `environ` names; raises SystemExit with a line that says what to do."""
    name = environ.get(PROCESS, "")
    if name not in MODULES:
        raise SystemExit(
            f"{PROCESS}: saw {name or 'nothing'}, expected one of {', '.join(MODULES)}; "
            "or give the container a command, such as `songline --help`"
        )
    return MODULES[name]


if __name__ == "__main__":
    runpy.run_module(module_of(os.environ), run_name="__main__", alter_sys=True)
