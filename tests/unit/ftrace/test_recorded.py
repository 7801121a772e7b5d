"""The bytes of trace buffers: every event is read, every call is followed or given up."""

import numpy as np
import pytest
from rmapwatch.probes import rmap, state
from rmapwatch.probes.ftrace import pages
from traced import SERIES, Recorded, buffers, with_page_lost

every = pytest.mark.parametrize("series", SERIES)

OF_CALLS = ("rmap_walk_anon", "rmap_walk_file", "reference_check", "reclaim_memcg", "reclaim_batch")


def test_the_oldest_and_the_newest_are_there() -> None:
    assert {"5.10", "7.3"} <= set(SERIES)
    assert len(buffers("lossy")) > 1


@every
def test_as_many_events_are_read_as_the_kernel_ran_into(series: str) -> None:
    recorded = Recorded.of(series)
    followed = recorded.followed("whole", recorded.pages("whole"))
    hits = recorded.hits("whole")
    assert sum(told.hits for told in hits.values()) > 100
    assert {name: followed.kinds[name].seen for name in hits} == {
        name: told.hits for name, told in hits.items()
    }


@every
def test_every_call_is_followed(series: str) -> None:
    recorded = Recorded.of(series)
    followed = recorded.followed("whole", recorded.pages("whole"))
    for probe in OF_CALLS:
        account = followed.account(probe)
        assert account["entries"] == account["exits"], probe
        assert account["stale"] == account["unmatched"] == 0, probe
    assert followed.account("rmap_walk_anon")["entries"] > 10
    assert not any(followed.follower.open.values())
    assert followed.block["stray_steps"] == 0
    walks = followed.walks
    names = {(rmap.OPS[walk["op"]].name, rmap.KINDS[walk["kind"]]) for walk in walks}
    assert {("reference", "anon"), ("unmap", "anon")} <= names
    assert 1 in {walk["vmas"] for walk in walks if rmap.OPS[walk["op"]].name == "unmap"}
    assert all(0 < walk["ns"] < 1_000_000_000 for walk in walks)


@every
def test_a_lost_page_makes_no_wrong_number(series: str) -> None:
    """Whatever page is lost: all that is still told was told without the loss, and so long."""
    recorded = Recorded.of(series)
    found = recorded.pages("whole")
    truth = recorded.followed("whole", found)
    all_walks = told_of(truth.walks)
    not_told = 0
    for lost in range(len(found) - 1):
        if found[lost][0] != found[lost + 1][0]:
            continue  # the last page of a CPU: nobody knows yet
        followed = recorded.followed("whole", with_page_lost(found, lost))
        told = told_of(followed.walks)
        assert told < all_walks
        for name in ("batches", "stalls", "isolations", "shrunk", "references"):
            assert no_more(followed.block, truth.block, name), (lost, name)
        account = followed.account("rmap_walk_anon")
        assert account["entries"] == account["exits"] + account["stale"] + len(
            followed.follower.open["walk"]
        )
        not_told += len(all_walks - told)
        assert followed.merger.gaps == 1
    assert not_told


def told_of(walks: np.ndarray) -> set[tuple[int, ...]]:
    """What tells walks apart, and what is counted of them."""
    return set(walks[["tid", "time", "ns", "op", "vmas"]].tolist())


def no_more(told: state.Block, truth: state.Block, member: str) -> bool:
    """Whether nothing is counted in a cell in which it was not without a loss."""
    start, found = told._layout.find("cpu_state", member)
    end = start + found.count * (told._layout.words(found.struct) if found.struct else 1)
    return all(told._words[at] <= truth._words[at] for at in range(start, end))


@pytest.mark.parametrize(("series", "which"), buffers("lossy"))
def test_what_was_overwritten_is_known(series: str, which: str) -> None:
    recorded = Recorded.of(series)
    followed = recorded.followed(which, recorded.pages(which))
    assert followed.merger.gaps
    for name, told in recorded.hits(which).items():
        assert followed.kinds[name].seen <= told.hits
    lost = sum(h.hits - followed.kinds[n].seen for n, h in recorded.hits(which).items())
    assert lost > 100


@every
def test_a_page_that_is_cut_short_is_refused(series: str) -> None:
    recorded = Recorded.of(series)
    page = max((page for _, page in recorded.pages("whole")), key=lambda page: page[8:10][::-1])
    with pytest.raises(ValueError, match=r"page|record"):
        pages.cut(page[:1000], recorded.shape)
    with pytest.raises(ValueError, match="form"):
        pages.layout(recorded.told["header_page"], "padding : type == 28")
