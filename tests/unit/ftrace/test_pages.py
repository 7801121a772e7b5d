"""Pages made by hand: every kind of record, and what is none."""

import struct

import pytest
from rmapwatch.probes.ftrace import formats, pages
from rmapwatch.probes.ftrace.buffers import reader
from rmapwatch.probes.ftrace.instance import Hits, profile

SHAPE = pages.Layout(8, 16, 4096)
MISSED = 1 << 31


def page(*records: bytes, time: int = 1000, flags: int = 0) -> bytes:
    data = b"".join(records)
    return struct.pack("<QQ", time, len(data) | flags) + data + bytes(4080 - len(data))


def record(delta: int, payload: bytes) -> bytes:
    return struct.pack("<I", delta << 5 | len(payload) // 4) + payload


def test_times_add_up_whatever_lies_between() -> None:
    long = struct.pack("<II", 7 << 5, 4 + 200) + bytes(200)
    extend = struct.pack("<II", 5 << 5 | 30, 1)
    stamp = struct.pack("<II", 9 << 5 | 31, 3)
    discarded = struct.pack("<II", 2 << 5 | 29, 8) + bytes(4)
    cut = pages.cut(
        page(record(0, bytes(8)), record(3, bytes(112)), long, extend, record(1, bytes(4)),
             stamp, record(1, bytes(4)), discarded, record(1, bytes(4))), SHAPE
    )  # fmt: skip
    after_extend = 1010 + (1 << 27) + 6
    after_stamp = (3 << 27) + 9
    assert [time for time, _ in cut.records] == [
        1000, 1003, 1010, after_extend, after_stamp + 1, after_stamp + 4
    ]  # fmt: skip
    assert [at for _, at in cut.records[:3]] == [20, 32, 16 + 12 + 116 + 8]
    assert not cut.missed


def test_a_stamp_keeps_the_upper_bits_of_the_time() -> None:
    stamp = struct.pack("<II", 9 << 5 | 31, 3)
    cut = pages.cut(page(stamp, record(0, bytes(4)), time=5 << 59), SHAPE)
    assert cut.records[0][0] == (5 << 59) + (3 << 27) + 9


def test_padding_ends_the_page_and_a_loss_is_told() -> None:
    end = struct.pack("<I", 29)
    cut = pages.cut(page(record(1, bytes(4)), end, bytes(40), flags=MISSED | 1 << 30), SHAPE)
    assert (len(cut.records), cut.missed) == (1, True)


@pytest.mark.parametrize(
    "broken", [struct.pack("<I", 30), struct.pack("<I", 28), b"\x1c\0\0\0aaaa"]
)
def test_a_record_beyond_the_end_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="record"):
        pages.cut(page(record(1, bytes(4)), broken), SHAPE)


FORMAT = """\
name: some
ID: 1293
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;
\tfield:u8 locked;\toffset:16;\tsize:1;\tsigned:0;
\tfield:s32 count;\toffset:17;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] comm;\toffset:21;\tsize:4;\tsigned:1;

print fmt: "(%lx) locked=%u"
"""


def test_values_are_read_where_the_format_says() -> None:
    form = formats.parse(FORMAT)
    assert form.number == 1293
    assert set(form.places) == {"__probe_ip", "locked", "count", "comm"}
    event = struct.pack("<HBBiQBiI", 1293, 0, 0, 7, 1, 200, -1, 25 | 6 << 16) + b"storm\0zz"
    read = reader(form, {name: name for name in ("comm", "count", "locked")})
    assert read(b"??" + event, 2) == {
        "locked": 200, "count": -1, "comm": int.from_bytes(b"storm", "little")
    }  # fmt: skip
    assert reader(form, {})(event, 0) == {}


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="format"):
        formats.parse(FORMAT.replace("offset:4;", "offset:8;", 1))


def test_the_profile_tells_hits_and_misses() -> None:
    long = "a_name_that_is_longer_than_44_characters_7"
    assert profile(f"  walk_in_7          833         2\n  {long} 1 0\n") == {
        "walk_in_7": Hits(833, 2), long: Hits(1, 0)
    }  # fmt: skip
