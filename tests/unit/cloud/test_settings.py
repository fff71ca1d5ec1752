import pytest

from songline.cloud.settings import (
    BLOB_CONNECTION,
    BLOB_ENDPOINT,
    COSMOS_CONNECTION,
    COSMOS_ENDPOINT,
    EVENTHUB_CONNECTION,
    EVENTHUB_NAMESPACE,
    KAFKA_BOOTSTRAP,
    SERVICEBUS_CONNECTION,
    SERVICEBUS_NAMESPACE,
    CloudSettings,
    Secret,
    SettingError,
    read_blobs,
    read_cosmos,
    read_eventhubs,
    read_host,
    read_servicebus,
)

EMULATOR = "Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=k;SharedAccessKey=secret;UseDevelopmentEmulator=true"
AZURE = "Endpoint=sb://music.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=secret="
COSMOS = "AccountEndpoint=http://127.0.0.1:8081/;AccountKey=a2V5PT0=;"


def test_an_emulator_speaks_plain_kafka_on_9092() -> None:
    settings = read_eventhubs({EVENTHUB_CONNECTION: EMULATOR})
    assert (settings.host, settings.kafka, settings.plaintext) == ("127.0.0.1", "127.0.0.1:9092", True)


def test_azure_speaks_kafka_over_tls_on_9093() -> None:
    settings = read_eventhubs({EVENTHUB_CONNECTION: AZURE})
    assert settings.kafka == "music.servicebus.windows.net:9093"
    assert not settings.plaintext


def test_a_namespace_alone_means_entra_credentials() -> None:
    settings = read_eventhubs({EVENTHUB_NAMESPACE: "music.servicebus.windows.net"})
    assert settings.connection is None
    assert settings.kafka == "music.servicebus.windows.net:9093"


def test_an_account_key_may_end_in_equals_signs() -> None:
    cosmos = read_cosmos({COSMOS_CONNECTION: COSMOS})
    assert cosmos.key is not None
    assert cosmos.key.reveal() == "a2V5PT0="


@pytest.mark.parametrize(
    ("environ", "name", "expected"),
    [
        ({}, EVENTHUB_CONNECTION, EVENTHUB_NAMESPACE),
        ({EVENTHUB_NAMESPACE: "https://music"}, EVENTHUB_NAMESPACE, "a host name"),
        ({EVENTHUB_CONNECTION: "SharedAccessKey=secret"}, EVENTHUB_CONNECTION, "Endpoint"),
        ({EVENTHUB_CONNECTION: "Endpoint=nowhere"}, EVENTHUB_CONNECTION, "Endpoint=sb://HOST"),
        ({EVENTHUB_CONNECTION: AZURE, KAFKA_BOOTSTRAP: "host"}, KAFKA_BOOTSTRAP, "HOST:PORT"),
        ({EVENTHUB_CONNECTION: AZURE}, COSMOS_CONNECTION, COSMOS_ENDPOINT),
        ({EVENTHUB_CONNECTION: AZURE, COSMOS_ENDPOINT: "music"}, COSMOS_ENDPOINT, "https://"),
        ({EVENTHUB_CONNECTION: AZURE, COSMOS_CONNECTION: "AccountKey=secret"}, COSMOS_CONNECTION, "AccountEndpoint"),
    ],
)
def test_a_bad_setting_names_itself_what_it_saw_and_what_it_expects(
    environ: dict[str, str], name: str, expected: str
) -> None:
    with pytest.raises(SettingError) as caught:
        CloudSettings.read(environ)
    assert caught.value.name == name
    assert "saw" in str(caught.value)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


def test_secrets_print_as_stars() -> None:
    settings = CloudSettings.read({EVENTHUB_CONNECTION: EMULATOR, COSMOS_CONNECTION: COSMOS})
    assert "secret" not in repr(settings)
    assert "a2V5" not in f"{settings.cosmos.key} {settings.cosmos!r}"
    assert Secret("x").reveal() == "x"


def test_service_bus_takes_a_connection_string_or_a_host() -> None:
    connected = read_servicebus({SERVICEBUS_CONNECTION: AZURE})
    assert connected.connection is not None
    assert connected.host == "music.servicebus.windows.net"
    assert read_servicebus({SERVICEBUS_NAMESPACE: "music.servicebus.windows.net"}).connection is None


def test_blobs_take_a_connection_string_or_an_endpoint() -> None:
    connected = read_blobs({BLOB_CONNECTION: "AccountName=music;AccountKey=c2VjcmV0"})
    assert connected.connection is not None
    assert "c2VjcmV0" not in repr(connected)
    assert read_blobs({BLOB_ENDPOINT: "https://music.blob.core.windows.net/"}).connection is None


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, BLOB_CONNECTION),
        ({BLOB_CONNECTION: "AccountName=music"}, BLOB_CONNECTION),
        ({BLOB_ENDPOINT: "music"}, BLOB_ENDPOINT),
    ],
)
def test_bad_blob_settings_name_themselves(environ: dict[str, str], name: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_blobs(environ)
    assert caught.value.name == name


def test_a_process_that_needs_only_hubs_starts_without_the_rest() -> None:
    CloudSettings.read({EVENTHUB_CONNECTION: EMULATOR, COSMOS_CONNECTION: COSMOS})


def test_an_address_to_listen_on() -> None:
    assert read_host({}, "SONGLINE_CATALOG_HOST") == "127.0.0.1"
    assert read_host({"SONGLINE_CATALOG_HOST": "0.0.0.0"}, "SONGLINE_CATALOG_HOST") == "0.0.0.0"
    assert read_host({"SONGLINE_CATALOG_HOST": "::1"}, "SONGLINE_CATALOG_HOST") == "::1"
    with pytest.raises(SettingError, match=r"SONGLINE_CATALOG_HOST: saw 'everywhere', expected an address"):
        read_host({"SONGLINE_CATALOG_HOST": "everywhere"}, "SONGLINE_CATALOG_HOST")
