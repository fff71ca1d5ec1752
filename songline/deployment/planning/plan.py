"""What a workload needs on Azure, and what a month of it costs: pure sums over figures and prices."""

from math import ceil
from typing import Literal

from msgspec import Struct

from songline.deployment.planning import figures
from songline.deployment.planning.figures import Figure, interpolated
from songline.deployment.planning.prices import Mark, PriceFile, weakest
from songline.deployment.planning.workload import Workload

MONTH_S = 730 * 3_600
MONTH_H = 730
DAYS = 30.4
GB = 1e9

DEFAULTS = {
    "maximumThroughputUnits": 4,
    "partitions": 0,
    "cosmosRequestUnits": 4_000,
    "trendingWorkers": 1,
    "trendingCores": 1,
    "ingestionMaximum": 4,
    "apiMaximum": 8,
}
"""Those of `infra/azure/main.bicep`."""

Unit = Literal["", "units", "partitions", "replicas", "RU/s", "GB", "GiB", "MB/s", "events/s", "million"]


class PlanLine(Struct, frozen=True, omit_defaults=True):
    """`amount` `unit` of `name`, and what it costs a month. `made_of` has each figure that is in it, behind its mark;
    `mark` is that of the least sure one."""

    service: str
    name: str
    amount: float
    unit: Unit
    monthly: float
    mark: Mark
    made_of: tuple[str, ...]


class Plan(Struct, frozen=True):
    """All lines, their sum, of which prices it is made, and what does not fit. `parameters` of `infra/azure/main.bicep`
    deploy it; those are left out whose default does."""

    lines: tuple[PlanLine, ...]
    parameters: dict[str, int]
    monthly: float
    currency: str
    prices_of: str
    warnings: tuple[str, ...]


class _Sizes(Struct, frozen=True):
    """What several lines are made of: events a second in the mean and in a peak, reads a second in the mean, and how
    much memory a week of actions takes in trending."""

    mean: float
    peak: float
    reads: float
    tus: int
    partitions: int
    week_gib: float


def make_plan(workload: Workload, prices: PriceFile) -> Plan:
    """What `workload` takes in the tier Standard, with autoscale, at `prices`."""
    sizes = _sizes(workload)
    maker = _Maker(prices)
    _event_hubs(maker, workload, sizes)
    _service_bus(maker, workload)
    _cosmos(maker, workload, sizes)
    _storage(maker, workload, sizes)
    _apps(maker, workload, sizes)
    return Plan(
        lines=tuple(maker.lines),
        parameters={name: value for name, value in maker.parameters.items() if value != DEFAULTS[name]},
        monthly=sum(line.monthly for line in maker.lines),
        currency=prices.currency,
        prices_of=f"{prices.region}, {prices.date}",
        warnings=tuple(maker.warnings),
    )


class _Maker:
    """Collects lines, each priced by names of the price file, and parameters of the deployment."""

    def __init__(self, prices: PriceFile) -> None:
        self._prices = prices.prices
        self.lines: list[PlanLine] = []
        self.parameters: dict[str, int] = {}
        self.warnings: list[str] = []

    def need(self, service: str, name: str, amount: float, unit: Unit, *made_of: Figure) -> None:
        """What costs nothing by itself."""
        self._add(service, name, amount, unit, 0.0, (), made_of)

    def pay(self, service: str, name: str, amount: float, unit: Unit, paid: dict[str, float], *made_of: Figure) -> None:
        """What costs so many units of each of these prices."""
        monthly = sum(self._prices[price].amount * count for price, count in paid.items())
        self._add(service, name, amount, unit, monthly, tuple(paid), made_of)

    def _add(
        self,
        service: str,
        name: str,
        amount: float,
        unit: Unit,
        monthly: float,
        priced: tuple[str, ...],
        made_of: tuple[Figure, ...],
    ) -> None:
        sources: list[tuple[Mark, str]] = [(figure.mark, figure.because) for figure in made_of]
        sources += [(self._prices[price].mark, self._prices[price].source) for price in priced]
        mark = weakest(*(mark for mark, _ in sources))
        made = tuple(f"{mark}: {source}" for mark, source in sources)
        self.lines.append(PlanLine(service, name, amount, unit, monthly, mark, made))


