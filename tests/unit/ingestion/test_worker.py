"""What the pump makes of messages and of errors, without a wire."""

import asyncio
import errno
from datetime import UTC, datetime
from typing import cast

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.eventhub.exceptions import AuthenticationError, ConnectError
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusAuthenticationError

from songline.cloud.http_transport import Guard, unasked
from songline.cloud.settings import SettingError
from songline.processors.ingestion.audio.sandbox import ProbeFailedError
from songline.processors.ingestion.command_receiver import ReceiverConfig
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.config import IngestionConfig
from songline.processors.ingestion.message_handler import cause_of, is_passing
from songline.processors.ingestion.transitions import CommandRefusedError
from songline.processors.ingestion.worker import IngestionWorker
from songline.schemas.commands import Command, RemoveSong
from songline.schemas.progress_report import NotReadyCause
from tests.support.waiting import wait_for_async


def status(code: int) -> HttpResponseError:
    error = HttpResponseError("said no")
    error.status_code = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        status(429),
        status(503),
        status(403),
        status(404),
        ClientAuthenticationError("who are you"),
        AuthenticationError("who are you"),
        ServiceRequestError("no route"),
        ConnectError("the hub is away"),
        OSError(errno.ENOSPC, "disk full"),
    ],
)
def test_what_passes_by_itself_is_waited_for(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        status(400),
        status(413),
        OSError(errno.EACCES, "not yours"),
        ProbeFailedError("no answer"),
        CommandRefusedError("unknown-song", "no such song"),
        RuntimeError("a bug"),
    ],
)
def test_what_does_not_pass_costs_a_delivery(error: Exception) -> None:
    assert not is_passing(error)


def test_dials_are_read_from_the_environment() -> None:
    assert IngestionConfig.read({"SONGLINE_INGESTION_LANES": "2"}).lanes == 2
    assert IngestionConfig.read({}) == IngestionConfig()
    for wrong in ("0", "many", "65"):
        with pytest.raises(SettingError, match=r"SONGLINE_INGESTION_LANES.* from 1 to 64"):
            IngestionConfig.read({"SONGLINE_INGESTION_LANES": wrong})


class Away:
    """In the place of Work: a service that every command needs is away."""

    async def carry_out(self, command: Command, body: list[bytes], check: Guard) -> None:
        raise ServiceRequestError("no route")


async def test_a_worker_without_a_broker_or_whose_commands_wait_is_not_ready() -> None:
    moments = [0.0]
    pace = ReceiverConfig(lanes=2, longest_pause=0.01, stall=10)
    worker = IngestionWorker(
        cast("ServiceBusClient", None), cast("CommandRunner", Away()), pace, steady=lambda: moments[-1]
    )
    assert worker.why_not() == ["the broker does not answer: no request was sent yet"]
    order = RemoveSong(user_id="user-7", song_id="i-1")
    command = Command(id="r-1", source="/tests", time=datetime(2026, 11, 22, tzinfo=UTC), data=order)
    carrying = asyncio.create_task(worker.handling._patiently(command, [], unasked))

    async def told() -> bool:
        moments.append(moments[-1] + 1)
        return any("r-1 is held for" in reason and "no route" in reason for reason in worker.why_not())

    await wait_for_async(told, "the reason")
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
    assert worker.why_not() == ["the broker does not answer: no request was sent yet"]


def test_a_service_that_refuses_us_is_told_apart_from_one_that_is_away() -> None:
    assert cause_of(status(503)) is cause_of(ConnectError("the hub is away")) is NotReadyCause.SERVICE_AWAY
    for error in (status(401), status(403), ClientAuthenticationError("who"), AuthenticationError("who")):
        assert cause_of(error) is NotReadyCause.ACCESS_DENIED
    assert cause_of(OSError(errno.ENOSPC, "disk full")) is NotReadyCause.WRITES_REFUSED


async def test_a_broker_that_refuses_the_key_is_waited_for_and_told_so() -> None:
    class Refusing:
        def get_queue_receiver(self, queue: str) -> object:
            raise ServiceBusAuthenticationError(message="the key is wrong")

    stop = asyncio.Event()
    worker = IngestionWorker(
        cast("ServiceBusClient", Refusing()), cast("CommandRunner", Away()), ReceiverConfig(lanes=1, longest_pause=0.01)
    )
    running = asyncio.create_task(worker.run(stop))

    async def told() -> bool:
        return {reason.cause for reason in worker.reasons()} == {NotReadyCause.ACCESS_DENIED}

    await wait_for_async(told, "the reason")
    stop.set()
    await running
