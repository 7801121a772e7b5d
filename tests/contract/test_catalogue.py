"""The tables are consistent with each other and with the C text."""

import re

import pytest
from rmapwatch.kernels.changes import CHANGES
from rmapwatch.probes import catalogue, events, rmap, source, state

C_TEXT = "\n".join(path.read_text() for path in sorted(source.BPF_DIR.glob("*.bpf.c")))


def test_names_are_unique_and_plain() -> None:
    names = [point.name for point in catalogue.POINTS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


@pytest.mark.parametrize("point", catalogue.POINTS, ids=lambda p: p.name)
def test_a_point_is_complete(point) -> None:
    assert point.summary.endswith((".", "?")) or "." in point.summary
    assert point.overhead
    assert point.metrics
    assert all(metric.startswith("rmapwatch_") for metric in point.metrics)
    assert point.entry or point.exit
    for call in filter(None, (point.entry, point.exit)):
        handler = call.partition("(")[0]
        assert f"static inline int {handler}(struct args *a" in C_TEXT, handler
    for src in point.sources:
        assert set(src.args) <= set(source.ARGUMENTS)
        assert not src.change or src.change in CHANGES, src.change


def test_each_callback_serves_one_op() -> None:
    callbacks = [callback for op in rmap.OPS for callback in op.callbacks]
    assert len(set(callbacks)) == len(callbacks)


def test_records_have_the_stride_of_the_ring() -> None:
    for event in events.EVENTS:
        used = events.offsets(event)
        last = events.fields(event)[-1]
        assert used[last.name] + last.size <= events.STRIDE - events.HEADER
    assert 4096 % events.STRIDE == 0


def test_every_define_that_the_c_text_uses_is_made(kernel_facts) -> None:
    candidates = source_candidates(kernel_facts)
    text = source.c_source(candidates, kernel_facts, source.Build(2, {}))
    defined = set(re.findall(r"#define (\w+)", text))
    used = set(
        re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", re.sub(r"/\*.*?\*/|//[^\n]*", "", C_TEXT, flags=re.S))
    )
    known = {"BPF_F_TABLE", "BPF_F_MMAPABLE", "BPF_RINGBUF_OUTPUT", "NULL", "ULL"}
    known |= {"BPF_PSEUDO_MAP_VALUE"}  # of linux/bpf.h, which bcc includes
    assert used - defined - known == set()


def source_candidates(facts):
    from rmapwatch.probes.resolve import resolve_all

    return resolve_all(catalogue.POINTS, facts)[0]


def test_bounds_of_the_histograms() -> None:
    counts = [state.count_bound(slot) for slot in range(state.SLOTS)]
    assert counts[:19] == [*range(17), 32, 64]
    assert counts[-1] is None
    durations = [state.duration_bound_ns(slot) for slot in range(state.SLOTS)]
    assert durations[0] == 1
    assert durations[34] == 1 << 34
    assert durations[-1] is None