def _sizes(workload: Workload) -> _Sizes:
    mean = workload.plays_per_second * (1 + figures.OTHER_EVENTS.value)
    peak = mean * workload.peak
    bytes_in = peak * figures.EVENT_BYTES.value * (1 + figures.OWN_HUBS.value)
    bytes_out = peak * figures.EVENT_BYTES.value * (figures.READERS.value - 1 + figures.OWN_HUBS.value)
    tus = max(
        1,
        ceil(bytes_in / figures.TU_BYTES_IN.value),
        ceil(bytes_out / figures.TU_BYTES_OUT.value),
        ceil(peak / figures.TU_EVENTS_IN.value),
    )
    week_gib = mean * figures.RETENTION_S * figures.TRENDING_BYTES.value / 2**30
    # A partition is of one replica: as many partitions as trending has replicas.
    for_memory = ceil(week_gib / figures.TRENDING_LARGE_GIB.value)
    partitions = max(4, ceil(peak / figures.PARTITION_EVENTS.value), for_memory)
    reads = workload.reads_per_second
    if reads is None:
        reads = workload.listeners * figures.READS_A_LISTENER.value / 86_400
    return _Sizes(mean, peak, reads, tus, partitions, week_gib)


def _event_hubs(maker: _Maker, workload: Workload, sizes: _Sizes) -> None:
    service = "Event Hubs"
    held = sizes.mean * figures.EVENT_BYTES.value * figures.RETENTION_S / GB
    of_peak = (figures.EVENT_BYTES, figures.OTHER_EVENTS, figures.OWN_HUBS, figures.TU_BYTES_IN, figures.TU_EVENTS_IN)
    maker.need(service, "events in a peak", sizes.peak, "events/s", figures.OTHER_EVENTS)
    paid = {"eventhubs-throughput-unit": float(sizes.tus * MONTH_H)}
    maker.pay(service, "throughput units", sizes.tus, "units", paid, *of_peak)
    maker.parameters["maximumThroughputUnits"] = max(DEFAULTS["maximumThroughputUnits"], sizes.tus)
    # As declared, there are four.
    maker.parameters["partitions"] = sizes.partitions if sizes.partitions > 4 else 0
    maker.need(service, "partitions, which never change", sizes.partitions, "partitions", figures.PARTITION_EVENTS)
    millions = sizes.mean * MONTH_S / 1e6
    maker.pay(service, "events taken", millions, "million", {"eventhubs-ingress": millions}, figures.OTHER_EVENTS)
    captured = {"eventhubs-capture": float(sizes.tus * MONTH_H)}
    maker.pay(service, "Capture", sizes.tus, "units", captured, *of_peak)
    over = max(0.0, held - sizes.tus * figures.TU_STORAGE_GB.value)
    kept = {"eventhubs-extended-retention": over}
    maker.pay(service, "a week of events", held, "GB", kept, figures.EVENT_BYTES, figures.TU_STORAGE_GB)
    if sizes.tus > figures.MAX_TUS:
        maker.warnings.append(
            f"{sizes.tus} throughput units, and Standard has {figures.MAX_TUS}: Premium takes more, at other prices"
        )
    if sizes.partitions > figures.MAX_PARTITIONS:
        maker.warnings.append(
            f"{sizes.partitions} partitions, and Standard has {figures.MAX_PARTITIONS} a hub: Premium has 100"
        )


def _service_bus(maker: _Maker, workload: Workload) -> None:
    millions = workload.uploads_per_day * DAYS * figures.COMMAND_OPERATIONS.value / 1e6
    paid = {"servicebus-base": 1.0, "servicebus-operations": max(0.0, millions - 13)}
    maker.pay("Service Bus", "operations", millions, "million", paid, figures.COMMAND_OPERATIONS)


def _cosmos(maker: _Maker, workload: Workload, sizes: _Sizes) -> None:
    service = "Cosmos DB"

    def used(rate: float, reads: float) -> float:
        charts = min(figures.CHARTS_A_SECOND.value, rate) * figures.CHART_RU.value
        days = min(figures.DAYS_A_SECOND.value, rate) * figures.DAY_RU.value
        uploads = workload.uploads_per_day / 86_400 * figures.UPLOAD_RU.value
        return interpolated(figures.LIBRARY_RU, rate) + charts + days + uploads + reads * figures.READ_RU.value

    peak = used(sizes.peak, sizes.reads * workload.peak)
    # Autoscale takes a tenth of its maximum at least, and steps of 1,000.
    maximum = max(1_000, ceil(peak / 1_000) * 1_000)
    mean = max(used(sizes.mean, sizes.reads), maximum / 10)
    maker.parameters["cosmosRequestUnits"] = maximum
    of_units = (figures.CHART_RU, figures.DAY_RU, figures.UPLOAD_RU, figures.READ_RU)
    maker.need(service, "request units in a peak", maximum, "RU/s", *of_units)
    paid = {"cosmos-autoscale": mean / 100 * MONTH_H}
    maker.pay(service, "request units in the mean", mean, "RU/s", paid, *of_units)
    actions = sizes.mean * 86_400 * DAYS * workload.months * figures.ACTION_BYTES.value
    songs = workload.songs + workload.uploads_per_day * DAYS * workload.months
    days = songs * figures.PLAYED_A_DAY.value * figures.DAYS_KEPT * figures.SONG_DAY_BYTES.value
    stored = (actions + songs * figures.SONG_BYTES.value + days) / GB
    of_storage = (figures.ACTION_BYTES, figures.SONG_BYTES, figures.SONG_DAY_BYTES, figures.PLAYED_A_DAY)
    maker.pay(
        service, f"documents after {workload.months} months", stored, "GB", {"cosmos-storage": stored}, *of_storage
    )


