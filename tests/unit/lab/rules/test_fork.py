"""The rules of fork: they hold on what is right, and fail on the one thing made wrong."""

import copy
import dataclasses

import pytest
import samples
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.lab.rules import fork as rules
from rmapwatch.lab.rules.row import Run
from samples import records, sample

KINDS = {"anon": (7, 35), "empty": (11, 0), "file": (13, 65), "written": (5, 25), "left": (17, 85)}
LEDGER = {
    "parent": 100,
    "pages": 5,
    "bare": 101,
    "full": 102,
    "vmas": [
        {"kind": k, "vmas": v, "pages": p, "born": p if k in rules.LINKED else 0}
        for k, (v, p) in KINDS.items()
    ],
    "alive": [201, 202, 203, 204],
    "gone": [301, 302, 303, 304],
    "mappings": [5] * 5,
    "failures": 2,
}
FAILED = {"tgid": 100, "returned": -12, "vmas": -1, "pages": -1}
FORKS = [
    {"tgid": 100, "child": 101, "vmas": 10, "linked": 4, "links": 4, "longest": 1, "pages": 40},
    {"tgid": 100, "child": 102, "vmas": 46, "linked": 16, "links": 16, "longest": 1, "pages": 100},
    *({"child": 201 + n, "longest": 1 + n} for n in range(4)),
    *({"child": 301 + n, "longest": min(1 + n, 3)} for n in range(4)),
    FAILED,
    FAILED,
]


def run(facts: KernelFacts, ledger: dict = LEDGER, forks: list = FORKS, failed: int = 2) -> Run:
    counts = samples.fork_counts(1)
    errors = counts.errors | {("copy_process", "ENOMEM"): failed}
    made = dataclasses.replace(sample(1, 1), forks=dataclasses.replace(counts, errors=errors))
    return samples.run(ledger, sample=made, fork=records("fork", forks), kernel=facts)


def wrong(made: Run) -> list[str]:
    return [row.rule for row in rules.fork_dup(made) if row.agrees is False]


def test_forks_as_they_should_be(kernel_facts: KernelFacts) -> None:
    rows = {row.rule: row for row in rules.fork_dup(run(kernel_facts))}
    silent = {rule for rule, row in rows.items() if row.agrees is not True}
    # Nothing was in the empty ones; and the kernel of this Sample inlines dup_mmap.
    assert silent == {
        "pages of empty VMAs in the child's /proc/self/pagemap",
        "dup_mmap returned -ENOMEM",
    }
    assert rows["dup_mmap returned -ENOMEM"].explained
    assert not wrong(run(kernel_facts))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"vmas": 45}, "VMAs that the child is born with"),
        ({"linked": 17}, "VMAs that are linked to an anon_vma"),
        ({"links": 17}, "links to anon_vmas that are copied"),
        ({"pages": 101}, "pages that the child is born with"),
    ],
)
def test_a_child_with_more_or_less(kernel_facts: KernelFacts, change: dict, broken: str) -> None:
    forks = [FORKS[0], FORKS[1] | change, *FORKS[2:]]
    assert wrong(run(kernel_facts, forks=forks)) == [broken]


def test_pages_that_are_not_known(kernel_facts: KernelFacts) -> None:
    forks = [FORKS[0] | {"pages": -1}, *FORKS[1:]]
    rows = list(rules.fork_dup(run(kernel_facts, forks=forks)))
    (pages,) = [row for row in rows if row.rule == "pages that the child is born with"]
    assert (pages.agrees, pages.observed) == (None, None)


def test_chains_whose_length_is_not_seen(kernel_facts: KernelFacts) -> None:
    rows = list(rules.fork_dup(samples.run_by_events(run(kernel_facts))))
    assert [row.rule for row in rows if row.agrees is False] == []
    untold = [row for row in rows if row.explained == (("the length of chains is not seen", 0),)]
    assert len(untold) == 3
    assert {row.agrees for row in untold} == {None}


def test_one_chain_whose_end_is_not_seen_is_wrong(kernel_facts: KernelFacts) -> None:
    (broken,) = wrong(
        run(kernel_facts, forks=[*FORKS[:9], FORKS[9] | {"longest": -1}, *FORKS[10:]])
    )
    assert broken.startswith("chains copied while earlier generations are gone")


def test_a_fork_that_was_not_seen(kernel_facts: KernelFacts) -> None:
    assert wrong(run(kernel_facts, forks=FORKS[1:])) == ["forks of the two children"]
    (broken,) = wrong(run(kernel_facts, forks=[*FORKS[:5], *FORKS[6:]]))
    assert broken.startswith("chains copied while earlier generations live on")
    (broken,) = wrong(run(kernel_facts, forks=[*FORKS[:9], FORKS[9] | {"longest": 4}, *FORKS[10:]]))
    assert broken == "chains copied while earlier generations are gone: 1, 2, 3, 3"


@pytest.mark.parametrize("kind", ["file", "anon"])
def test_pages_that_a_child_has_and_should_not(kernel_facts: KernelFacts, kind: str) -> None:
    ledger = copy.deepcopy(LEDGER)
    next(row for row in ledger["vmas"] if row["kind"] == kind)["born"] += 1
    assert wrong(run(kernel_facts, ledger)) == [
        f"pages of {kind} VMAs in the child's /proc/self/pagemap"
    ]


def test_a_page_that_one_generation_does_not_map(kernel_facts: KernelFacts) -> None:
    assert wrong(run(kernel_facts, LEDGER | {"mappings": [5, 5, 4, 5, 5]})) == [
        "pages that 5 generations map, by /proc/kpagecount"
    ]


def test_failures(kernel_facts: KernelFacts) -> None:
    assert wrong(run(kernel_facts, forks=FORKS[:-1])) == ["forks that failed for want of memory"]
    assert wrong(run(kernel_facts, failed=3)) == ["copy_process returned -ENOMEM"]
