"""What the process that folds a moment is asked, and what it answers: JSON over its standard streams."""

from msgspec import Struct

from songline.schemas.documents import Chart
from songline.schemas.library.fold import FoldedLibrary


class ChartsQuestion(Struct, frozen=True, tag="charts"):
    """All charts as of a Unix second, by the policy of a version of the charts."""

    second: int
    version: int


class LibraryQuestion(Struct, frozen=True, tag="library"):
    """A listener's library as of a Unix second."""

    second: int
    user_id: str


Question = ChartsQuestion | LibraryQuestion


class PastCharts(Struct, frozen=True, tag="charts"):
    """All charts that are not empty, by key, and one that is: what any other chart is. `events` were read."""

    charts: dict[str, Chart]
    empty: Chart
    events: int


class PastLibrary(Struct, frozen=True, tag="library"):
    """A library, and the position of the last event of each partition that the hub had taken by then, -1 for none."""

    library: FoldedLibrary
    position: dict[str, int]


class MomentRefusal(Struct, frozen=True, tag="refusal"):
    """The history has no such moment; the sentence is the rule that says which it has."""

    sentence: str


class FoldFailure(Struct, frozen=True, tag="failure"):
    """The history can't be read now; the sentence says why."""

    sentence: str


Answer = PastCharts | PastLibrary | MomentRefusal | FoldFailure
