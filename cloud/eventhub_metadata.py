"""What knows azure-eventhub's inside: questions about a hub are asked over a link that stays open.

The SDK opens a connection for each question, signs in, and closes it again: 20 ms of CPU on both sides together, where
the question itself takes three. A worker asks for the ends of its partitions every five seconds.
"""

import asyncio
import logging
import time
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from azure.eventhub._constants import MGMT_STATUS_CODE, MGMT_STATUS_DESC, READ_OPERATION
from azure.eventhub.aio import EventHubConsumerClient

from songline.cloud.eventhub_frames import KNOWN_VERSION, READY_S

ANSWER_S = 3.0
"""How long an answer may take, after which the question is asked anew; the closing of a link likewise."""

KEPT_S = 60.0
"""A link that was not used for so long is not used again: services and networks close what is idle."""

ANSWERS_MAX = 5_000
"""After so many answers a link is opened anew: the SDK grants it 10,000, and never more."""

_FAILED = 400

log = logging.getLogger(__name__)


class HubConsumerClient(EventHubConsumerClient):
    """A consumer client that keeps the link of its questions open. Of an unknown version of the SDK, it is the SDK's.

    What fails over that link is no answer: the question is asked again as the SDK does it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asking = asyncio.Lock()
        self._link: Any = None
        self._link_auth: Any = None
        self._used_s = 0.0
        self._answers = 0
        self._keeps_link = version("azure-eventhub") == KNOWN_VERSION

    async def close(self) -> None:
        """Close all links and connections."""
        # Not while a question is asked, which would open the link anew.
        async with self._asking:
            self._keeps_link = False
            await self._close_link()
        await super().close()

    async def _management_request_async(self, mgmt_msg: Any, op_type: bytes) -> Any:
        """What the SDK calls for each question. Raises EventHubError."""
        async with self._asking:
            if self._keeps_link:
                try:
                    async with asyncio.timeout(ANSWER_S):
                        return await self._ask(mgmt_msg, op_type)
                except Exception as error:  # noqa: BLE001  # the SDK meets it too, and says what it means
                    log.debug("a question about the hub is asked anew: %r", error)
                    await self._close_link()
                except BaseException:
                    await self._close_link()
                    raise
        return await super()._management_request_async(mgmt_msg, op_type)

    async def _ask(self, question: Any, operation: bytes) -> Any:
        if self._answers >= ANSWERS_MAX or time.monotonic() - self._used_s >= KEPT_S:
            await self._close_link()
        if self._link is None:
            await self._open_link()
        question.application_properties["security_token"] = (await self._link_auth.get_token()).token
        transport: Any = self._amqp_transport
        status, description, answer = await transport.mgmt_client_request_async(
            self._link,
            question,
            operation=READ_OPERATION,
            operation_type=operation,
            status_code_field=MGMT_STATUS_CODE,
            description_fields=MGMT_STATUS_DESC,
        )
        if int(status) >= _FAILED:
            raise ValueError(f"{status}: {description}")
        self._used_s = time.monotonic()
        self._answers += 1
        return answer

    async def _open_link(self) -> None:
        client: Any = self
        self._answers = 0
        self._link_auth = await client._create_auth_async()
        self._link = client._amqp_transport.create_mgmt_client(
            client._address, mgmt_auth=self._link_auth, config=client._config
        )
        await self._link.open_async()
        while not await self._link.client_ready_async():  # noqa: ASYNC110  # as the SDK waits, but ten times as often
            await asyncio.sleep(READY_S)

    async def _close_link(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        # A client that could not be opened whole does not close its connection.
        connection = link._connection
        for close in (link.close_async, None if connection is None else connection.close):
            if close is not None:
                with suppress(Exception):
                    async with asyncio.timeout(ANSWER_S):
                        await close()
