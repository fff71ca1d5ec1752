"""The page as a listener and an operator see it, in a real browser against a real system."""

import re
from base64 import b64encode
from collections.abc import Iterator
from threading import Event, Thread
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, expect

from tests.browser.conftest import System, Visit
from tests.support.api import ApiProcess
from tests.support.audio import song
from tests.support.histories import Heard, lastfm_table
from tests.support.waiting import wait_for

VIEWS = ("/", "/?kind=trending&window=7d&scope=region:DE", "/songs", "/songs/warm-up", "/listeners/nobody", "/system")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOOKS = [
    pytest.param({"color_scheme": scheme, "viewport": size}, id=f"{scheme}-{size['width']}")
    for scheme, size in (("light", WIDE), ("dark", NARROW))
]


@pytest.fixture
def steady_plays(system: System) -> Iterator[None]:
    """A listener hears a song every 0.3 seconds."""
    over = Event()

    def play() -> None:
        while not over.wait(0.3):
            system.play("steady-song")

    thread = Thread(target=play)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_file_is_uploaded_and_heard(visit: Visit, system: System) -> None:
    visit.go("/songs")
    parts: list[str] = []
    visit.page.on(
        "response",
        lambda answer: parts.append(answer.headers["content-range"]) if answer.status == 206 else None,
    )
    flac = song("flac", 20, tags={"title": "Low Tide", "artist": "Mira Okafor"})
    visit.page.get_by_label("Upload as").fill("mira")
    drop(visit, "low-tide.flac", "audio/flac", flac)
    notes = FilePayload(name="notes.mp3", mimeType="audio/mpeg", buffer=b"no song at all" * 100)
    visit.page.set_input_files("#files", [notes])
    ways = visit.page.locator(".way")
    expect(ways.filter(has_text="notes.mp3").locator(".badge")).to_have_text("Rejected")
    expect(ways.filter(has_text="notes.mp3")).to_contain_text("not audio")
    expect(ways.filter(has_text="low-tide.flac").locator(".badge")).to_have_text("Ready")

    # It is in the catalog a moment later, which the list and the song's own page wait for.
    expect(visit.page.get_by_role("table").get_by_role("link", name="Low Tide")).to_be_visible()
    ways.get_by_role("link", name="Go to the song").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Low Tide")
    player = visit.page.locator("audio")
    # It seeks close to the end and plays from there, which needs these bytes alone.
    player.evaluate("player => { player.muted = true; player.currentTime = 18; return player.play(); }")
    visit.page.wait_for_function("() => document.querySelector('audio').currentTime > 18.2")
    assert any(part.endswith(f"/{len(flac)}") for part in parts)
    assert 19.9 < player.evaluate("player => player.duration") < 20.1
    # Two, should an hour end just now.
    system.play(visit.page.url.rpartition("/")[2], times=3)
    expect(visit.page.get_by_role("img", name=re.compile("Listens an hour.* most were [23] "))).to_be_visible()


def drop(visit: Visit, name: str, media_type: str, content: bytes) -> None:
    """Drop a file over the drop zone."""
    make = """([name, type, content]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
        return transfer;
    }"""
    transfer = visit.page.evaluate_handle(make, [name, media_type, b64encode(content).decode()])
    visit.page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})


def test_a_history_is_imported_and_taken_back(visit: Visit, system: System) -> None:
    began_ms = 1_616_432_100_000
    history = [Heard(began_ms + number * 240_000, f"Quiet Street {number}", "Benno Falk") for number in range(3)]
    file = FilePayload(name="scrobbles.csv", mimeType="text/csv", buffer=lastfm_table([*history, history[0]]))
    visit.go("/listeners/alba")
    expect(visit.page.get_by_text("Nothing is known of this listener")).to_be_visible()
    way = visit.page.locator(".way")
    visit.page.get_by_label("Dry run").check()
    visit.page.set_input_files("#histories", [file])
    expect(way.locator(".badge")).to_have_text("Dry run")
    expect(way).to_contain_text("4 read: 3 would be taken, 0 already known, 1 skipped")
    visit.page.get_by_label("Dry run").uncheck()
    visit.page.set_input_files("#histories", [file])
    real = way.filter(has_text="3 taken")
    expect(real.locator(".badge")).to_have_text("Done")
    expect(real).to_contain_text("4 read: 3 taken, 0 already known, 1 skipped")
    expect(real).to_contain_text("0 matched, 3 by name only")
    expect(real).to_contain_text("skipped: 1 duplicate")
    expect(visit.page.get_by_role("table", name="Library").get_by_role("row")).to_have_count(4)

    # A song that is known by name only has a page, too.
    visit.page.get_by_role("table", name="Library").get_by_role("link", name="Quiet Street 1").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Quiet Street 1")
    expect(visit.page.locator(".lead")).to_contain_text("known by name only")
    visit.go("/listeners/alba")
    # What was imported before is listed, and can be taken back.
    expect(way).to_have_count(2)
    real.get_by_role("button", name="Take back").click()
    expect(way.locator(".badge", has_text="Taken back")).to_be_visible()
    expect(visit.page.get_by_text("Nothing is known of this listener")).to_be_visible()


