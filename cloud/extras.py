"""Extras of the distribution: which one brings a module that an installation lacks."""

import gc
from importlib import import_module

DISTRIBUTION = "songline-music"


class MissingExtraError(ImportError):
    """A module is not installed; the message is one line that names the extra which brings it."""


def load(module: str, extra: str) -> object:
    """Import `module` of this product; raises MissingExtraError where it needs a package that is not installed.

    `extra` is the name of the extra that brings all that `module` imports.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] == "songline":
            raise
        raise missing_extra(module, missing, extra) from None


def missing_extra(what: str, module: str, extra: str) -> MissingExtraError:
    """The error that says: `what` needs `module`, and `extra` brings it."""
    return MissingExtraError(f"{what} needs {module}, which is not installed: pip install '{DISTRIBUTION}[{extra}]'")


def start(module: str, extra: str) -> None:
    """Call `main` of `module`: the body of a `__main__`. Ends the process with one line where an extra is missing."""
    try:
        # All that is imported stays, and the collector would look through it again and again meanwhile.
        gc.disable()
        try:
            main = load(module, extra).main  # type: ignore[attr-defined]
        finally:
            gc.enable()
        main()
    except MissingExtraError as error:
        raise SystemExit(str(error)) from None
