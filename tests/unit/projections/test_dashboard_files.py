"""What no tool of `make check` holds of the dashboard's own files."""

import re
from pathlib import Path

DASHBOARD = Path(__file__).parents[3] / "projections" / "dashboard"
OWN = sorted(path for path in DASHBOARD.rglob("*.*") if path.suffix in (".js", ".ts", ".css", ".html", ".svg"))
OWN = [path for path in OWN if DASHBOARD / "vendor" not in path.parents]
PAGE = (DASHBOARD / "page.html").read_text()
MAX_COLUMNS, MAX_LINES = 120, 400


def test_every_file_is_readable() -> None:
    """The declarations are written by `make schemas` and grow with the API; a picture has no lines."""
    lines = {path.name: path.read_text().splitlines() for path in OWN if path.suffix != ".svg"}
    wide = [f"{name}:{at}" for name in lines for at, line in enumerate(lines[name], 1) if len(line) > MAX_COLUMNS]
    assert wide == []
    assert [name for name in lines if len(lines[name]) > MAX_LINES and name != "openapi.d.ts"] == []


def test_the_page_links_every_style_sheet_and_has_no_style_or_script_of_its_own() -> None:
    linked = set(re.findall(r'href="/assets/(style/[^"]+)"', PAGE))
    assert linked == {str(path.relative_to(DASHBOARD)) for path in OWN if path.suffix == ".css"}
    assert not re.search(r"<style|<script(?![^>]* src=)|\son\w+=|\sstyle=", PAGE)


def test_no_script_of_the_page_makes_markup_of_text() -> None:
    pattern = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function")
    assert [path.name for path in OWN if path.suffix == ".js" and pattern.search(path.read_text())] == []


def test_every_class_of_the_scripts_is_one_that_a_style_sheet_has() -> None:
    sheets = "".join(path.read_text() for path in OWN if path.suffix == ".css")
    scripts = "".join(path.read_text() for path in OWN if path.suffix == ".js")
    used = {name for names in re.findall(r'class: "([^"]*)"', scripts) for name in names.split()}
    assert used
    assert sorted(name for name in used if not re.search(rf"\.{name}\b", sheets)) == []