def test_a_chart_changes_as_events_come_in(visit: Visit, system: System) -> None:
    visit.go("/?window=5m")
    expect(visit.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    system.play("hit-of-the-day", times=6)
    row = visit.page.locator("tr[data-key='hit-of-the-day']")
    expect(row.locator(".share b")).to_have_text("6")
    system.play("hit-of-the-day", times=2)
    expect(row.locator(".share b")).to_have_text("8")
    assert [entry for entry in visit.requests if "/v1/charts/" in entry] == []


def test_a_projection_whose_processor_stops_is_shown_as_stale(visit: Visit, system: System, steady_plays: None) -> None:
    visit.go("/")
    pulse = visit.page.locator("#pulse-text")
    expect(pulse).to_have_text("live")
    system.trending.kill()
    try:
        expect(pulse).to_have_text(re.compile("^stale: charts"))
        expect(visit.page.locator("main .notice")).to_contain_text("Stale: nothing was counted for")
        visit.go("/system")
        expect(visit.page.locator(".stop[data-state='stale'] h3").first).to_have_text("Charts")
    finally:
        system.trending.start()


def test_now_playing_is_shown_as_it_happens(visit: Visit, system: System) -> None:
    visit.go("/")
    line = visit.page.get_by_role("region", name="Now playing").get_by_role("listitem").filter(has_text="mira-live")

    def is_shown() -> bool:
        # The hub's readers begin at its end: an event that is sent before the API reads is missed.
        system.begin("mira-live", "warm-up")
        return line.count() == 1

    wait_for(is_shown, "what mira-live plays on the page")
    expect(line.get_by_role("link", name="warm-up")).to_have_attribute("href", "#/songs/warm-up")


def test_a_lost_connection_is_shown_and_comes_back_by_itself(visit: Visit, system: System) -> None:
    system.play("before-the-break")
    visit.go("/?window=5m")
    listed = visit.page.locator("tr[data-key='before-the-break'] .share b")
    expect(listed).to_have_text("1")
    visit.page.evaluate("document.body.dataset.visit = 'the first'")
    system.api.kill()
    try:
        expect(visit.page.get_by_role("status")).to_contain_text("The connection is lost. This page is as it was at")
        expect(visit.page.locator("#notice")).to_be_visible()
        expect(visit.page.locator("#pulse-text")).to_contain_text("connection lost")
        # What the page had stays, without colours; a view that asks now says why it can't be shown.
        expect(visit.page.locator("main")).to_have_css("filter", "grayscale(1)")
        expect(listed).to_have_text("1")
        visit.page.get_by_role("link", name="Songs").click()
        expect(visit.page.get_by_text("Songs can't be shown")).to_be_visible()
    finally:
        system.api.start(urlsplit(system.address).port or 0)
    expect(visit.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    expect(visit.page.locator("#notice")).to_be_hidden()
    expect(visit.page.get_by_text("Songs can't be shown")).to_be_hidden()
    visit.page.get_by_role("link", name="Charts").click()
    system.play("after-the-break")
    expect(visit.page.locator("tr[data-key='after-the-break'] .share b")).to_have_text("1")
    assert visit.page.evaluate("document.body.dataset.visit") == "the first"
    visit.console_errors[:] = [line for line in visit.console_errors if "net::ERR_" not in line]


def test_a_window_is_chosen_with_the_keyboard(visit: Visit) -> None:
    visit.go("/")
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator(".skip")).to_be_focused()
    visit.page.get_by_role("radio", name="Hour").focus()
    visit.page.keyboard.press("ArrowRight")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Most heard in the last 24 hours, worldwide")
    expect(visit.page.get_by_role("radio", name="Day")).to_be_checked()


@pytest.mark.parametrize("visit", LOOKS, indirect=True)
def test_every_view_is_accessible_and_fits(visit: Visit) -> None:
    for view in VIEWS:
        visit.go(view)
        visit.page.locator(".loading").first.wait_for(state="detached")
        _check_accessible(visit, view)
    visit.page.goto(f"{visit.address}/docs/events")
    visit.page.get_by_role("heading", name="music-events").wait_for()
    _check_accessible(visit, "/docs/events")
    # The page says in words that a song is unknown; the browser logs the status of the answer too.
    visit.console_errors[:] = [line for line in visit.console_errors if "status of 404" not in line]


def _check_accessible(visit: Visit, view: str) -> None:
    found = Axe().run(visit.page).response["violations"]
    grave = [
        f"{view}: {one['id']} {[node['target'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert grave == []
    wide = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{view} is {wide} pixels too wide"


WHERE = ("/?window=5m", "/?window=1h", "/?kind=trending&window=5m", "/system", "/songs", "/listeners/nobody")


def test_every_tab_gets_the_stream_however_many_there_are(visit: Visit, system: System) -> None:
    """A browser opens six connections to a host; a ninth tab loads, uploads, and shows the outcome."""
    tabs = [visit, *(Visit(visit.page.context.new_page(), system.address) for _ in range(8))]
    for number, tab in enumerate(tabs):
        tab.go(WHERE[number % len(WHERE)])
        expect(tab.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    for tab in tabs:
        # All of them, the first too, go on.
        tab.page.evaluate("() => document.querySelector('#pulse-text').textContent = ''")
        expect(tab.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    last = tabs[-1]
    last.go("/songs")
    files = [FilePayload(name=f"tab-{number}.wav", mimeType="audio/wav", buffer=song("wav", 1)) for number in range(3)]
    for tab in (tabs[4], last):
        tab.page.set_input_files("#files", files)
    for tab in (tabs[4], last):
        for number in range(3):
            expect(tab.page.locator(".way").filter(has_text=f"tab-{number}.wav").locator(".badge")).to_have_text(
                "Ready"
            )
    system.play("hit-of-the-tabs", times=3)
    row = tabs[0].page.locator("tr[data-key='hit-of-the-tabs']")
    expect(row.locator(".share b")).to_have_text("3")
    for tab in tabs[1:]:
        tab.page.close()
        assert tab.console_errors == []
    system.play("hit-of-the-tabs")
    expect(row.locator(".share b")).to_have_text("4")


def test_without_shared_workers_each_tab_has_its_own_stream(visit: Visit, system: System) -> None:
    visit.page.add_init_script("delete self.SharedWorker; delete Navigator.prototype.locks;")
    visit.go("/?window=5m")
    expect(visit.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    system.play("hit-of-one-tab", times=2)
    expect(visit.page.locator("tr[data-key='hit-of-one-tab'] .share b")).to_have_text("2")
    assert any("/v1/live?charts=" in url for url in visit.requests)
    visit.go("/songs")
    file = FilePayload(name="alone.wav", mimeType="audio/wav", buffer=song("wav", 1))
    visit.page.set_input_files("#files", [file])
    expect(visit.page.locator(".way").locator(".badge")).to_have_text("Ready")


def test_an_invalid_chart_does_not_take_the_stream_from_other_tabs(visit: Visit, system: System) -> None:
    visit.go("/?window=5m")
    other = Visit(visit.page.context.new_page(), system.address)
    other.go("/?window=5m&scope=region:nowhere")
    third = Visit(visit.page.context.new_page(), system.address)
    third.go("/?window=1h")
    expect(third.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    expect(visit.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    other.page.close()
    third.page.close()


@pytest.fixture(scope="module")
def closed(system: System) -> Iterator[ApiProcess]:
    """The API as it is by default: it asks for tokens."""
    api = system.start_closed()
    yield api
    api.kill()


@pytest.mark.parametrize("visit", [{"viewport": NARROW}], indirect=True)
def test_a_visitor_signs_in_acts_as_themselves_and_signs_out(visit: Visit, system: System, closed: ApiProcess) -> None:
    visit.address = closed.address
    visit.go("/songs")
    enter = visit.page.get_by_role("banner").get_by_role("link", name="Sign in")
    expect(enter).to_be_visible()
    expect(visit.page.get_by_text("Sign in to upload songs of your own.")).to_be_visible()
    expect(visit.page.locator("#pulse-text")).to_have_text(re.compile("live|stale"))
    visit.go("/system")
    expect(visit.page.get_by_role("heading", name="Uploads by state")).to_be_visible()
    assert visit.page.get_by_role("heading", name="Dead letters").count() == 0
    visit.go("/listeners/user-8")
    expect(visit.page.get_by_text("Only this listener sees their library")).to_be_visible()
    _check_accessible(visit, "a visitor's")

    # The link that `songline up` prints, and one click.
    visit.page.goto(system.trust_link)
    visit.page.get_by_role("button", name="user-7").click()
    out = visit.page.get_by_role("button", name="Sign out")
    expect(out).to_be_visible()
    other = Visit(visit.page.context.new_page(), closed.address)
    other.go("/listeners")
    expect(other.page.get_by_role("heading", level=1)).to_have_text("user-7")

    visit.go("/songs")
    assert visit.page.get_by_label("Upload as").count() == 0
    tags = {"title": "High Tide", "artist": "Mira Okafor"}
    file = FilePayload(name="high-tide.flac", mimeType="audio/flac", buffer=song("flac", 2, tags=tags))
    visit.page.set_input_files("#files", [file])
    expect(visit.page.locator(".way").locator(".badge")).to_have_text("Ready")
    visit.page.locator(".way").get_by_role("link", name="Go to the song").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("High Tide")
    expect(visit.page.locator(".lead").get_by_role("link", name="user-7")).to_be_visible()
    visit.page.get_by_role("button", name="Like").click()
    expect(visit.page.get_by_role("button", name="Liked")).to_be_visible()
    _check_accessible(visit, "a song, signed in")

    def is_in_the_library() -> bool:
        other.page.reload()
        other.page.locator(".loading").first.wait_for(state="detached")
        row = other.page.get_by_role("row").filter(has_text="High Tide")
        return row.filter(has_text="liked").filter(has_text="uploaded").count() == 1

    wait_for(is_in_the_library, "what user-7 likes and uploaded in their library")
    out.click()
    for tab in (visit, other):
        expect(tab.page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()
    expect(other.page.get_by_text("Sign in to see what you heard, liked and uploaded.")).to_be_visible()
    assert visit.page.context.cookies() == [one for one in visit.page.context.cookies() if "browser" in one["name"]]
    assert other.console_errors == []
    own = {urlsplit(address).netloc for address in (closed.address, system.cloud.issuer)}
    visit.requests[:] = [url for url in visit.requests if urlsplit(url).netloc not in own]


def test_an_age_that_is_not_known_is_not_shown_as_zero(visit: Visit) -> None:
    """A worker that is not ready makes a projection stale, also one that has never written how far it is."""
    visit.go("/system")
    ages = visit.page.evaluate(
        """async () => {
            const { ageOf } = await import("/assets/panels/freshness.js");
            const projections = [["fresh", 3.2], ["stale", 7200], ["stale", null], ["unknown", null]];
            return projections.map(([freshness, age]) => ageOf({ freshness, age }));
        }"""
    )
    assert ages == ["3 s old", "stale: 2 h old", "stale, age not known", "not known"]
    notices = visit.page.evaluate(
        """async () => {
            const { staleText } = await import("/assets/views/charts.js");
            const asOf = "2026-11-22T14:00:00Z";
            return [7200, null].map((age) => staleText({ freshness: "stale", age }, { asOf }));
        }"""
    )
    assert notices[0].startswith("Stale: nothing was counted for 2 h. This chart is as of ")
    assert notices[1].startswith("Stale: it is not known how far events are counted. This chart is as of ")


def test_the_api_s_documents_are_shown_and_tried_though_no_inline_script_runs(visit: Visit) -> None:
    """What the policy of the page forbids is an error in the console."""
    visit.page.goto(f"{visit.address}/docs")
    visit.page.locator(".opblock-summary-path", has_text="/v1/charts").first.click()
    visit.page.get_by_role("button", name="Try it out").click()
    visit.page.get_by_role("button", name="Execute").click()
    expect(visit.page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
