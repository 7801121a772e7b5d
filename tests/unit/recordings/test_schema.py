"""Columns: what goes in comes out, what is not known is null, and every file explains itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rmapwatch.probes import events, ring
from rmapwatch.probes.sample import Sample
from rmapwatch.recordings import schema

EVENTS = pytest.mark.parametrize("event", list(events.EVENTS))
UNKNOWN_WORDS = ("unknown", "not seen", "are not watched", "without a")


@EVENTS
def test_events_come_back_as_they_were(event: str, records) -> None:
    told = records(event, 997)
    batch = schema.batch_of(event, told)
    batch.validate(full=True)
    assert batch.schema.equals(schema.of_stream(event), check_metadata=True)
    assert schema.records_of(event, batch).tolist() == told.tolist()


@EVENTS
def test_no_events_are_a_batch_too(event: str) -> None:
    none = schema.records_of(event, schema.batch_of(event, np.empty(0, ring.dtype(event))))
    assert none.dtype == ring.dtype(event)
    assert len(none) == 0


@EVENTS
def test_what_is_not_known_is_null(event: str, records) -> None:
    told = records(event, 30)
    batch = schema.batch_of(event, told)
    nullable = [member for member in events.fields(event) if member.unknown is not None]
    assert nullable
    for member in nullable:
        values = told[member.name].tolist()
        expected = [None if value == member.unknown else value for value in values]
        if member.names:
            expected = [None if value is None else member.names[value] for value in expected]
        assert batch.column(member.name).to_pylist() == expected
        assert None in expected


def test_given_up_is_no_unknown(records) -> None:
    """A reference check that was given up answers -1: a fact, not a gap."""
    told = records("reference", 3)
    told["result"] = (-1, 0, 2)
    assert schema.batch_of("reference", told).column("result").to_pylist() == [-1, 0, 2]


@EVENTS
def test_a_field_that_can_be_unknown_says_so_in_the_table(event: str) -> None:
    for member in events.EVENTS[event]:
        assert (member.unknown is not None) == any(w in member.doc for w in UNKNOWN_WORDS), member


def test_numbers_are_written_as_what_they_stand_for(records) -> None:
    told = records("walk", 3)
    told["op"], told["kind"], told["comm"] = (0, 1, 3), (0, 1, 2), (b"a", b"", b"\xff\0x")
    batch = schema.batch_of("walk", told)
    assert batch.column("op").to_pylist() == ["reference", "unmap", "restore"]
    assert batch.column("kind").to_pylist() == ["anon", "file", "ksm"]
    assert batch.column("comm").to_pylist() == ["a", "", "\\xff"]


@EVENTS
def test_a_file_explains_itself(event: str) -> None:
    for field, member in zip(schema.of_stream(event), schema.columns(event), strict=True):
        told = {key.decode(): value.decode() for key, value in field.metadata.items()}
        assert told["doc"] == member.doc.partition(";" if field.nullable else "\0")[0]
        assert told.get("unit", "") == member.unit
        assert field.name == member.name


def test_a_column_of_a_younger_version_is_absent(records) -> None:
    batch = schema.batch_of("walk", records("walk", 4))
    older = batch.drop_columns(["vmas"])
    assert schema.complaint("walk", older.schema) == ""
    assert schema.records_of("walk", older)["vmas"].tolist() == [-1] * 4
    assert "no column ns" in schema.complaint("walk", batch.drop_columns(["ns"]).schema)


def test_a_name_that_is_not_known_here_is_refused(records) -> None:
    told = records("walk", 2)
    batch = schema.batch_of("walk", told)
    place = batch.schema.get_field_index("op")
    names = schema.pa.array(["teleport", "unmap"]).dictionary_encode()
    foreign = batch.set_column(place, "op", names)
    with pytest.raises(ValueError, match="teleport"):
        schema.records_of("walk", foreign)


COUNTS = st.integers(0, 2**63 - 1)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_sample_comes_back_as_it_was(data: st.DataObject) -> None:
    with_small_integers = st.builds(Sample, time_ns=COUNTS, stray_steps=COUNTS, quiet=st.booleans())
    sample = data.draw(with_small_integers)
    assert list(schema.samples_of(schema.batch_of_sample(sample))) == [sample]


def test_a_real_sample_comes_back_as_it_was(sample) -> None:
    assert list(schema.samples_of(schema.batch_of_sample(sample(5, 3)))) == [sample(5, 3)]


def test_a_field_that_an_older_version_did_not_have_is_absent(sample) -> None:
    batch = schema.batch_of_sample(sample(5, 3)).drop_columns(["references"])
    assert next(schema.samples_of(batch)).references == {}


@pytest.mark.parametrize(
    "wrong", ['{"rmap_walk_anon": 3}', "[]", '{"x": {"entries": "many"}}', '{"x": {"exits": true}}']
)
def test_json_that_is_no_account_is_refused(wrong: str, sample) -> None:
    batch = schema.batch_of_sample(sample(5, 3))
    place = batch.schema.get_field_index("accounts")
    broken = batch.set_column(place, "accounts", schema.pa.array([wrong]))
    with pytest.raises(ValueError):
        list(schema.samples_of(broken))
