"""Tables that were all made with the app: Faust waits a second for agents that make some, before it joins its group."""

from faust.tables.manager import TableManager


class PromptTableManager(TableManager):  # type: ignore[misc] # Faust has no types
    """Registers the tables as soon as agents and consumer have started."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()
