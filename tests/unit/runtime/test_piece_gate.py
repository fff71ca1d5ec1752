"""Pieces of several partitions are folded beside one another, a suspect alone, and none waits for ever."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from songline.processors.runtime.piece_gate import PieceGate
from tests.support.waiting import wait_for_async


async def test_pieces_that_are_no_suspects_do_not_wait_for_one_another() -> None:
    gate, inside = PieceGate(), 0
    all_inside = asyncio.Event()

    async def fold() -> None:
        nonlocal inside
        async with gate.beside():
            inside += 1
            if inside == 4:
                all_inside.set()
            await all_inside.wait()

    async with asyncio.timeout(60):
        await asyncio.gather(*(fold() for _ in range(4)))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=30))
def test_a_suspect_has_no_other_piece_beside_it_and_all_have_their_turn(pieces: list[tuple[bool, int]]) -> None:
    inside: list[bool] = []
    folded = 0

    async def fold(gate: PieceGate, alone: bool, turns: int) -> None:
        nonlocal folded
        async with gate.alone() if alone else gate.beside():
            inside.append(alone)
            for _ in range(turns + 1):
                assert not any(inside) or len(inside) == 1
                await asyncio.sleep(0)
            inside.remove(alone)
        folded += 1

    async def run() -> None:
        gate = PieceGate()
        await asyncio.gather(*(fold(gate, *one) for one in pieces))

    asyncio.run(run())
    assert folded == len(pieces)


async def test_a_suspect_that_waits_is_not_overtaken_and_a_cancelled_one_leaves_the_gate() -> None:
    gate = PieceGate()
    order: list[str] = []
    first_may_end = asyncio.Event()

    async def first() -> None:
        async with gate.beside():
            order.append("first")
            await first_may_end.wait()

    async def suspect(name: str) -> None:
        async with gate.alone():
            order.append(name)

    async def last() -> None:
        async with gate.beside():
            order.append("last")

    async def is_inside() -> bool:
        return order == ["first"]

    beginning = asyncio.create_task(first())
    await wait_for_async(is_inside, "the first piece to be folded", 60)
    cancelled = asyncio.create_task(suspect("cancelled"))
    waiting = [asyncio.create_task(suspect("suspect")), asyncio.create_task(last())]
    await asyncio.sleep(0)
    cancelled.cancel()
    first_may_end.set()
    await asyncio.gather(beginning, *waiting)
    assert order == ["first", "suspect", "last"]
