"""How the doctor says for how long something has been so. Pure."""


def age_text(seconds: float) -> str:
    """`59 s`, `20 min`, `2.5 h` or `3 days`; none of less than nothing."""
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3_600
    return f"{hours:.1f}".removesuffix(".0") + " h" if hours < 48 else f"{hours / 24:.0f} days"
