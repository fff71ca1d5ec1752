"""Value types that the contracts are made of, with the limits that each value must keep."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from schemas.regions import REGIONS

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,128}$"
DAY_MS = 86_400_000

Id = Annotated[str, Meta(pattern=ID_PATTERN, description="1 to 128 characters of [A-Za-z0-9._:-]")]
DurationMs = Annotated[int, Meta(ge=0, le=DAY_MS, description="milliseconds, 0 to 24 h")]
Region = Annotated[
    str,
    Meta(
        pattern="^[A-Z]{2}$",
        description="ISO 3166-1 alpha-2 country code",
        extra_json_schema={"enum": sorted(REGIONS)},
    ),
]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
Text = Annotated[str, Meta(min_length=1, max_length=300)]
Genre = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9 &+'-]{0,63}$", description="lower case, 1 to 64 characters")]
Source = Annotated[str, Meta(min_length=1, max_length=256, description="URI reference of the sender")]
Device = Annotated[str, Meta(min_length=1, max_length=64)]
TraceParent = Annotated[str, Meta(pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")]
