"""Which projections can be rebuilt, and how. A rebuild of another one is added here."""

from collections.abc import Mapping

from songline.processors.history.rebuild.folded import CATALOG_SONGS, LIBRARIES
from songline.processors.history.rebuild.projection import RebuiltProjection

REBUILT: Mapping[str, RebuiltProjection] = {one.name: one for one in (LIBRARIES, CATALOG_SONGS)}
