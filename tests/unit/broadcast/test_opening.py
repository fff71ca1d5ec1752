"""Where subscriptions are kept is read from the settings."""

import pytest

from songline.broadcasting.opening import open_subscriptions
from songline.cloud.settings import SettingError


@pytest.mark.parametrize("environ", [{}, {"AZURE_EVENTGRID_TOPIC_ENDPOINT": ""}])
async def test_without_a_topic_it_is_said_what_makes_one(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=r"`SONGLINE_EVENTGRID_PORT=5304 songline up` starts one .* `azd env get-"):
        async with open_subscriptions(environ):
            pass
