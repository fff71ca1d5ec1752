"""The operations of OpenSubsonic that are served, and what each asks of a player's token."""

from collections.abc import Mapping

from msgspec import Struct

from songline.identity.scopes import Scope
from songline.players.opensubsonic import accounts, browsing, listing, media, reporting
from songline.players.opensubsonic.accounts import empty
from songline.players.opensubsonic.call import Handler


class PlayerOperation(Struct, frozen=True):
    """An operation, and the scope that it needs; any token will do where it needs none."""

    handler: Handler
    scope: Scope | None = None


EXTENSIONS = "getOpenSubsonicExtensions"
"""The one operation that asks for no credentials: a client reads there which ones it may show."""

_READ, _WRITE, _OWN = Scope.CHARTS_READ, Scope.EVENTS_WRITE, Scope.LIBRARY_READ

OPERATIONS: Mapping[str, PlayerOperation] = {
    "ping": PlayerOperation(accounts.ping),
    "getLicense": PlayerOperation(accounts.license_),
    "getUser": PlayerOperation(accounts.user),
    "tokenInfo": PlayerOperation(accounts.token_info),
    "getScanStatus": PlayerOperation(accounts.scan_status, _READ),
    "getMusicFolders": PlayerOperation(browsing.music_folders, _READ),
    "getArtists": PlayerOperation(browsing.artists, _READ),
    "getArtist": PlayerOperation(browsing.artist, _READ),
    "getAlbum": PlayerOperation(browsing.album, _READ),
    "getSong": PlayerOperation(browsing.song, _READ),
    "getGenres": PlayerOperation(browsing.genres, _READ),
    "getIndexes": PlayerOperation(browsing.indexes, _READ),
    "getMusicDirectory": PlayerOperation(browsing.directory, _READ),
    "search2": PlayerOperation(browsing.search2, _READ),
    "search3": PlayerOperation(browsing.search3, _READ),
    "getAlbumList": PlayerOperation(listing.albums, _READ),
    "getAlbumList2": PlayerOperation(listing.albums2, _READ),
    "getRandomSongs": PlayerOperation(listing.random, _READ),
    "getSongsByGenre": PlayerOperation(listing.of_genre, _READ),
    "getNowPlaying": PlayerOperation(listing.now_playing, _READ),
    "getStarred": PlayerOperation(listing.starred, _OWN),
    "getStarred2": PlayerOperation(listing.starred2, _OWN),
    "stream": PlayerOperation(media.stream, _READ),
    "download": PlayerOperation(media.stream, _READ),
    "getCoverArt": PlayerOperation(media.cover, _READ),
    "getAvatar": PlayerOperation(media.avatar),
    "scrobble": PlayerOperation(reporting.scrobble, _WRITE),
    "star": PlayerOperation(reporting.star, _WRITE),
    "unstar": PlayerOperation(reporting.unstar, _WRITE),
    # What clients ask for when they start or show a song, and Songline does not have.
    "getPlaylists": PlayerOperation(empty("playlists", "playlist")),
    "getPlayQueue": PlayerOperation(empty()),
    "getBookmarks": PlayerOperation(empty("bookmarks", "bookmark")),
    "getPodcasts": PlayerOperation(empty("podcasts", "channel")),
    "getNewestPodcasts": PlayerOperation(empty("newestPodcasts", "episode")),
    "getInternetRadioStations": PlayerOperation(empty("internetRadioStations", "internetRadioStation")),
    "getShares": PlayerOperation(empty("shares", "share")),
    "getArtistInfo": PlayerOperation(empty("artistInfo")),
    "getArtistInfo2": PlayerOperation(empty("artistInfo2")),
    "getAlbumInfo": PlayerOperation(empty("albumInfo")),
    "getAlbumInfo2": PlayerOperation(empty("albumInfo")),
    "getSimilarSongs": PlayerOperation(empty("similarSongs", "song")),
    "getSimilarSongs2": PlayerOperation(empty("similarSongs2", "song")),
    "getTopSongs": PlayerOperation(empty("topSongs", "song")),
    "getLyrics": PlayerOperation(empty("lyrics")),
}
