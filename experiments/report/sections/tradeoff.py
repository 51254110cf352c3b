"""Time against memory: which modes are the best trade-offs of one for the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bokeh.plotting import figure

from experiments.estimates import (
    Arm,
    Estimate,
    arm,
    floor_of,
    of_reading,
    ratio,
    subject,
    times_as_long,
)
from experiments.intervals import CONFIDENCE, FEWEST, Interval, of_median, processes
from experiments.report.blocks import Chart, Columns, Origin, Section, Table, Text
from experiments.report.charts import Place, against
from experiments.report.wording.accuracy import (
    COLUMN,
    UNCALIBRATED,
    Calibrations,
    error_of,
    error_text,
)
from experiments.report.wording.looks import in_order, mode_look
from experiments.report.wording.words import (
    GAP,
    GIB,
    KIB,
    MIB,
    NONE,
    arm_text,
    byte_unit,
    bytes_text,
    collector_text,
    count_text,
    listed,
    range_text,
    second_unit,
    seconds_text,
    share_collector,
    share_text,
    times_text,
)
from experiments.trial import Collector, Record

TITLE = "Time against memory"
TIME, PEAK = "wall_seconds", "peak_bytes"
FAR_APART = 8.0  # from the lowest to the highest: beyond that, a logarithmic scale


@dataclass(frozen=True)
class Cost:
    """What an arm costs: its time, its peak, and how sure they are."""

    arm: Arm
    seconds: Estimate
    peak: Estimate
    sure: Interval | None  # of the time; None where there are too few processes
    floor: Estimate | None
    alike: bool  # whether it does the work that the others do: gradients, where those have any

    @property
    def reach(self) -> tuple[float, float]:
        """From where to where its time lies: its interval, or the range where there is none."""
        found = self.sure
        return (found.low, found.high) if found else (self.seconds.low, self.seconds.high)


def tradeoff(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """Each mode by its time and its peak, and which no other beats in both."""
    settings = _settings(records)
    costs = _costs(records, settings) if settings else []
    if not costs:
        words = "Not measured: this needs trials of `traced` and of `clock` in the same modes."
        return Section(TITLE, [Text(words, "note")])
    best = _best(costs)
    doubts = _doubts(records, costs, best, calibrations)
    chart = Chart(
        title=TITLE,
        says=" ".join([*_says(costs, best), *doubts, *_caveats(costs, settings)]),
        draw=lambda: _draw(costs, best),
        table=_table(records, costs, best, settings, calibrations),
        data=lambda: _data(costs, best),
    )
    return Section(TITLE, [chart], lead=LEAD)


LEAD = "Further left is faster, further down holds less."


def front(places: Sequence[tuple[float, float]]) -> list[int]:
    """The places that no other beats: none is as low in both and lower in one. From the left on."""
    return [
        n
        for n in sorted(range(len(places)), key=lambda n: places[n])
        if not any(_beats(other, places[n]) for other in places)
    ]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


def _settings(records: Sequence[Record]) -> dict[Collector, Collector]:
    """With which of the collector's settings a mode was timed -> with which its peak was measured.

    The same, where there is such a one; or else the first of either.
    """
    timed, held = ({a.collector: None for a in of_reading(records, r)} for r in (TIME, PEAK))
    if both := [setting for setting in timed if setting in held]:
        return {setting: setting for setting in both}
    return {next(iter(timed)): next(iter(held))} if timed and held else {}


def _costs(records: Sequence[Record], settings: Mapping[Collector, Collector]) -> list[Cost]:
    """The arms of which both figures are known, in the ladder's order."""
    times, peaks = of_reading(records, TIME), of_reading(records, PEAK)
    back = {a.mode for a in of_reading(records, "backward_seconds")}
    clocked = [r for r in records if r.trial.instrument == "clock"]
    costs = []
    for a in in_order(times):
        peak = peaks.get(Arm(a.mode, settings.get(a.collector, a.collector)))
        if peak and a.collector in settings:
            sure = of_median(processes((r for r in clocked if arm(r) == a), TIME))
            alike = not back or a.mode in back
            costs.append(Cost(a, times[a], peak, sure, floor_of(records, a), alike))
    return costs


def _best(costs: Sequence[Cost]) -> list[Cost]:
    """Those that no other beats, of those that do the same work."""
    ranked = [cost for cost in costs if cost.alike]
    return [ranked[n] for n in front([(c.seconds.median, c.peak.median) for c in ranked])]


