"""Places are given in turn, none is lost and none is given twice, whichever task is cancelled meanwhile."""

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st

from songline.producers.publishing.buffer_room import BufferRoom

STEPS = st.lists(st.sampled_from(["take", "give back", "cancel first", "cancel last", "turn"]), max_size=60)


@given(st.integers(1, 4), STEPS)
@example(1, ["take", "take", "take", "take", "cancel last"])
def test_places_are_neither_lost_nor_doubled(places: int, steps: list[str]) -> None:
    async def run() -> None:
        room, held = BufferRoom(places), 0
        asked: list[asyncio.Task[None]] = []
        for step in steps:
            if step == "take":
                asked.append(asyncio.create_task(room.take()))
            elif step == "give back" and held:
                held -= 1
                room.give_back(1)
            elif step == "turn":
                for _ in range(3):
                    await asyncio.sleep(0)
            elif step.startswith("cancel") and asked:
                # Also in the very moment when it gets a place.
                asked[0 if step == "cancel first" else -1].cancel()
            served = [task for task in asked if task.done()]
            held += sum(not task.cancelled() for task in served)
            asked = [task for task in asked if task not in served]
            assert held <= places
        # All that is left is served in turn, and then all places are there.
        for _ in range(len(asked) + held + 3):
            room.give_back(held)
            held = 0
            for _ in range(3):
                await asyncio.sleep(0)
            served = [task for task in asked if task.done()]
            # One that was cancelled in the last step has ended before its turn.
            waiting = [task for task in asked if not task.cancelled()]
            with_place = [task for task in waiting if task.done()]
            assert waiting[: len(with_place)] == with_place
            held = sum(not task.cancelled() for task in served)
            assert held <= places
            asked = [task for task in asked if task not in served]
        assert not asked
        room.give_back(held)
        for _ in range(places):
            await asyncio.wait_for(room.take(), 60)
        last = asyncio.create_task(room.take())
        await asyncio.sleep(0)
        assert not last.done()
        last.cancel()

    asyncio.run(run())
