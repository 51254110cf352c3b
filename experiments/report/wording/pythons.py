"""What differs from Python to Python, in sentences made from the records of every environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.estimates import NOTHING_BYTES, Arm, ByCase, Estimate, Subject, by_case, differ
from experiments.report.reading import by_environment
from experiments.report.sections.matrix import named
from experiments.report.wording.words import bytes_text, counted, listed, subject_names, times_text
from experiments.trial import Record

Everywhere = Mapping[str, ByCase]  # environment -> its figures

ONE = (
    "Only one environment ran this: run it with another Python into the same folder, with `--join`."
)


def everywhere(records: Sequence[Record], reading: str) -> Everywhere:
    """A reading's estimates in each environment."""
    places = named(by_environment(records))
    return {place.name: by_case(place.records, reading) for place in places}


def cases_of(found: Everywhere) -> dict[tuple[Subject, Arm], dict[str, Estimate]]:
    """Each workload and arm that more than one environment has figures of, and those figures."""
    cases: dict[tuple[Subject, Arm], dict[str, Estimate]] = {}
    for place, by_subject in found.items():
        for subject, arms in by_subject.items():
            for arm, estimate in arms.items():
                cases.setdefault((subject, arm), {})[place] = estimate
    return {case: places for case, places in cases.items() if len(places) > 1}


def peaks_without_collector(records: Sequence[Record]) -> str:
    """Whether peaks differ where no collector has a part in them."""
    return _apart(records, "peak_bytes", "off", "With the collector off, peaks")


def cycles_apart(records: Sequence[Record]) -> str:
    """Whether the bytes that are left behind differ."""
    return _apart(records, "left_bytes", "off", "What is left behind with the collector off")


def _apart(records: Sequence[Record], reading: str, collector: str, what: str) -> str:
    cases = {
        case: places
        for case, places in cases_of(everywhere(records, reading)).items()
        if case[1].collector == collector
    }
    if not cases:
        return ONE
    apart = {case: places for case, places in cases.items() if _differ(places)}
    of = f"{counted(len(cases), 'pair')} of workload and mode"
    verb = "are" if what.endswith("s") else "is"
    if not apart:
        return f"{what} {verb} alike in every environment, on all {of}."
    most = max(apart, key=lambda case: _share(apart[case]))
    low, high = _extremes(apart[most])
    names = subject_names([subject for subject, _ in cases])
    return (
        f"{what} {verb} not the same in every environment on {len(apart)} of {of}, most on "
        f"`{names[most[0]]}` in `{most[1].mode}`: {bytes_text(apart[most][low].median)} in {low}, "
        f"{bytes_text(apart[most][high].median)} in {high}."
    )


def _differ(places: Mapping[str, Estimate]) -> bool:
    low, high = _extremes(places)
    return differ(places[low], places[high], nothing=NOTHING_BYTES)


def _share(places: Mapping[str, Estimate]) -> float:
    """How far apart the environments are, as a share of the highest."""
    low, high = _extremes(places)
    return (places[high].median - places[low].median) / (places[high].median or 1.0)


def _extremes(places: Mapping[str, Estimate]) -> tuple[str, str]:
    """The environments with the lowest and with the highest figure."""
    ranked = sorted(places, key=lambda place: places[place].median)
    return ranked[0], ranked[-1]


def strong_with_collector(records: Sequence[Record]) -> str:
    """How high strong references peak in each environment, with the collector to help them."""
    told = []
    for place, cases in everywhere(records, "peak_bytes").items():
        strong, weak = Arm("step16", "on"), Arm("step17", "on")
        ratios = {
            s: arms[strong].high / arms[weak].high
            for s, arms in cases.items()
            if strong in arms and weak in arms and arms[weak].high > 0
        }
        if ratios:
            most = max(ratios, key=lambda s: ratios[s])
            told.append(f"{times_text(ratios[most])} in {place} (`{most.workload}`)")
    if not told:
        return "What the collector makes of strong references was not measured in any environment."
    return (
        "With the collector on, the highest peak of `step16` over all phases was up to this many "
        f"times that of `step17`: {listed(told)}."
    )
