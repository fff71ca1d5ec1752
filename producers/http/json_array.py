"""A JSON array taken apart into its elements, which are left as they are: each is judged for itself."""

import re

import msgspec

from songline.schemas.decoding import DECODING_ERRORS, Decoder, explain
from songline.schemas.errors import PoisonError

_arrays: Decoder[list[msgspec.Raw]] = Decoder(list[msgspec.Raw])
# An unfinished string goes to the end, and what has matched is never tried again: linear on any bytes.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)
SPLIT_BYTES = 2 << 20
"""So much is taken apart in half a second; a larger batch is whole or none."""


def split(body: bytes) -> list[bytes]:
    """The elements of the array in `body`; raises PoisonError where it is none.

    An element may be no text, or nest deeply: that costs no other one its answer.
    """
    try:
        return [bytes(element) for element in _arrays.raw(body)]
    except DECODING_ERRORS as error:
        return _split_flat(body, explain(error))


def _split_flat(body: bytes, why: str) -> list[bytes]:
    """The same without going into the elements, of which one is no JSON; `why` the whole is none."""
    text = body.strip(b" \t\r\n")
    if len(text) > SPLIT_BYTES or not (text.startswith(b"[") and text.endswith(b"]")):
        raise PoisonError("not-an-event", why)
    cuts, depth = [0], 0
    for token in _TOKENS.finditer(text):
        sign = token[0]
        if sign in (b"[", b"{"):
            depth += 1
        elif sign in (b"]", b"}"):
            depth -= 1
            if depth == 0 and token.end() != len(text):
                raise PoisonError("not-an-event", why)
        elif sign == b"," and depth == 1:
            cuts.append(token.start())
    if depth != 0:
        raise PoisonError("not-an-event", why)
    ends = [*cuts[1:], len(text) - 1]
    return [text[begin + 1 : end].strip(b" \t\r\n") for begin, end in zip(cuts, ends, strict=True)]
