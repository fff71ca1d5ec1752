"""An account that does not answer."""

from songline.cloud.settings import CosmosSettings, Secret

# No one listens there.
NOWHERE = CosmosSettings("http://127.0.0.1:9/", Secret("QUJD"))
