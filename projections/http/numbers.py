"""Numbers in queries, as JSON writes them. Other forms that Python reads are refused: `1_0`, `+1`, `nan`, and digits of
other scripts."""

import re

from pydantic import BeforeValidator

WHOLE_RULE = "a whole number, such as 10"
DECIMAL_RULE = "a number, such as 2.5"

# As many digits as 64 bits have at most. An integer of JSON Schema may have a fraction of zeros.
_WHOLE = re.compile(r"-?[0-9]{1,19}(\.0{1,19})?")
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?([eE][-+]?[0-9]{1,3})?")


def checked_whole(text: str) -> str:
    """`text` unchanged; raises ValueError with the rule if it is no whole number."""
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(WHOLE_RULE)
    return text


def checked_decimal(text: str) -> str:
    """`text` unchanged; raises ValueError with the rule if it is no number."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(DECIMAL_RULE)
    return text


# They stand after `Query`, so that its bounds are checked later and a refusal shows the text.
IS_WHOLE = BeforeValidator(checked_whole)
IS_DECIMAL = BeforeValidator(checked_decimal)
