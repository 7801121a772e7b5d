// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Migration: calls of migrate_pages, and what the kernel reports of each.
 */

SECTION(migration)

static inline int migrate_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !migration_begins(st, w, a->probe, tid))
		return 0;
	w->migration_reason = (u32)a->reason;
	w->migration_mode = (u32)a->mode;
	w->migration_succeeded = NOT_KNOWN;
	w->migration_failed = NOT_KNOWN;
	w->migration_split = NOT_KNOWN;
	w->migration_start = bpf_ktime_get_ns();
	return 0;
}

static inline int migrate_report(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct migration_cell *cell;

	if (!st)
		return 0;
	cell = &st->migrations[bounded(a->reason, REASONS)];
	cell->succeeded += a->succeeded;
	cell->failed += a->failed;
	cell->split += a->split;
	if (w->migration_owner == tid) {
		w->migration_succeeded = a->succeeded;
		w->migration_failed = a->failed;
		w->migration_split = a->split;
	}
	return 0;
}

static inline void migration_event(struct cpu_state *st, struct work *w, u64 now, s32 returned)
{
	struct migration_event *e;

	if (!wants_event(EVENT_MIGRATION))
		return;
	e = new_event(st, w, EVENT_MIGRATION, now);
	if (!e)
		return;
	e->ns = now - w->migration_start;
	e->succeeded = w->migration_succeeded;
	e->failed = w->migration_failed;
	e->split = w->migration_split;
	e->returned = returned;
	e->reason = w->migration_reason;
	e->mode = w->migration_mode;
	events.ringbuf_submit(e, 0);
}

static inline int migrate_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !migration_is_ours(st, w, a->probe, tid))
		return 0;
	call_ends(&st->migrations[bounded(w->migration_reason, REASONS)].call[0],
		  now - w->migration_start);
	migration_event(st, w, now, a->ret);
	migration_ends(st, w, a->probe);
	return 0;
}
