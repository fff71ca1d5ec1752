"""How long a page of a list may be. A module of its own: the commands need it, and no SDK."""

MAX_LIMIT = 100