def _says(costs: Sequence[Cost], best: Sequence[Cost]) -> list[str]:
    """Which modes are worth choosing, by their medians."""
    names = _names(costs)
    others = sum(cost.alike for cost in costs) - len(best)
    if not others:
        return ["No mode beats another in both."] if len(best) > 1 else []
    if len(best) == 1:
        return [f"`{names[best[0].arm]}` is the fastest and holds the least: nothing is traded."]
    said = listed(f"`{names[cost.arm]}`" for cost in best)
    return [f"The best trade-offs, by their medians: {said}. One of them beats each of the others."]


def _doubts(
    records: Sequence[Record],
    costs: Sequence[Cost],
    best: Sequence[Cost],
    calibrations: Calibrations,
) -> list[str]:
    """Which modes the one that is best in both may not be faster than."""
    if len(best) != 1:
        return []
    error = error_of(calibrations, "clock", TIME)
    names = _names(costs)
    unsure = []
    for cost in costs:
        if cost.alike and cost.arm != best[0].arm:
            found = times_as_long(records, TIME, cost.arm, best[0].arm, error=error)
            if found is None or found.verdict != "differs":
                unsure.append(f"`{names[cost.arm]}`")
    return [f"In time, it does not differ for sure from {listed(unsure)}."] if unsure else []


def _caveats(costs: Sequence[Cost], settings: Mapping[Collector, Collector]) -> list[str]:
    """What to know before believing it."""
    names = _names(costs)
    said = []
    if other := [f"`{names[cost.arm]}`" for cost in costs if not cost.alike]:
        verb = "makes" if len(other) == 1 else "make"
        said.append(f"{listed(other)}, hollow, {verb} no gradients and so is not ranked.")
    without = [cost for cost in costs if cost.sure is None]
    held = sorted({cost.sure.confidence for cost in costs if cost.sure})
    if held:
        said.append(f"Times with their intervals of {listed(map(share_text, held))}.")
    if without:
        fewer = f"fewer than {FEWEST} processes bear no interval"
        said.append(f"Of {_those(without, costs)}, the range of the times: {fewer}.")
    said += [
        f"Times with the {collector_text(timed)}, peaks with the {collector_text(at_peak)}."
        for timed, at_peak in settings.items()
        if timed != at_peak
    ]
    return said


def _those(some: Sequence[Cost], costs: Sequence[Cost]) -> str:
    names = _names(costs)
    every = len(some) == len(costs)
    return "all modes" if every else listed(f"`{names[cost.arm]}`" for cost in some)


def _names(costs: Iterable[Cost]) -> dict[Arm, str]:
    arms = [cost.arm for cost in costs]
    alone = share_collector(arms)
    return {a: arm_text(a, alone=alone) for a in arms}


def _draw(costs: Sequence[Cost], best: Sequence[Cost]) -> figure:
    names = _names(costs)
    floors = _floors(costs)
    multiplier, unit_of_time = second_unit(max(cost.reach[1] for cost in costs))
    heights = [*(cost.peak.high for cost in costs), *floors.values()]
    per, unit = byte_unit(max(heights))
    lowest = min([*(cost.peak.low for cost in costs), *floors.values()])
    log = 0 < lowest * FAR_APART < max(heights)
    ticks = byte_ticks(lowest, max(heights))

    def place(cost: Cost) -> Place:
        low, high = cost.reach
        at_least, at_most = cost.peak.low / per, cost.peak.high / per
        return Place(
            name=names[cost.arm],
            look=mode_look(cost.arm.mode),
            x=(cost.seconds.median * multiplier, low * multiplier, high * multiplier),
            y=(cost.peak.median / per, at_least, at_most),
            about=_about(cost),
            hollow=not cost.alike,
        )

    return against(
        [place(cost) for cost in costs],
        [(cost.seconds.median * multiplier, cost.peak.median / per) for cost in best],
        {said: floor / per for said, floor in floors.items()},
        x_title=f"elapsed time, {unit_of_time}",
        y_title="peak, log scale" if log else f"peak above the start, {unit}",
        ticks={at / per: said for at, said in ticks.items()} if log else None,
    )


