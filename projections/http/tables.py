"""Answers as tables, for analysis: a row for each entry of each chart, or for each hour of a song."""

from collections.abc import Iterable
from io import BytesIO

import polars as pl

from songline.projections.http.negotiation import CSV
from songline.schemas.documents import Chart
from songline.schemas.plays import SongPlays

SCHEMA = pl.Schema(
    {
        "asOf": pl.Datetime("us", "UTC"),
        "completeThrough": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "window": pl.String(),
        "scope": pl.String(),
        "policy": pl.String(),
        "rank": pl.Int32(),
        "songId": pl.String(),
        "title": pl.String(),
        "artist": pl.String(),
        "genre": pl.String(),
        "listens": pl.Int64(),
        "likes": pl.Int64(),
        "score": pl.Float64(),
        "previousRank": pl.Int32(),
        "comparedWith": pl.Datetime("us", "UTC"),
    }
)


HOURS_SCHEMA = pl.Schema(
    {
        "asOf": pl.Datetime("us", "UTC"),
        "completeThrough": pl.Datetime("us", "UTC"),
        "songId": pl.String(),
        "hour": pl.Datetime("us", "UTC"),
        "listens": pl.Int64(),
        "likes": pl.Int64(),
        "unlikes": pl.Int64(),
        "counting": pl.Boolean(),
    }
)


FORMULA = r"^[\t\r\n ]*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|^[\t\r\n]"
"""The beginning of a text that a spreadsheet takes for a formula, also after white space."""


def table(charts: Iterable[Chart]) -> pl.DataFrame:
    """The entries of the charts, in order. The columns are always those of SCHEMA."""
    rows = [
        (
            chart.as_of,
            chart.complete_through,
            chart.kind,
            chart.window,
            chart.scope,
            chart.policy,
            entry.rank,
            entry.song_id,
            entry.title,
            entry.artist,
            entry.genre,
            entry.listens,
            entry.likes,
            entry.score,
            entry.previous_rank,
            chart.compared_with,
        )
        for chart in charts
        for entry in chart.entries
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def hours(plays: SongPlays) -> pl.DataFrame:
    """A song's hours. The columns are always those of HOURS_SCHEMA."""
    rows = [
        (
            plays.as_of,
            plays.complete_through,
            plays.song_id,
            hour.hour,
            hour.listens,
            hour.likes,
            hour.unlikes,
            hour.counting,
        )
        for hour in plays.hours
    ]
    return pl.DataFrame(rows, schema=HOURS_SCHEMA, orient="row")


def guarded(text: pl.Expr) -> pl.Expr:
    """The text, with an apostrophe before it if a spreadsheet would take it for a formula.

    Source: OWASP, "CSV Injection". Some spreadsheets treat the full-width characters like the others.
    """
    return pl.when(text.str.contains(FORMULA)).then(pl.lit("'") + text).otherwise(text).name.keep()


def written(made: pl.DataFrame, form: str) -> bytes:
    """The table as bytes in the form CSV or PARQUET. In CSV, moments are RFC 3339 and texts are `guarded`."""
    target = BytesIO()
    if form == CSV:
        made.with_columns(guarded(pl.col(pl.String))).write_csv(target, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    else:
        made.write_parquet(target, compression="zstd")
    return target.getvalue()
