"""The names under which stages meet: hubs, consumer groups, queues, containers."""

MUSIC_EVENTS = "music-events"
TRENDING_PARTIALS = "trending-partials"
TRENDING_TOPS = "trending-tops"
TRENDING_CELLS_CHANGELOG = "songline-trending-cells-changelog"
TRENDING_SHARDS_CHANGELOG = "songline-trending-shards-changelog"
NOW_PLAYING = "now-playing"
CATALOG = "catalog"

HUBS = (
    MUSIC_EVENTS,
    TRENDING_PARTIALS,
    TRENDING_TOPS,
    TRENDING_CELLS_CHANGELOG,
    TRENDING_SHARDS_CHANGELOG,
    NOW_PLAYING,
    CATALOG,
)

# Kafka group ids span a namespace, so each carries the application's name.
TRENDING_GROUP = "songline-trending"
CATALOG_GROUP = "songline-catalog"
LIBRARY_GROUP = "songline-library"
BROADCAST_GROUP = "songline-broadcast"

DATABASE = "songline"
CHARTS = "charts"
PLAYS = "plays"
INGESTIONS = "ingestions"
SONGS = "songs"
LIBRARY = "library"
LIBRARY_SHELVES = "library-shelves"
PROJECTIONS = "projections"
AUDIT = "audit"
PARKED = "parked"
ATTEMPTS = "attempts"
ERASURES = "erasures"
IMPORTS = "imports"
NAMES = "names"
PLAYER_TOKENS = "player-tokens"
BROADCAST = "broadcast"

SONG_COMMANDS = "song-commands"

# Blob containers: songs by the SHA-256 of their bytes, files that wait for their command to be carried out, how far the
# readers of hubs are, trending's hours that are over, all events as Event Hubs Capture writes them, an index of these,
# what no subscriber of Event Grid took.
SONG_BLOBS = "songs"
UPLOAD_BLOBS = "uploads"
CHECKPOINT_BLOBS = "checkpoints"
TRENDING_BLOBS = "trending-hours"
ARCHIVE_BLOBS = "archive"
ARCHIVE_INDEX_BLOBS = "archive-index"
UNDELIVERED_BLOBS = "undelivered"
BLOB_CONTAINERS = (
    SONG_BLOBS,
    UPLOAD_BLOBS,
    CHECKPOINT_BLOBS,
    TRENDING_BLOBS,
    ARCHIVE_BLOBS,
    ARCHIVE_INDEX_BLOBS,
    UNDELIVERED_BLOBS,
)
