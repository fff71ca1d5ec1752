#!/bin/bash
# liblistenbrainz writes a listen's identifiers into the dict `additional_info` that it was given. Where one dict says for
# all listens which player reports them, a listen without identifiers is submitted with those of the listen before: its
# MusicBrainz id, ISRC, tags and track number. A server can't tell; a like by that id is then of another song.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check liblistenbrainz==0.7.0

"$folder/venv/bin/python" - <<'PYTHON'
import http.server
import json
import threading
from importlib.metadata import version

import liblistenbrainz

seen = []


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        seen.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["payload"])
        body = b'{"status":"ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = liblistenbrainz.ListenBrainz(api_base_url=f"http://127.0.0.1:{server.server_port}")
client.set_auth_token("token", check_validity=False)

player = {"media_player": "mpd"}
mbid = "e225fb84-dc9a-419e-adcd-9890f59ec432"
client.submit_multiple_listens(
    [
        liblistenbrainz.Listen("Vantablack", "Dool", 1_600_000_000, recording_mbid=mbid, additional_info=player),
        liblistenbrainz.Listen("Without identifiers", "Nobody", 1_600_000_300, additional_info=player),
    ]
)
server.shutdown()
print("liblistenbrainz", version("liblistenbrainz"))
for listen in seen:
    track = listen["track_metadata"]
    print(f"  {track['track_name']}: additional_info {track['additional_info']}")
print("  the caller's dict afterwards:", player)
found = [listen["track_metadata"]["additional_info"].get("recording_mbid") for listen in seen]
if found != [mbid, mbid] or player.get("recording_mbid") != mbid:
    raise SystemExit(f"the behaviour changed: expected the id of the first listen at both, saw {found}")
print("the second listen has the MusicBrainz id of the first")
PYTHON
