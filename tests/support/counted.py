"""Requests for items of a container, counted."""

from azure.cosmos.aio import ContainerProxy


class CountedContainer:
    """The container it is given, which also notes the kind of each request for an item."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container
        self.requests: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.endswith("_item"):
            self.requests.append(name)
        return getattr(self._container, name)
