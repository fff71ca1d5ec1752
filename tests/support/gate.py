"""A gate in the place of a service that answers late."""

import asyncio


class Gate:
    """Something that is `asked` for, and answers once it is `open`."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def enter(self) -> None:
        self.asked.set()
        await self.open.wait()
