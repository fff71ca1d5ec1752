"""The configuration of a simulation."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from songline.schemas.rules import broken_rule

Share = Annotated[float, Meta(ge=0, le=1)]

ACT_EVERY_S = 180.0
"""Seconds between two events of one listener by real pacing."""


class SimulationConfig(Struct, frozen=True, kw_only=True):
    """The parameters of the simulated world. Shares are from 0 to 1, durations are in seconds."""

    rate: Annotated[float, Meta(gt=0, le=1_000_000, description="events a second, all kinds together")] = 50.0
    pacing: Annotated[
        Literal["rate", "real"],
        Meta(description="what sets the rate: --rate, or real listeners, each with an event every three minutes"),
    ] = "rate"
    listeners: Annotated[int, Meta(ge=1, le=20_000_000, description="number of listeners")] = 20_000
    songs: Annotated[int, Meta(ge=1, le=1_000_000, description="number of songs at the start")] = 2_000
    popularity: Annotated[float, Meta(ge=0, le=3, description="Zipf exponent of the songs' popularity")] = 0.9
    taste: Annotated[Share, Meta(description="share of plays from the listener's favourite genres")] = 0.6
    session_songs: Annotated[float, Meta(ge=1, le=1000, description="mean number of songs in a session")] = 12.0
    pause: Annotated[float, Meta(gt=0, le=3600, description="median pause between two songs, in seconds")] = 2.0
    skips: Annotated[Share, Meta(description="share of plays that are skipped after a few seconds")] = 0.25
    likes: Annotated[Share, Meta(description="chance that a listener who heard at least half of a song likes it")] = (
        0.06
    )
    unlikes: Annotated[Share, Meta(description="share of likes that are taken back later")] = 0.1
    uploads: Annotated[Share, Meta(description="share of events that are uploads of new songs")] = 0.001
    removals: Annotated[Share, Meta(description="removals of songs, as a share of uploads")] = 0.03
    spike_every: Annotated[float, Meta(gt=0, description="mean time between songs that go viral, in seconds")] = 900.0
    spike_share: Annotated[Share, Meta(description="share of all plays that a viral song takes at its height")] = 0.15
    bots: Annotated[
        int, Meta(ge=0, le=1000, description="number of bots, which play one song each without a pause")
    ] = 3
    bot_share: Annotated[Share, Meta(description="share of events that come from bots")] = 0.01
    duplicates: Annotated[Share, Meta(description="share of events that are sent twice, byte for byte")] = 0.01
    late: Annotated[Share, Meta(description="share of plays that are reported minutes to days late")] = 0.005
    too_late: Annotated[Share, Meta(description="share of the late plays that are 7 to 30 days late")] = 0.02
    disorder: Annotated[Share, Meta(description="share of events that overtake others, by up to some seconds")] = 0.02

    @property
    def events_per_s(self) -> float:
        """Events a second, all kinds together: `rate`, or by real pacing one every ACT_EVERY_S of each listener."""
        return self.rate if self.pacing == "rate" else self.listeners / ACT_EVERY_S

    def __post_init__(self) -> None:
        if self.bot_share + self.uploads * (1 + self.removals) >= 1:
            raise ValueError(
                f"bot_share and uploads: saw {self.bot_share} and {self.uploads}, expected less than 1 together"
            )


def read_config(values: dict[str, Any]) -> SimulationConfig:
    """The configuration from names and values; raises ValueError, which names the field and the rule it breaks."""
    try:
        return msgspec.convert(values, SimulationConfig)
    except msgspec.ValidationError as error:
        raise ValueError(str(broken_rule(str(error)))) from None
