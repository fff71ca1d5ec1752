"""When a rebuild under live traffic has reached the hub's end. Pure."""

NEAR_S = 5.0
"""A pass that took no longer has reached the end, as far as that can be reached."""

SHORTER = 0.75
"""A pass that takes more than this part of the one before it is not much shorter."""


def is_near(pass_s: float, before_s: float | None) -> bool:
    """Whether the hub's end is reached after a pass over what had come in, which took `pass_s` seconds.

    What comes in meanwhile takes another pass. Where that is not much shorter than the one before it (`before_s`, None
    for the first), as on a machine that is busy, more passes come no nearer: the switch says whether it is near enough.
    """
    return pass_s <= NEAR_S or (before_s is not None and pass_s > SHORTER * before_s)
