"""What reading JSON that others wrote may raise."""

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""msgspec raises UnicodeDecodeError, which is none of its own, for a string that is not UTF-8."""
