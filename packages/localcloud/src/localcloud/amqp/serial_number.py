"""Numbers of transfers and deliveries, which wrap around (RFC 1982, as part 2, section 2.8.10 uses it)."""

from typing import Final

MASK: Final = 0xFFFF_FFFF
