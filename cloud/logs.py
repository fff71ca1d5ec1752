"""The log of a process: lines on standard error, in which keys, tokens and signatures are stars.

Our own messages have none. What a library raises may quote a request or a setting, and is logged with its traceback.
"""

import logging
import re
import sys
import traceback
from types import TracebackType

STARS = "***"
_NAMED = re.compile(
    r"""(?ix) (?: (?<![a-z0-9]) | (?<=%26) )
    ( (?:account|sharedaccess|primary|secondary|api)_?key | sig | [a-z_]*secret | password
    | (?:access|refresh|id)_token | code_verifier )
    ( \s* (?: = | %3d ) \s* ["']? | ["'] \s* : \s* b?["'] )
    [^\s;&,"'}<>)]+"""
)
_SHOWN = re.compile(r"(?i)\b((?:bearer|basic|token) +|sharedkey +[\w-]+:)(?=\S*\d)[\w.~+/=-]{16,}")
"""What stands in a header `Authorization`."""
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")


def masked(text: str) -> str:
    """`text` with STARS for what opens something."""
    text = _NAMED.sub(rf"\1\2{STARS}", text)
    return _JWT.sub(STARS, _SHOWN.sub(rf"\1{STARS}", text))


class MaskedFormatter(logging.Formatter):
    """Formats records as other formatters do, tracebacks included, and masks what comes out."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def log_to_stderr(level: int) -> None:
    """Log to standard error from `level` on, and end there with the traceback of an error that nobody catches."""
    handler = logging.StreamHandler()
    handler.setFormatter(MaskedFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    sys.excepthook = _print_masked


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(masked("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