def _storage(maker: _Maker, workload: Workload, sizes: _Sizes) -> None:
    service = "Blob Storage"
    songs = workload.songs + workload.uploads_per_day * DAYS * workload.months
    audio = songs * workload.song_megabytes * 1e6 / GB
    maker.pay(service, f"songs after {workload.months} months", audio, "GB", {"blob-hot": audio})
    month = sizes.mean * MONTH_S * figures.ARCHIVE_BYTES.value / GB
    cool = month * max(0, workload.months - 1)
    hot = month * min(1, workload.months)
    paid = {"blob-hot": hot, "blob-cool": cool}
    maker.pay(service, f"archive after {workload.months} months", hot + cool, "GB", paid, figures.ARCHIVE_BYTES)
    # A file of Capture each minute and partition, checkpoints each ten seconds, and the songs.
    writes = sizes.partitions * MONTH_S * (1 / 60 + 2 / 10) + workload.uploads_per_day * DAYS * 4
    maker.pay(service, "writes", writes / 1e6, "million", {"blob-writes": writes / 10_000})


def _apps(maker: _Maker, workload: Workload, sizes: _Sizes) -> None:
    service = "Container Apps"
    replicas = 0
    reads = sizes.reads * workload.peak * figures.READ_CPU_S.value
    uploads = workload.uploads_per_day / 86_400 * workload.peak * figures.INGESTION_CPU_S.value
    # Below so much memory, up to four small replicas of trending cost less.
    is_small = sizes.week_gib <= 4 * figures.TRENDING_SMALL_GIB.value
    trending = (1.0, 2.0, figures.TRENDING_SMALL_GIB) if is_small else (4.0, 8.0, figures.TRENDING_LARGE_GIB)
    for name, cores, memory, work, made_of in (
        ("trending", *trending[:2], sizes.peak * figures.TRENDING_CPU_S.value, figures.TRENDING_CPU_S),
        ("catalog", 0.5, 1.0, sizes.peak * figures.CATALOG_CPU_S.value, figures.CATALOG_CPU_S),
        ("library", 0.5, 1.0, sizes.peak * figures.LIBRARY_CPU_S.value, figures.LIBRARY_CPU_S),
        ("broadcast", 0.25, 0.5, sizes.peak * figures.CATALOG_CPU_S.value, figures.CATALOG_CPU_S),
        ("ingestion", 1.0, 2.0, uploads, figures.INGESTION_CPU_S),
        ("api", 1.0, 2.0, reads, figures.READ_CPU_S),
    ):
        count = max(1, ceil((work + figures.IDLE_CPU.value) / figures.BUSY.value / cores))
        if name == "trending":
            count = max(count, ceil(sizes.week_gib / trending[2].value))
            maker.parameters |= {"trendingWorkers": count, "trendingCores": int(cores)}
        elif name in ("ingestion", "api"):
            maker.parameters[f"{name}Maximum"] = max(count, DEFAULTS[f"{name}Maximum"])
            if count > figures.MAX_REPLICAS:
                maker.warnings.append(f"{count} replicas of {name}, and an app has {figures.MAX_REPLICAS}")
        if name in ("trending", "catalog", "library", "broadcast") and count > sizes.partitions:
            maker.warnings.append(
                f"{count} replicas of {name} for {sizes.partitions} partitions: give it more CPU and memory instead"
            )
        replicas += count
        paid = {"apps-cpu": count * cores * MONTH_S, "apps-memory": count * memory * MONTH_S}
        label = f"{name}, {cores:g} vCPU and {memory:g} GiB each"
        maker.pay(service, label, count, "replicas", paid, made_of, figures.IDLE_CPU, figures.BUSY)
    maker.need(service, "memory of trending for a week", sizes.week_gib, "GiB", figures.TRENDING_BYTES)
    requests = sizes.reads * MONTH_S / 1e6
    maker.pay(service, "requests", requests, "million", {"apps-requests": requests}, figures.READS_A_LISTENER)
    logs = replicas * figures.LOG_BYTES.value * DAYS / GB
    maker.pay("Other", "logs", logs, "GB", {"logs": logs}, figures.LOG_BYTES)
    maker.pay("Other", "container registry", 1, "", {"registry": 1.0})
