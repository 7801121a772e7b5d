"""Words of the state as they stand in a Sample: each in its place, named as the kernel names it."""

from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import cow, fork, ksm, locks, memory_failure, migrate, readout, state
from rmapwatch.probes.decode import Watched

FACTS = KernelFacts(
    "",
    "",
    "",
    enums={
        "mf_action_page_type": {"MF_MSG_KERNEL": 0, "MF_MSG_DIRTY_LRU": 13},
        "migrate_reason": {"MR_COMPACTION": 0, "MR_SYSCALL": 3, "MR_TYPES": 9},
    },
)
LAYOUT = state.layout(["rmap_walk_anon"])


def watched(*attached: str, at_exit: bool = True) -> Watched:
    return Watched(0, 0, attached, at_exit)


def block(**words: dict[int, int]) -> state.Block:
    """A state in which nothing but these words of these members is set."""
    memory = [0] * LAYOUT.words("cpu_state")
    for member, values in words.items():
        start, _ = LAYOUT.find("cpu_state", member)
        for place, value in values.items():
            memory[start + place] = value
    return state.Block(LAYOUT, "cpu_state", memory)


def test_pages_and_passes_of_ksm() -> None:
    counts = readout.ksm_counts(
        block(
            ksm_pages={0: 101, 4: 13}, ksm_swapins={1: 5}, ksm_begun={0: 8}, ksm_scan={0: 7, 1: 99}
        ),
        watched("ksm_scan", "ksm_scan_end", "cow"),
    )
    assert counts.pages == dict.fromkeys(ksm.PAGES, 0) | {"shared": 101, "cow": 13}
    assert counts.swapins == dict.fromkeys(ksm.SWAPINS, 0) | {"copied": 5}
    assert (counts.begun, counts.scans.calls, counts.scans.ns) == (8, 7, 99)


def test_actions_have_the_kernels_names() -> None:
    recovered = memory_failure.RESULTS.index("MF_RECOVERED")
    place = 13 * len(memory_failure.RESULTS) + recovered
    counts = readout.failure_counts(block(actions={place: 3}, signals={1: 2}), FACTS)
    assert counts.actions["dirty_lru", "recovered"] == sum(counts.actions.values()) == 3
    assert set(counts.actions) == {
        (page, result) for page in ("kernel", "dirty_lru") for result in readout.results()
    }
    assert counts.signals == {("SIGBUS", "BUS_MCEERR_AR"): 0, ("SIGBUS", "BUS_MCEERR_AO"): 2}


def test_handlers_are_told_apart() -> None:
    cell = LAYOUT.words("call_cell")
    counts = readout.failure_counts(
        block(failures={cell: 2, cell + 1: 50}, failure_errors={1: 1}), FACTS
    )
    assert counts.handled["memory_failure"].calls == 0
    offline = counts.handled["soft_offline"]
    assert (offline.calls, offline.ns) == (2, 50)
    assert counts.errors == {"memory_failure": 0, "soft_offline": 1}


def test_the_results_have_the_kernels_numbers(kernel_facts: KernelFacts) -> None:
    assert len(kernel_facts.enums["mf_action_page_type"]) < memory_failure.TYPES
    numbers = kernel_facts.enums["mf_result"]
    assert [numbers[name] for name in memory_failure.RESULTS] == [0, 1, 2, 3]


def test_what_is_not_watched_is_absent() -> None:
    absent = {"ksm": None, "failures": None, "forks": None, "cow": None}
    assert readout.counts(block(), watched(), FACTS) == {
        **absent,
        "migrations": {},
        "lock_waits": {},
    }
    both = readout.counts(
        block(), watched("ksm_append", "memory_failure", "copy_process", "cow"), FACTS
    )
    assert both["forks"].vmas == 0
    assert set(both["forks"].steps) == {"copy_process"}
    assert both["forks"].clones == {}
    assert "moved" not in both["cow"].calls
    assert both["ksm"].begun is both["ksm"].scans is None
    assert both["failures"].handled["collect_procs"].calls == 0


def test_migrations_have_the_kernels_reasons() -> None:
    cell, call = LAYOUT.words("migration_cell"), LAYOUT.words("call_cell")
    at = 3 * cell
    words = block(
        migrations={at: 2, at + 1: 70, at + call: 211, at + call + 1: 5, at + call + 2: 1}
    )
    counts = readout.migration_counts(words, ("migrate_pages", "migrate_report"), FACTS)
    assert list(counts) == ["compaction", "syscall"]
    told = counts["syscall"]
    assert (told.calls, told.ns) == (2, 70)
    assert (told.succeeded, told.failed, told.split) == (211, 5, 1)
    assert counts["compaction"].calls == 0
    unreported = readout.migration_counts(words, ("migrate_pages",), FACTS)["syscall"]
    assert (unreported.calls, unreported.succeeded, unreported.failed) == (2, None, None)


