"""Chooses the media type of an answer. Source: RFC 9110 section 12.5.1 (Accept)."""

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
FORMS = (JSON, CSV, PARQUET)
"""In order of preference, for clients that accept all of them equally."""


def chosen(accept: str | None) -> str | None:
    """The form of FORMS with the highest weight in the header `Accept`; None if it accepts none of them.

    A malformed weight counts as 1.
    """
    if accept is None or not accept.strip():
        return JSON
    liked = [_range(text) for text in accept.split(",") if text.strip()]
    weights = {form: _weight(form, liked) for form in FORMS}
    best = max(FORMS, key=lambda form: weights[form])
    return best if weights[best] > 0 else None


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = min(1.0, max(0.0, float(value)))
            except ValueError:
                weight = 1.0
    return media, weight


def _weight(form: str, liked: list[tuple[str, float]]) -> float:
    """The weight of the most specific range that matches the form."""
    for media in (form, f"{form.partition('/')[0]}/*", "*/*"):
        found = [weight for name, weight in liked if name == media]
        if found:
            return max(found)
    return 0.0
