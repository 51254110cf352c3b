"""Trial and Record: what goes through JSON comes back, and nonsense is refused by name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.trial import SCHEMA, Record, RecordError, Trial, read_records

NAMES = st.text(min_size=1, max_size=8)
VALUES = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
NUMBERS = st.dictionaries(NAMES, st.floats(allow_nan=False, allow_infinity=False), max_size=3)
TRIALS = st.builds(
    Trial,
    study=NAMES,
    workload=NAMES,
    parameters=st.dictionaries(NAMES, VALUES, max_size=3),
    mode=NAMES,
    instrument=NAMES,
    collector=st.sampled_from(["on", "off", "each step"]),
    repeat=st.integers(0, 99),
    seed=st.integers(0, 99),
)
RECORDS = st.builds(
    Record,
    trial=TRIALS,
    outcome=st.sampled_from(["ok", "failed", "timed out", "killed"]),
    readings=NUMBERS,
    results=NUMBERS,
    unavailable=st.dictionaries(NAMES, st.text(), max_size=2),
    details=st.dictionaries(NAMES, st.lists(st.integers()), max_size=2),
    error=st.text(),
    phase=st.text(),
)


def a_trial(**changes):
    return Trial(
        **{
            "study": "a study",
            "workload": "chain",
            "parameters": {"length": 3},
            "mode": "lean",
            "instrument": "traced",
            **changes,
        }
    )


@given(RECORDS)
def test_a_record_comes_back_from_its_line(record):
    assert Record.from_line(record.to_line()) == record


@given(RECORDS)
def test_a_record_is_one_line(record):
    assert record.to_line().count("\n") == 1


@given(TRIALS)
def test_a_trial_comes_back_with_the_same_key(trial):
    back = Trial.from_line(trial.to_line())
    assert back == trial
    assert back.key == trial.key


def test_every_field_of_a_trial_is_in_its_key():
    changes = [
        {"study": "b"},
        {"workload": "b"},
        {"parameters": {"length": 4}},
        {"mode": "step16"},
        {"instrument": "clock"},
        {"collector": "on"},
        {"repeat": 1},
        {"seed": 1},
    ]
    keys = {a_trial(**change).key for change in [{}, *changes]}
    assert len(keys) == len(changes) + 1


def broken(**changes):
    """The line of a record of which some values were edited; None takes a field out."""
    found = json.loads(Record(a_trial(), "ok").to_line())
    for name, value in changes.items():
        within = found["trial"] if name.startswith("trial_") else found
        name = name.removeprefix("trial_")
        if value is None:
            del within[name]
        else:
            within[name] = value
    return json.dumps(found)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "a record is a JSON object"),
        (broken(schema=SCHEMA + 1), f"schema: {SCHEMA + 1}"),
        (broken(schema=None), "schema: None"),
        (broken(outcome="perhaps"), "outcome: 'perhaps', and allowed are ok, failed"),
        (broken(outcome=["ok"]), "outcome"),
        (broken(colour="red"), "colour: no such field; there are trial, outcome"),
        (broken(outcome=None), "outcome: this field is missing"),
        (broken(readings=[1]), "readings: Mapping"),
        (broken(readings={"peak_bytes": "much"}), "readings.peak_bytes"),
        (broken(error=7), "error: str is needed"),
        (broken(trial="chain"), "trial: an object is needed"),
        (broken(trial=None), "trial: an object is needed"),
        (broken(trial_mode=None), "trial.mode: this field is missing"),
        (broken(trial_mode=7), "trial.mode: str is needed"),
        (broken(trial_repeat="two"), "trial.repeat: int is needed"),
        (broken(trial_collector="never"), "trial.collector: 'never', and allowed are on, off"),
        (broken(trial_parameters={"length": [3]}), "trial.parameters.length"),
        (broken().replace('"readings": {}', '"readings": {"loss": NaN}'), "NaN"),
    ],
)
def test_what_is_no_record_is_refused_by_name(line, said):
    with pytest.raises(RecordError) as caught:
        Record.from_line(line)
    assert said in str(caught.value)


def test_a_record_that_json_cannot_hold_is_not_written():
    with pytest.raises(ValueError, match="JSON"):
        Record(a_trial(), "ok", readings={"loss": float("nan")}).to_line()


def test_a_file_of_records_says_where_it_is_wrong(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(Record(a_trial(), "ok").to_line() + broken(outcome="perhaps") + "\n")
    with pytest.raises(RecordError, match=r"records\.jsonl, line 2: outcome: 'perhaps'"):
        read_records(path)


def test_a_file_of_records_is_read_in_its_order(tmp_path):
    path = tmp_path / "records.jsonl"
    records = [Record(a_trial(repeat=n), "ok") for n in (2, 0, 1)]
    path.write_text("".join(record.to_line() for record in records))
    assert read_records(path) == records
