#!/bin/bash
# azure-eventgrid 4: EventGridPublisherClient takes the options of every Azure client, and drops them all for a topic that
# is not in a namespace (`namespace_topic` is not given): a transport of one's own, retries, time-outs, a proxy, what
# TLS trusts. Nothing says so. A client of a namespace's topic has them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-eventgrid==4.22.1

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ServiceRequestError
from azure.core.messaging import CloudEvent
from azure.core.pipeline.transport import RequestsTransport
from azure.eventgrid import EventGridPublisherClient


class OwnTransport(RequestsTransport):
    """Counts the requests that come to it, and sends none."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def send(self, request, **options):
        self.asked += 1
        raise ServiceRequestError("this transport sends nothing")


def asked(**more):
    """How often the client's own transport was asked, and what became of the sending."""
    transport = OwnTransport()
    # Nobody listens on port 1 of this machine.
    address = "http://127.0.0.1:1/api/events" if not more else "http://127.0.0.1:1"
    client = EventGridPublisherClient(address, AzureKeyCredential("key"), transport=transport, retry_total=0, **more)
    try:
        client.send([CloudEvent(source="/a", type="b", data={})])
    except Exception as error:
        said = str(error).splitlines()[0][:60]
    return transport.asked, said


print(f"azure-eventgrid {version('azure-eventgrid')}, transport=OwnTransport(), retry_total=0")
basic, said = asked()
print(f"a topic:                its own transport was asked {basic} times: {said}")
namespace, said = asked(namespace_topic="songs")
print(f"a topic of a namespace: its own transport was asked {namespace} times: {said}")
assert (basic, namespace) == (0, 1), "the behaviour has changed"
PYTHON
