// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reclaim: who asks for it, its batches, and what the reference check decides in them.
 *
 * The decision is inlined everywhere. It is told by what becomes of the folio inside the same
 * batch: unmapped, or marked active, or neither. That is looked at when the batch comes to its next
 * check or to its end, and never after a folio was let go, since it may be another's by then.
 */

SECTION(reclaim)
SECTION(shrink)
SECTION(batch)

static inline int reclaim_enter(struct args *a, u32 reclaimer)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !w || !reclaim_begins(st, w, a->probe, tid))
		return 0;
	if (reclaimer == RECLAIMER_MEMCG && (a->options & MEMCG_RECLAIM_PROACTIVE))
		reclaimer = RECLAIMER_PROACTIVE;
	w->reclaimer = reclaimer;
	w->reclaim_start = bpf_ktime_get_ns();
	return 0;
}

static inline int reclaim_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct stall_cell *cell;

	if (!st || !w || !reclaim_is_ours(st, w, a->probe, tid))
		return 0;
	cell = &st->stalls[bounded(w->reclaimer, RECLAIMERS)];
	cell->calls++;
	cell->ns += now - w->reclaim_start;
	cell->ns_slots[duration_slot(now - w->reclaim_start)]++;
	reclaim_ends(st, w, a->probe);
	return 0;
}

static inline int shrink_enter(struct args *a, u32 caller)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w && shrink_begins(st, w, a->probe, tid))
		w->caller = caller;
	return 0;
}

static inline int shrink_exit(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w && shrink_is_ours(st, w, a->probe, tid))
		shrink_ends(st, w, a->probe);
	return 0;
}

static inline u32 batch_of(struct work *w, u32 tid)
{
	return w->batch_owner == tid ? w->batch : 0;
}

static inline int batch_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !w || !batch_begins(st, w, a->probe, tid))
		return 0;
	w->batch++;
	w->stat = a->stat;
	w->ignore_references = a->ignore_references;
	w->checked = 0;
	__builtin_memset(w->decided, 0, sizeof(w->decided));
	w->batch_start = bpf_ktime_get_ns();
	return 0;
}

static inline int unmap_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct work *w = this_work(tid);

	if (w && w->batch_owner == tid && w->checked == a->folio && w->verdict == VERDICT_OPEN)
		w->verdict = VERDICT_UNMAPPED;
	return 0;
}

/* What became of the folio that was checked last. */
static inline u64 decision_of(struct work *w)
{
	u64 flags;

	if (w->verdict == VERDICT_CLEAN)
		return DECISION_RECLAIM_CLEAN;
	if (w->verdict != VERDICT_OPEN)
		return DECISION_RECLAIM;
	flags = read_u64(w->checked, FOLIO_FLAGS);
	if (flags & (1ULL << PG_MLOCKED))
		return DECISION_ACTIVATE_MLOCKED;
	return flags & (1ULL << PG_ACTIVE) ? DECISION_ACTIVATE : DECISION_KEEP;
}

static inline void decision_ends(struct cpu_state *st, struct work *w)
{
	u64 decision;

	if (!w->checked)
		return;
	decision = decision_of(w);
	w->decided[bounded(decision, DECISIONS)] += w->checked_pages;
	st->decisions[bounded(w->checked_lru * DECISIONS + decision, LRUS * DECISIONS)]++;
	w->checked = 0;
}

/*
 * A check that found no reference and no locked VMA lets the folio go, mapped or not: it is not
 * looked at again. Everything else stays open until its effect can be seen.
 */
static inline void decision_begins(struct cpu_state *st, struct work *w, struct args *a, u32 tid,
				   u64 flags)
{
	bool file = !(flags & (1ULL << PG_SWAPBACKED));

	if (w->batch_owner != tid)
		return;
	decision_ends(st, w);
	w->checked = a->folio;
	w->checked_lru = file ? LRU_FILE : LRU_ANON;
	w->checked_pages = nr_pages_of(a->folio);
	w->verdict = VERDICT_OPEN;
	if ((s32)a->ret || (read_u64(a->vm_flags, 0) & VM_LOCKED))
		return;
	w->verdict = VERDICT_GONE;
	if (HAS_RECLAIM_CLEAN && file && (flags & (1ULL << PG_REFERENCED)))
		w->verdict = VERDICT_CLEAN;
}

static inline int batch_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), caller, reclaimer, stats[STATS], activated, gone;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct batch_cell *cell;

	if (!st || !w || !batch_is_ours(st, w, a->probe, tid))
		return 0;
	decision_ends(st, w);
	caller = w->shrink_owner == tid ? w->caller : CALLER_INACTIVE;
	reclaimer = w->reclaim_owner == tid ? w->reclaimer : RECLAIMER_OTHER;
	cell = &st->batches[bounded(caller * RECLAIMERS + reclaimer, CALLERS * RECLAIMERS)];
	cell->batches++;
	cell->ns += now - w->batch_start;
	cell->ns_slots[duration_slot(now - w->batch_start)]++;
	cell->reclaimed += (u32)a->ret;
	READ_STATS(stats, w->stat);
#pragma unroll
	for (int i = 0; i < STATS; i++)
		cell->stats[i] += stats[i];
	activated = (u32)read_s32(w->stat, AT_NR_ACTIVATE);
	cell->activated[0] += activated;
	cell->activated[1] += (u32)read_s32(w->stat, AT_NR_ACTIVATE + 4);
	activated += (u32)read_s32(w->stat, AT_NR_ACTIVATE + 4);
#pragma unroll
	for (int i = 0; i < DECISIONS; i++)
		cell->decided[i] += w->decided[i];
	gone = w->decided[DECISION_RECLAIM] + w->decided[DECISION_RECLAIM_CLEAN];
	if (!w->ignore_references) {
		cell->keep_differs += w->decided[DECISION_KEEP] != stats[STAT_NR_REF_KEEP];
		cell->activate_exceeds += w->decided[DECISION_ACTIVATE] > activated;
		cell->reclaimed_exceeds += (u32)a->ret > gone;
	}
	batch_ends(st, w, a->probe);
	return 0;
}
