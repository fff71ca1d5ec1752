"""The parts of a token, which stand in base64url without padding (RFC 7515, section 2)."""

import base64


def decode_part(part: str) -> bytes:
    """The bytes of a part. Raises ValueError where it is none; signs that no part has may be passed over."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
