"""One app of two sides."""

import logging

import pytest

from songline.api.app import ApiSettings, compose
from songline.api.guard_settings import AUTH
from songline.cloud.settings import BLOB_CONNECTION, COSMOS_CONNECTION, SERVICEBUS_CONNECTION, SettingError

ENVIRON = {
    AUTH: "off",
    COSMOS_CONNECTION: "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a2V5",
    BLOB_CONNECTION: "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a;",
    SERVICEBUS_CONNECTION: "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=R;SharedAccessKey=S;UseDevelopmentEmulator=true",
}


def test_what_can_be_written_is_told_beside_what_can_be_read() -> None:
    paths = compose(ApiSettings.read(ENVIRON)).openapi()["paths"]
    assert set(paths["/v1/songs"]) == {"get", "post"}
    assert set(paths["/v1/songs/{song_id}"]) == {"get", "delete"}
    assert {"202", "413", "415", "422", "503"} <= set(paths["/v1/songs"]["post"]["responses"])
    assert "422" not in paths["/v1/songs/{song_id}"]["delete"]["responses"]


def test_without_a_place_for_songs_there_is_reading_only_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        app = compose(ApiSettings.read({name: ENVIRON[name] for name in (AUTH, COSMOS_CONNECTION)}))
    assert set(app.openapi()["paths"]["/v1/songs"]) == {"get"}
    assert BLOB_CONNECTION in caplog.text


@pytest.mark.parametrize("missing", [COSMOS_CONNECTION, SERVICEBUS_CONNECTION])
def test_a_service_that_is_not_named_stops_the_start(missing: str) -> None:
    with pytest.raises(SettingError, match=missing):
        ApiSettings.read({name: value for name, value in ENVIRON.items() if name != missing})


@pytest.mark.parametrize("text", ["0", "257", "many", "-1"])
def test_how_many_uploads_is_a_number_that_makes_sense(text: str) -> None:
    with pytest.raises(SettingError, match="SONGLINE_UPLOADS"):
        ApiSettings.read({**ENVIRON, "SONGLINE_UPLOADS": text})
