"""All settings that are wrong are named at once, by each process, and none of them shows a secret."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from songline.api.app import ApiSettings
from songline.api.past_folds import past_reader
from songline.api.serving import read_head
from songline.api.setting_stand_ins import stand_ins
from songline.cloud.settings import SettingError, read_eventgrid
from songline.cloud.wrong_settings import PAGE, STAND_INS, WrongSettingsError, read_settings
from songline.doctor.gather import DoctorSettings
from songline.identity.settings import ClientSettings
from songline.processes.cloud_keys import PUBLISHED
from songline.processes.local_eventgrid import topic_settings
from songline.processors.history.archive.opening import read_archive
from songline.processors.ingestion.config import IngestionConfig
from songline.processors.library.config import LibraryConfig
from songline.processors.runtime.projection_config import ProjectionConfig
from songline.processors.trending.config import TrendingConfig
from tests.contract.test_settings_of_pages import OPERATIONS, SETTING, WORKERS

Read = Callable[[Mapping[str, str]], object]
HIDDEN = "aGlkZGVu"
CLOUD = {
    "AZURE_EVENTHUB_CONNECTIONSTRING": f"SharedAccessKey={HIDDEN}",
    "SONGLINE_KAFKA_BOOTSTRAP": f"Endpoint=sb://x/;SharedAccessKey={HIDDEN}",
    "AZURE_COSMOS_CONNECTIONSTRING": f"AccountKey={HIDDEN}",
    "SONGLINE_AMQP_WEBSOCKETS": "perhaps",
}
QUEUES_AND_BLOBS = {
    "AZURE_SERVICEBUS_CONNECTIONSTRING": f"SharedAccessKey={HIDDEN}",
    "SONGLINE_SERVICEBUS_MANAGEMENT": "nowhere",
    "AZURE_STORAGEBLOB_CONNECTIONSTRING": f"AccountKey={HIDDEN}",
}
HOSTS = {
    "AZURE_EVENTHUB_FULLYQUALIFIEDNAMESPACE": f"https://x/?sig={HIDDEN}",
    "AZURE_COSMOS_RESOURCEENDPOINT": f"AccountEndpoint=https://x/;AccountKey={HIDDEN}",
    "AZURE_SERVICEBUS_FULLYQUALIFIEDNAMESPACE": f"Endpoint=sb://x/;SharedAccessKey={HIDDEN}",
    "AZURE_STORAGEBLOB_RESOURCEENDPOINT": f"AccountName=x;AccountKey={HIDDEN}",
}
API = {
    **CLOUD,
    **QUEUES_AND_BLOBS,
    "SONGLINE_ISSUER": f"http://user:{HIDDEN}@login.example",
    "SONGLINE_AUDIENCE": "",
    "SONGLINE_AUTH": "On",
    "SONGLINE_OPEN": "library",
    "SONGLINE_JWKS": "ftp://login.example/keys",
    "SONGLINE_SUBJECT_CLAIM": "email",
    "SONGLINE_PAGE_CLIENT_SECRET_FILE": "/nowhere/secret",
    "SONGLINE_PAGE_URL": "songline.example",
    "SONGLINE_SESSION_KEY": HIDDEN,
    "SONGLINE_TOKEN_KEY": HIDDEN,
    "SONGLINE_TOKEN_KEY_FILE": "/nowhere/key",
    "SONGLINE_SPILL_AFTER": "soon",
    "SONGLINE_STALE": "0",
    "SONGLINE_HOSTS": "https://songline.example",
    "SONGLINE_ORIGINS": "songline.example",
    "SONGLINE_PROXIES": "everybody",
    "SONGLINE_REQUESTS_PER_SECOND": "many",
    "SONGLINE_SERVICE_REQUESTS_PER_SECOND": "-1",
    "SONGLINE_STREAMS_EACH": "nan",
    "SONGLINE_UPLOAD_BYTES_PER_DAY": "lots",
    "SONGLINE_UPLOADS": "1e9",
    "SONGLINE_UPLOADS_EACH": "none",
    "SONGLINE_BODY_SILENCE": "inf",
    "SONGLINE_BODY_LEAST": "0",
    "SONGLINE_BODY_DEADLINE": "x",
    "SONGLINE_HEAD_TIMEOUT": "x",
    "SONGLINE_ERASURES": "yes",
    "SONGLINE_AS_OF_SECONDS": "0",
    "SONGLINE_AS_OF_AT_ONCE": "x",
}
BESIDE = {"SONGLINE_OUTBOX": "outbox.db", "SONGLINE_PAGE_CLIENT_ID": "page"}
"""What is right, and makes the API read the others."""
CLIENT = {
    "SONGLINE_ISSUER": "login.example",
    "SONGLINE_CLIENT_ID": "",
    "SONGLINE_CLIENT_SECRET_FILE": "/nowhere/secret",
}
ARCHIVE = {"SONGLINE_ARCHIVE_FORMAT": "{Hub}"}
FREE = {
    # Names and paths, for which any text will do, and secrets, which the issuer knows.
    *("SONGLINE_SERVICEBUS_CERTIFICATE", "SONGLINE_OUTBOX", "SONGLINE_DATA", "SONGLINE_ARCHIVE_CONTAINER"),
    *("SONGLINE_PAGE_CLIENT_ID", "SONGLINE_PAGE_CLIENT_SECRET", "SONGLINE_PAGE_SCOPES", "SONGLINE_CLIENT_SECRET"),
    *("AZURE_EVENTGRID_TOPIC_KEY", "AZURE_CLIENT_ID", "SONGLINE_TLS_AUTHORITIES"),
    # A command names the one that it reads, when it needs it.
    *("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP"),
    *("AZURE_EVENTGRID_TOPIC_RESOURCEID", "AZURE_STORAGE_RESOURCEID"),
    # azure-identity reads them.
    *("AZURE_TENANT_ID", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME"),
    *("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TOKEN_CREDENTIALS"),
    # Read before a process has settings: what a container starts, and where the API listens.
    *("SONGLINE_PROCESS", "SONGLINE_API_HOST", "SONGLINE_API_PORT"),
    *("SONGLINE_API", "SONGLINE_TOKEN", "SONGLINE_TOKEN_FILE", "SONGLINE_TOKEN_SCOPE"),
    # A worker that does not answer there is what `doctor` tells.
    *("SONGLINE_TRENDING", "SONGLINE_CATALOG", "SONGLINE_INGESTION", "SONGLINE_LIBRARY"),
}


def api(environ: Mapping[str, str]) -> object:
    """As `python -m songline.api` reads them."""
    return ApiSettings.read(environ), read_head(environ), past_reader(environ)


PROCESSES: Mapping[str, tuple[Read, dict[str, str]]] = {
    "api": (api, API),
    "doctor": (DoctorSettings.read, {**CLOUD, **QUEUES_AND_BLOBS}),
    "doctor, by Entra": (DoctorSettings.read, HOSTS),
    "token": (ClientSettings.read, CLIENT),
    "archive": (read_archive, ARCHIVE),
    "broadcast": (read_eventgrid, {"AZURE_EVENTGRID_TOPIC_ENDPOINT": f"Endpoint=https://x/;SharedAccessKey={HIDDEN}"}),
    "up": (lambda environ: topic_settings(environ, "127.0.0.1", PUBLISHED), {"SONGLINE_EVENTGRID_PORT": "x"}),
    "trending": (TrendingConfig.read, {f"SONGLINE_TRENDING_{one}": "x" for one in ("FLUSH", "SAVE", "HANG")}),
}


def told(read: Read, environ: Mapping[str, str]) -> dict[str, str]:
    """The messages by the setting that they name."""
    with pytest.raises(SettingError) as raised:
        read_settings(read, environ, stand_ins(environ))
    error = raised.value
    errors = error.errors if isinstance(error, WrongSettingsError) else (error,)
    assert [one.name for one in errors] == list(dict.fromkeys(one.name for one in errors))
    assert HIDDEN not in str(error)
    return {one.name: str(one) for one in errors}


@pytest.mark.parametrize("process", PROCESSES)
def test_all_that_are_wrong_are_named_at_once(process: str) -> None:
    read, wrong = PROCESSES[process]
    found = told(read, {**BESIDE, **wrong})
    assert found.keys() == wrong.keys()
    for name, message in found.items():
        assert re.fullmatch(rf"{name}: saw .+, expected .+", message)


@pytest.mark.parametrize("prefix", WORKERS)
def test_all_of_a_worker_are_named_at_once(prefix: str) -> None:
    reads: dict[str, list[Any]] = {
        "SONGLINE_TRENDING_": [TrendingConfig.read],
        "SONGLINE_CATALOG_": [lambda environ: ProjectionConfig.read(environ, prefix, 1.0)],
        "SONGLINE_LIBRARY_": [lambda environ: ProjectionConfig.read(environ, prefix, 1.0), LibraryConfig.read],
        "SONGLINE_INGESTION_": [IngestionConfig.read],
    }
    if prefix in reads:
        found = told(lambda environ: [one(environ) for one in reads[prefix]], dict.fromkeys(WORKERS[prefix], "wrong"))
        assert found.keys() == WORKERS[prefix]


def test_every_setting_that_operators_may_set_is_tried() -> None:
    """Those of workers have a prefix of their own, and the test before."""
    table = OPERATIONS.partition("## Settings")[2].partition("Each worker has settings")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in SETTING.findall(row)}
    tried = {name for _, wrong in PROCESSES.values() for name in wrong if not name.startswith("SONGLINE_TRENDING_")}
    assert len(named) > 40
    assert named - FREE == tried


def test_one_that_is_wrong_is_told_as_before() -> None:
    with pytest.raises(SettingError, match=r"^SONGLINE_STALE: saw '0', expected seconds") as raised:
        read_settings(api, {**good(), "SONGLINE_STALE": "0"}, stand_ins({}))
    assert not isinstance(raised.value, WrongSettingsError)


def test_several_have_a_line_each() -> None:
    with pytest.raises(WrongSettingsError) as raised:
        read_settings(api, {**good(), "SONGLINE_STALE": "0", "SONGLINE_OPEN": "all"}, stand_ins({}))
    first, *lines = str(raised.value).split("\n")
    assert first == f"2 settings are missing or wrong; {PAGE} says what each is for:"
    assert [line.partition(":")[0] for line in lines] == ["  SONGLINE_STALE", "  SONGLINE_OPEN"]


def test_what_is_right_is_read() -> None:
    assert read_settings(ApiSettings.read, good(), stand_ins({})) == ApiSettings.read(good())


def good() -> dict[str, str]:
    return {**STAND_INS, "SONGLINE_AUTH": "off"}


@pytest.mark.parametrize(
    "saw",
    [
        f"'Endpoint=sb://x/;SharedAccessKey={HIDDEN}'",
        f"AccountKey={HIDDEN}==;AccountName=x",
        f"https://x/?sv=1&sig={HIDDEN}&se=2",
        f"https://user:{HIDDEN}@host/",
        f"'client_secret={HIDDEN}'",
    ],
)
def test_a_secret_that_stands_in_a_wrong_place_is_not_shown(saw: str) -> None:
    shown = str(SettingError("SONGLINE_X", saw, "something else"))
    assert HIDDEN not in shown
    assert "***" in shown
