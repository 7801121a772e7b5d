"""
Migration (mm/migrate.c): calls of `migrate_pages`, why, how long, and what became of the pages.

The pages themselves are seen as walks: one that unmaps a folio (op migrate) and one that restores
its mappings (op restore), at the folio's new place or, where it could not be moved, at its old one.
`remove_migration_ptes` is no place to watch: its callers inline it.
"""

from __future__ import annotations

from .spec import Member, ProbePoint, Source

REASONS = 16
"""Reasons that are told apart: more than any kernel's `enum migrate_reason` has."""

REASON_ENUM = "migrate_reason"
REASON_PREFIX = "MR_"
MODE_ENUM = "migrate_mode"
ENUMS = (REASON_ENUM, MODE_ENUM)

POINTS = (
    ProbePoint(
        name="migrate_pages",
        summary="A call that moves a list of folios: why, and how long it takes.",
        kernel_source="mm/migrate.c",
        sources=(Source("migrate_pages", {"mode": 4, "reason": 5}),),
        section="migration",
        entry="migrate_enter(&a)",
        exit="migrate_exit(&a)",
        metrics=("rmapwatch_migration_duration_seconds",),
        overhead="One pair of programs per call; a call moves many folios.",
    ),
    ProbePoint(
        name="migrate_report",
        summary="What the kernel itself reports at the end of such a call.",
        kernel_source="include/trace/events/migrate.h",
        sources=(
            Source(
                "migrate:mm_migrate_pages",
                fields={
                    "succeeded": "succeeded",
                    "failed": "failed",
                    "split": "thp_split",
                    "reason": "reason",
                },
            ),
        ),
        entry="migrate_report(&a)",
        metrics=("rmapwatch_migrated_pages_total", "rmapwatch_migration_splits_total"),
        overhead="One program per call.",
    ),
)

MEMBERS = (
    # What a walk that restores mappings is given: the folio's old place, or a struct that has it.
    Member("RESTORED_FROM", (("rmap_walk_arg", "folio"),), optional=True),
)
