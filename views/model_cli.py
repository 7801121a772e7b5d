"""
`rmapwatch model`: the reference model by itself. Parses, asks the model, prints.

Every command takes --json; those with a curve take -o FILE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .. import errors
from ..kernels.semantics import Semantics, after, before
from ..model import (
    fork_storm,
    ksm,
    lru,
    mapping,
    memory_failure,
    references,
    rmap,
    scenarios,
)
from . import model_plots
from .model_show import (
    Count,
    Json,
    Kernels,
    Output,
    choice,
    draw_to,
    figure,
    kernels,
    kernels_with,
    new_table,
    show,
)

app = typer.Typer(
    no_args_is_help=True,
    help="The reference model by itself: what the kernel's rules say, without a kernel.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Beyond this many children a storm is answered in closed form.
SIMULATED_CHILDREN = 2_000


# used-once


@app.command("used-once")
def used_once(
    memory: Count = 1000,
    working_set: Count = 300,
    stream: Annotated[int, typer.Option(min=0, help="New pages a round, each used once.")] = 600,
    rounds: Count = 16,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Show which pages of a working set survive a stream, before and after commit 645747462435."""
    load = lru.Stream(memory, working_set, stream, rounds)
    if working_set > memory:
        raise errors.UsageError(
            f"--working-set {working_set}", f"it does not fit into --memory {memory}"
        )
    found = {
        "before": lru.survive(before("used_once"), load),
        "after": lru.survive(after("used_once"), load),
    }
    table = new_table(
        "Mapped file pages, two-list LRU, commit 645747462435",
        "", "before", "after",
    )  # fmt: skip
    late = rounds // 2
    for name, value in (
        ("survivors of the working set", lambda each: len(each.survivors)),
        ("refaults in the second half", lambda each: sum(each.refaults[late:])),
        ("stream pages activated", lambda each: each.activated_stream),
    ):
        table.add_row(name, *(f"{value(each):,}" for each in found.values()))
    table.caption = (
        f"{memory:,} page frames, a working set of {working_set:,} pages, "
        f"{rounds} rounds of {stream:,} pages used once"
    )
    draw_to(
        output,
        lambda path: model_plots.used_once(
            path, working_set, {name: each.refaults for name, each in found.items()}
        ),
    )
    data = {"workload": asdict(load), **{name: asdict(each) for name, each in found.items()}}
    show(as_json, data, table)


# fork-storm