def test_the_kernels_reasons_have_room(kernel_facts: KernelFacts) -> None:
    reasons = readout.reasons(kernel_facts)
    assert {"compaction", "syscall", "memory_failure"} <= set(reasons.values())
    assert "types" not in reasons.values()
    assert len(kernel_facts.enums["migrate_reason"]) <= migrate.REASONS


def test_waits_are_told_by_lock_mode_and_place() -> None:
    cell = LAYOUT.words("call_cell")
    place = (1 * 2 + 0) * 2 + 0  # i_mmap, read, inside of a walk
    waits = readout.lock_waits(block(waits={place * cell: 3, place * cell + 1: 90}), ("lock_read",))
    assert set(waits) == {(lock, "read", d) for lock in locks.LOCKS for d in locks.DURING}
    assert (waits["i_mmap", "read", "walk"].calls, waits["i_mmap", "read", "walk"].ns) == (3, 90)
    assert sum(each.calls for each in waits.values()) == 3
    writers = readout.lock_waits(block(), ("lock_write",))
    assert set(writers) == {(lock, "write", "other") for lock in locks.LOCKS}


ALL_STEPS = (*fork.FAILING, "cow", "cow_move")


def test_forks_and_chains_are_told_apart() -> None:
    cell, clone = LAYOUT.words("call_cell"), LAYOUT.words("clone_cell")
    of_clone, _ = LAYOUT.find("clone_cell", "links")
    enomem = fork.FAILING.index("dup_mmap") * len(fork.ERRORS)
    counts = readout.fork_counts(
        block(
            forks={cell * 3: 7, cell * 3 + 1: 900},
            clones={clone: 3, clone + of_clone: 5, clone + of_clone + 1 + 2: 1},
            fork_errors={enomem: 2},
            fork_vmas={0: 41},
            fork_pages={0: 228},
        ),
        watched(*ALL_STEPS),
    )
    assert (counts.steps["copy_page_range"].calls, counts.steps["copy_page_range"].ns) == (7, 900)
    assert sum(step.calls for step in counts.steps.values()) == 7
    assert {key: n for key, n in counts.errors.items() if n} == {("dup_mmap", "ENOMEM"): 2}
    assert (counts.clones["other"].calls, counts.clones["other"].links) == (3, 5)
    assert counts.clones["other"].links_slots[2] == 1
    assert counts.clones["fork"].calls == 0
    assert (counts.vmas, counts.pages) == (41, 228)


def test_one_fork_whose_pages_are_not_known() -> None:
    counts = readout.fork_counts(
        block(fork_pages={0: 228}, fork_unsummed={0: 1}), watched(*ALL_STEPS)
    )
    assert counts.pages is None


def test_writes_by_page_and_outcome() -> None:
    place = cow.PAGES.index("ksm") * len(cow.OUTCOMES) + cow.OUTCOMES.index("copied")
    moved = cow.OUTCOMES.index("moved") * LAYOUT.words("call_cell")
    counts = readout.cow_counts(block(cow_pages={place: 13}, cows={moved: 31}), watched(*ALL_STEPS))
    assert {key: n for key, n in counts.faults.items() if n} == {("ksm", "copied"): 13}
    assert {name: calls.calls for name, calls in counts.calls.items() if calls.calls} == {
        "moved": 31
    }


def test_the_errors_have_the_kernels_numbers() -> None:
    import errno

    from rmapwatch.kernels.changes import DEFINED

    for name in fork.ERRORS[:-1]:
        assert DEFINED[name].value == getattr(errno, name)


def test_without_a_look_at_memory_lengths_pages_and_outcomes_are_absent() -> None:
    other = cow.OUTCOMES.index("other") * LAYOUT.words("call_cell")
    blind = watched("ksm_append", *ALL_STEPS, at_exit=False)
    told = readout.counts(block(cows={other: 31, other + 1: 900}, clones={0: 3}), blind, FACTS)
    chains = told["forks"].clones["fork"]
    assert chains.calls == 3
    assert chains.links is chains.links_slots is None
    assert told["cow"].faults == {("unseen", "unseen"): 31}
    assert (told["cow"].calls["unseen"].calls, told["cow"].calls["unseen"].ns) == (31, 900)
    assert "cow" not in told["ksm"].pages