def byte_ticks(low: float, high: float) -> dict[float, str]:
    """Round amounts of bytes for a logarithmic axis, three at least where there are as many."""
    coarse, fine = (1, 10, 100), (1, 2, 5, 10, 20, 50, 100, 200, 500)
    for steps in (coarse, fine):
        found = {
            float(n * size): f"{n}{GAP}{unit}"
            for size, unit in ((1, "B"), (KIB, "KiB"), (MIB, "MiB"), (GIB, "GiB"))
            for n in steps
            if low / 2 <= n * size <= high * 2
        }
        if len(found) > 2:
            break
    return found


def _floors(costs: Sequence[Cost]) -> dict[str, float]:
    """Each floor by whose it is; modes that do the same work have the same."""
    whose: dict[float, list[str]] = {}
    for cost in costs:
        if cost.floor and cost.floor.median > 0:
            whose.setdefault(cost.floor.median, []).append(cost.arm.mode)
    return {
        f"{bytes_text(floor)}, of {listed(dict.fromkeys(modes))}": floor
        for floor, modes in whose.items()
    }


def _about(cost: Cost) -> list[str]:
    """What the pointer is told: the time, the peak, and how far over the floor."""
    over = ratio(cost.peak, cost.floor) if cost.floor else None
    times = f", {times_text(over.median)} the floor" if over else ""
    peak = f"{bytes_text(cost.peak.median)} ({range_text(cost.peak, bytes_text)}){times}"
    work = "" if cost.alike else "makes no gradients"
    return [f"{seconds_text(cost.seconds.median)} ({_reach_text(cost)})", peak, work]


def _reach_text(cost: Cost) -> str:
    """`280 ms to 310 ms, 94 %`; the range, where there are too few processes."""
    if cost.sure is None:
        return range_text(cost.seconds, seconds_text)
    low, high = map(seconds_text, cost.reach)
    return f"{low} to {high}, {share_text(cost.sure.confidence)}"


def _table(
    records: Sequence[Record],
    costs: Sequence[Cost],
    best: Sequence[Cost],
    settings: Mapping[Collector, Collector],
    calibrations: Calibrations,
) -> Table:
    names = _names(costs)
    rows = []
    for cost in costs:
        over = ratio(cost.peak, cost.floor) if cost.floor else None
        cells = [
            seconds_text(cost.seconds.median),
            _reach_text(cost) + ("" if cost.sure else ", no interval"),
            bytes_text(cost.peak.median),
            range_text(cost.peak, bytes_text),
            times_text(over.median) if over else NONE,
            error_text(calibrations, "traced", PEAK),
            _rank(cost, best),
            f"{count_text(cost.seconds.n)} and {count_text(cost.peak.n)}",
        ]
        rows.append([names[cost.arm], *cells])
    columns = [
        "Mode",
        "Elapsed time",
        f"Its interval, of {share_text(CONFIDENCE)} at most",
        "Peak",
        "Lowest to highest",
        "Peak / L*",
        f"{COLUMN} of the peak",
        "Best trade-off",
        "Trials of the time and of the peak",
    ]
    origins = [Origin(subject(records[0]), _either(cost.arm, settings)) for cost in costs]
    return Table(TITLE, columns, rows, folded=True, origins=origins)


def _either(a: Arm, settings: Mapping[Collector, Collector]) -> Arm | None:
    """The case of both figures; None, for all of them, where they are of two."""
    return a if settings[a.collector] == a.collector else None


def _rank(cost: Cost, best: Sequence[Cost]) -> str:
    if not cost.alike:
        return "not ranked: no gradients"
    return "yes" if cost in best else "no"


def _data(costs: Sequence[Cost], best: Sequence[Cost]) -> Columns:
    """Every point with its intervals, in seconds and bytes."""
    return {
        "mode": [cost.arm.mode for cost in costs],
        "collector": [cost.arm.collector for cost in costs],
        "elapsed, seconds": [cost.seconds.median for cost in costs],
        "elapsed from, seconds": [cost.reach[0] for cost in costs],
        "elapsed to, seconds": [cost.reach[1] for cost in costs],
        "confidence": [cost.sure.confidence if cost.sure else None for cost in costs],
        "peak, bytes": [cost.peak.median for cost in costs],
        "peak lowest, bytes": [cost.peak.low for cost in costs],
        "peak highest, bytes": [cost.peak.high for cost in costs],
        "floor, bytes": [cost.floor.median if cost.floor else None for cost in costs],
        "best trade-off": [_rank(cost, best) for cost in costs],
    }