@app.command("fork-storm")
def storm(
    children: Count = 1000,
    pages: Annotated[int, typer.Option(min=1, help="Anonymous pages of the parent.")] = 1000,
    cowed: Annotated[
        int | None, typer.Option(min=0, help="How many children write to all of them.")
    ] = None,
    first: Annotated[
        bool, typer.Option("--first", help="The first children write, not the last.")
    ] = False,
    closed_form: Annotated[
        bool, typer.Option("--closed-form", help="Do not simulate, whatever the size.")
    ] = False,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Show the VMAs linked to a page, and entered by a walk, before and after 5beb49305251."""
    load = fork_storm.Storm(children, pages, cowed, not first)
    if load.writers > children:
        raise errors.UsageError(f"--cowed {cowed}", f"there are only {children} children")
    simulated = children <= SIMULATED_CHILDREN and not closed_form
    answer = fork_storm.simulate if simulated else fork_storm.closed_form
    old, new = (answer(rules("anon_vma_chains"), load) for rules in (before, after))
    draw_to(output, lambda path: _draw_storm(path, load))
    data = {
        "children": children,
        "pages": pages,
        "cowed": load.writers,
        "method": "simulation" if simulated else "closed form",
        "mean_linked_before": old.mean_linked,
        "mean_linked_after": new.mean_linked,
        "mean_entered_before": old.mean_entered,
        "mean_entered_after": new.mean_entered,
        "before": [asdict(each) for each in old.classes],
        "after": [asdict(each) for each in new.classes],
    }
    show(as_json, data, _storm_table(str(data["method"]), old, new))


def _storm_table(method: str, old: fork_storm.StormCost, new: fork_storm.StormCost) -> Table:
    table = new_table("VMAs for each page, mean", "", "VMAs", "before", "after", left=2)
    for was, now in zip(old.classes, new.classes, strict=True):
        name = f"{was.name} ({was.pages:,})"
        for kind in ("linked", "entered", "restored"):
            values = getattr(was, kind), getattr(now, kind)
            table.add_row(name, _MEASURES[kind], *map(figure, values))
            name = ""
        table.add_section()
    name = f"all pages ({old.pages:,})"
    table.add_row(name, _MEASURES["linked"], figure(old.mean_linked), figure(new.mean_linked))
    table.add_row("", _MEASURES["entered"], figure(old.mean_entered), figure(new.mean_entered))
    table.caption = f"commit 5beb49305251, by {method}; a walk's figure: VMAs entered"
    return table


_MEASURES = {
    "linked": "linked",
    "entered": "reference walk",
    "restored": "restore walk",
}


def _draw_storm(path: Path, load: fork_storm.Storm) -> None:
    """The cost curves: every child writes, from ten children to at least a hundred thousand."""
    top = max(load.children, 100_000)
    sizes = sorted({int(10 * (top / 10) ** (step / 60)) for step in range(61)})
    scans = {
        f"{name} 5beb49305251": [
            float(fork_storm.closed_form(rules, fork_storm.Storm(size, load.pages)).scan)
            for size in sizes
        ]
        for name, rules in (
            ("before", before("anon_vma_chains")),
            ("after", after("anon_vma_chains")),
        )
    }
    model_plots.fork_storm(path, load.pages, sizes, scans)


# cow-reuse


@app.command("cow-reuse")
def cow_reuse(
    children: Count = 16,
    kernel: Kernels = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Show a page whose last sharer writes to it: reused or copied, moved or not, and its walks."""
    chosen = kernels(kernel)
    found = {name: scenarios.last_sharer(rules, children) for name, rules in chosen.items()}
    table = new_table(
        f"A page of the parent that the last of {children} children alone still maps, and writes",
        "kernel", "do_wp_page()", "reference walk", "restore walk", left=2,
    )  # fmt: skip
    for name, row in found.items():
        table.add_row(
            name,
            row.outcome.value,
            f"{row.reference_before} -> {row.reference_after}",
            f"{row.restore_before} -> {row.restore_after}",
        )
    table.caption = "VMAs entered, before and after the write"
    draw_to(output, lambda path: _draw_reuse(path, chosen, children))
    rows = {name: asdict(row) for name, row in found.items()}
    show(as_json, {"children": children, "kernels": rows}, table)


def _draw_reuse(path: Path, kernels: Mapping[str, Semantics], children: int) -> None:
    sizes = sorted({max(1, children * step // 8) for step in range(1, 9)})
    model_plots.lines(
        path,
        "A restore walk of a page reused by its last sharer",
        ("child processes", "VMAs entered"),
        sizes,
        {
            name: [scenarios.last_sharer(rules, size).restore_after for size in sizes]
            for name, rules in kernels.items()
        },
    )


# ksm


@app.command("ksm")
def ksm_walk(
    pages: Annotated[int, typer.Option(min=2, help="Equal pages of one process.")] = 4,
    forks: Annotated[int, typer.Option(min=0, help="Children forked after the merge.")] = 3,
    scanned: Annotated[
        bool, typer.Option("--scanned", help="ksmd has been round since the forks.")
    ] = False,
    max_page_sharing: Annotated[int, typer.Option(min=2)] = ksm.MAX_PAGE_SHARING,
    kernel: Kernels = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """Show the walks of a KSM page that fork duplicated, and ksmd's counters after the merge."""
    chosen = kernels_with(kernel, "ksm")
    walks = {
        name: _by_name(scenarios.ksm_walks(rules, pages, forks, scanned))
        for name, rules in chosen.items()
    }
    merged = {
        name: asdict(ksm.merge(rules, [0] * pages, 3, max_page_sharing))
        for name, rules in chosen.items()
    }
    first = new_table(
        f"VMAs entered for one stable node: {pages} sharers, then {forks} forks",
        "kernel", *(op.name.lower() for op in scenarios.OPS),
    )  # fmt: skip
    names = [key.removeprefix("pages_") for key in next(iter(merged.values()))]
    second = new_table(
        "ksmd after three full scans",
        "kernel", *(key.removeprefix("stable_node_") for key in names),
    )  # fmt: skip
    for name in chosen:
        first.add_row(name, *map(str, walks[name].values()))
        second.add_row(name, *map(str, merged[name].values()))
    draw_to(output, lambda path: _draw_ksm(path, pages, max(forks, 1), scanned))
    data = {"pages": pages, "forks": forks, "scanned": scanned}
    show(as_json, {**data, "entered": walks, "counters": merged}, first, second)


def _by_name(walks: Mapping[rmap.Op, int]) -> dict[str, int]:
    return {op.name.lower(): entered for op, entered in walks.items()}


def _draw_ksm(path: Path, pages: int, forks: int, scanned: bool) -> None:
    sizes = list(range(forks + 1))
    rules = {
        "one pass (before db114b83ab60)": before("ksm_anon_vma"),
        "two passes (since)": after("ksm_migration"),
    }
    model_plots.lines(
        path,
        f"An unmap walk of a KSM page with {pages} sharers in the parent",
        ("forks", "VMAs entered"),
        sizes,
        {
            name: [scenarios.ksm_walks(each, pages, size, scanned)[rmap.Op.UNMAP] for size in sizes]
            for name, each in rules.items()
        },
    )


# memory-failure


@app.command("memory-failure")
def failure(
    kind: Annotated[str, typer.Option(help="anon, file, ksm, hugetlb, free, slab, ...")] = "anon",
    injector: Annotated[
        str, typer.Option(help="madvise, corrupt-pfn, action-optional or action-required.")
    ] = "madvise",
    clean: Annotated[bool, typer.Option("--clean")] = False,
    swapcache: Annotated[bool, typer.Option("--swapcache")] = False,
    mlocked: Annotated[bool, typer.Option("--mlocked")] = False,
    thp: Annotated[bool, typer.Option("--unsplittable-thp")] = False,
    stuck: Annotated[bool, typer.Option("--unmap-fails")] = False,
    poisoned: Annotated[bool, typer.Option("--already-poisoned")] = False,
    early_kill: Annotated[
        bool, typer.Option("--early-kill", help="vm.memory_failure_early_kill=1.")
    ] = False,
    kernel: Kernels = None,
    as_json: Json = False,
) -> None:
    """Show what is done about a poisoned page, and who gets which signal."""
    page = memory_failure.PoisonedPage(
        choice(memory_failure.Kind, "--kind", kind),
        dirty=not clean, swapcache=swapcache, mlocked=mlocked,
        thp=thp, splits=not thp, unmaps=not stuck, poisoned=poisoned,
    )  # fmt: skip
    way = choice(memory_failure.Injector, "--injector", injector)
    found = {
        name: _failure(rules, page, way, early_kill) for name, rules in kernels(kernel).items()
    }
    table = new_table(
        f"{page.kind.value}, {'clean' if clean else 'dirty'}, by {way.value}",
        "kernel", "type", "result", "caller", "early killer", "other", left=6,
    )  # fmt: skip
    for name, row in found.items():
        sent = (row["signals"].get(who, "-") for who in ("caller", "early_killer", "other"))
        event = (row["type"] or "no event").removeprefix("MF_MSG_")
        result = f"{row['result'] or '-'} ({row['returns']})"
        table.add_row(name, event, result, *(text.split("_")[-1] for text in sent))
    table.caption = (
        "Three processes map the page. AR, AO: SIGBUS with BUS_MCEERR_AR, BUS_MCEERR_AO.\n"
        "  In brackets what memory_failure() returns."
    )
    show(as_json, {"injector": way.value, "page": asdict(page), "kernels": found}, table)


def _failure(
    rules: Semantics,
    page: memory_failure.PoisonedPage,
    way: memory_failure.Injector,
    early_kill: bool,
) -> dict[str, Any]:
    try:
        flags = memory_failure.injector_flags(rules, way)
    except ValueError as error:
        raise errors.UsageError(f"--injector {way.value}", str(error)) from None
    who = ("caller", "early_killer", "other")
    tasks = (
        memory_failure.Task(0, current=True),
        memory_failure.Task(1, policy=memory_failure.Policy.EARLY),
        memory_failure.Task(2),
    )
    done = memory_failure.memory_failure(rules, page, flags)
    sent = memory_failure.signals(rules, page, tasks, flags, early_kill)
    return {
        "type": done.type.value if done.type else None,
        "result": done.result.name.lower() if done.result else None,
        "returns": done.returns,
        "fsync_eio": done.fsync_eio,
        "signals": {who[pid]: signal.value for pid, signal in sent.items()},
    }


# references


@app.command("references")
def reference_check(
    referenced: Annotated[
        int, typer.Option(min=-1, help="The walk's result: VMAs, or -1 where it gave up.")
    ] = 1,
    executable: Annotated[bool, typer.Option("--exec")] = False,
    locked: Annotated[bool, typer.Option("--locked")] = False,
    page_referenced: Annotated[bool, typer.Option("--page-referenced")] = False,
    anon: Annotated[bool, typer.Option("--anon", help="Anonymous and swap-backed.")] = False,
    lru_gen: Annotated[bool, typer.Option("--lru-gen", help="MGLRU is on.")] = False,
    workingset: Annotated[bool, typer.Option("--workingset")] = False,
    kernel: Kernels = None,
    as_json: Json = False,
) -> None:
    """Show what reclaim decides about a folio that the reference walk has looked at."""
    flags = references.VM_EXEC * executable | references.VM_LOCKED * locked
    check = references.ReferenceCheck(
        referenced, flags, page_referenced, anon, anon, lru_gen, workingset
    )
    found = {
        name: asdict(references.page_check_references(rules, check))
        for name, rules in kernels(kernel).items()
        if referenced >= 0 or references.gives_up(rules)
    }
    if not found:
        raise errors.UsageError("--referenced -1", "no walk of these kernels gives up")
    title = f"{referenced} referenced, {'anonymous' if anon else 'file'}"
    table = new_table(
        title, "kernel", "decision", "PG_referenced after", "PG_workingset after", left=4
    )
    for name, row in found.items():
        marks = ("set" if row[key] else "clear" for key in ("page_referenced", "workingset"))
        table.add_row(name, row["decision"].value, *marks)
    show(as_json, {"check": asdict(check), "kernels": found}, table)


# mapcount and mapping


@app.command("mapcount")
def thp_mapcount(
    pages: Annotated[int, typer.Option(min=2, help="Base pages of the folio.")] = 512,
    children: Count = 2,
    kernel: Kernels = None,
    as_json: Json = False,
) -> None:
    """Show the counters of a huge page through map, fork, split, unmap and exit."""
    found = {
        name: [asdict(step) for step in scenarios.thp_history(rules, pages, children)]
        for name, rules in kernels_with(kernel, "thp").items()
    }
    tables = []
    for name, steps in found.items():
        table = new_table(
            f"{name}: a folio of {pages} pages, {children} children", "step", *_COUNTERS
        )
        for step in steps:
            table.add_row(*map(_cell, step.values()))
        tables.append(table)
    show(as_json, {"pages": pages, "children": children, "kernels": found}, *tables)


_COUNTERS = (
    "folio\nmapcount", "page 0\nmapcount",
    "entire\ncounter", "page 0\ncounter", "double\nmap", "maybe\nshared",
)  # fmt: skip


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


@app.command("mapping")
def page_mapping(
    value: Annotated[
        str, typer.Argument(help="A value of page->mapping, such as 0xffff888000100003.")
    ],
    kernel: Kernels = None,
    as_json: Json = False,
) -> None:
    """Show what a value of page->mapping means."""
    try:
        number = int(value, 0)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise errors.UsageError(value, "it is not a number of 64 bits", "0xffff888000100003")
    found = {name: mapping.decode(rules, number) for name, rules in kernels(kernel).items()}
    table = new_table(
        f"page->mapping = {number:#x}", "kernel", "kind", "pointer", "walked by", left=4
    )
    for name, each in found.items():
        walk = mapping.WALKS[each.kind]
        table.add_row(
            name, f"{each.kind.name} ({each.kind.value})", f"{each.pointer:#x}", walk or "-"
        )
    data = {
        name: {"kind": each.kind.name, "pointer": each.pointer, "walk": mapping.WALKS[each.kind]}
        for name, each in found.items()
    }
    show(as_json, {"mapping": number, "kernels": data}, table)
