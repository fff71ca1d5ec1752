"""The topic of Event Grid in the system that `songline up` runs, where somebody wants one."""

from collections.abc import Mapping

from songline.cloud.settings import EVENTGRID_ENDPOINT, EVENTGRID_KEY, read_number
from songline.processes.cloud_keys import CloudKeys

EVENTGRID_PORT = "SONGLINE_EVENTGRID_PORT"
"""Where localcloud serves the topic; without it there is none, and no broadcaster."""

TOPIC_PATH = "/api/events"
TOPIC_SETTINGS = (EVENTGRID_ENDPOINT, EVENTGRID_KEY)


def topic_settings(environ: Mapping[str, str], host: str, keys: CloudKeys) -> dict[str, str]:
    """The port of the topic, and its address and key where `environ` says a port for it. Raises SettingError."""
    port = int(read_number(environ, EVENTGRID_PORT, 0, (0, 65_535), "a port"))
    if not port:
        return {EVENTGRID_PORT: ""}
    return {
        EVENTGRID_PORT: str(port),
        EVENTGRID_ENDPOINT: f"http://{host}:{port}{TOPIC_PATH}",
        EVENTGRID_KEY: keys.sas,
    }
