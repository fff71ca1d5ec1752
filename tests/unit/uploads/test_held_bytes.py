"""Bytes that are held as the pieces in which they came."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from songline.producers.uploads.held_bytes import SMALL, HeldBytes


@given(st.lists(st.sampled_from([1, 7, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL]), max_size=30))
def test_all_of_it_is_held_in_order_and_in_few_pieces(sizes: list[int]) -> None:
    held = HeldBytes()
    came = [bytes([number]) * size for number, size in enumerate(sizes)]
    for piece in came:
        held.add(piece)
    whole = b"".join(came)
    assert (held.joined(), b"".join(held.pieces), held.size) == (whole, whole, len(whole))
    # Of two neighbours one at least is no small one, so that those take no more memory than what is in them.
    assert all(max(map(len, pair)) >= SMALL for pair in pairwise(held.pieces))


def test_what_is_not_small_is_not_copied() -> None:
    held, large = HeldBytes(), bytes(SMALL)
    for piece in (b"small", large, b"small"):
        held.add(piece)
    assert held.pieces[1] is large
