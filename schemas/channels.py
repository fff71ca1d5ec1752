"""The names under which stages meet: hubs, consumer groups, containers."""

MUSIC_EVENTS = "music-events"
TRENDING_PARTIALS = "trending-partials"
TRENDING_TOPS = "trending-tops"
TRENDING_CELLS_CHANGELOG = "songline-trending-cells-changelog"
TRENDING_SHARDS_CHANGELOG = "songline-trending-shards-changelog"
PARKED_EVENTS = "parked-events"

HUBS = (
    MUSIC_EVENTS,
    TRENDING_PARTIALS,
    TRENDING_TOPS,
    TRENDING_CELLS_CHANGELOG,
    TRENDING_SHARDS_CHANGELOG,
    PARKED_EVENTS,
)

# Kafka group ids span a namespace, so each carries the application's name.
TRENDING_GROUP = "songline-trending"

DATABASE = "songline"
CHARTS = "charts"
