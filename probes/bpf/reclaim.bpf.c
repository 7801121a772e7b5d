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
SECTION(age)

static inline bool is_khugepaged(void)
{
	return KHUGEPAGED_THREAD_AT &&
	       bpf_get_current_task() == read_u64(KHUGEPAGED_THREAD_AT, 0);
}

static inline int reclaim_enter(struct args *a, u32 reclaimer)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !reclaim_begins(st, w, a->probe, tid))
		return 0;
	if (reclaimer == RECLAIMER_MEMCG && (a->options & MEMCG_RECLAIM_PROACTIVE))
		reclaimer = RECLAIMER_PROACTIVE;
	if (reclaimer == RECLAIMER_DIRECT && is_khugepaged())
		reclaimer = RECLAIMER_KHUGEPAGED;
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
	struct call_cell *cell;

	if (!st || !reclaim_is_ours(st, w, a->probe, tid))
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

static inline int age_enter(struct args *a, u32 ager)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !age_begins(st, w, a->probe, tid))
		return 0;
	w->ager = ager;
	w->age_start = bpf_ktime_get_ns();
	return 0;
}

static inline int age_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct call_cell *cell;

	if (!st || !age_is_ours(st, w, a->probe, tid))
		return 0;
	cell = &st->ages[bounded(w->ager, AGERS)];
	cell->calls++;
	cell->ns += now - w->age_start;
	cell->ns_slots[duration_slot(now - w->age_start)]++;
	age_ends(st, w, a->probe);
	return 0;
}

/* What the kernel reports by itself. */

static inline bool evicts(struct work *w, u32 tid)
{
	return w->shrink_owner == tid && w->caller == CALLER_EVICT;
}

static inline u32 list_of(u32 lru)
{
	if (lru == LIST_INACTIVE_ANON)
		return 0;
	if (lru == LIST_ACTIVE_ANON)
		return 1;
	return lru == LIST_INACTIVE_FILE ? 2 : 3;
}

static inline int reported_isolate(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid(), list = list_of(a->lru);
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct isolation_cell *cell;

	if (!st)
		return 0;
	cell = &st->isolations[bounded(evicts(w, tid) * LISTS + list, ALGORITHMS * LISTS)];
	cell->isolations++;
	cell->scanned += a->scanned;
	cell->taken += a->taken;
	if (list & 1)
		return 0;
	if (w->isolated_tid != tid)
		w->isolated = 0;
	w->isolated_tid = tid;
	w->isolated += a->taken;
	return 0;
}

static inline int reported_shrink_inactive(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct shrunk_cell *cell;

	if (!st)
		return 0;
	cell = &st->shrunk[bounded(evicts(w, tid), ALGORITHMS)];
	cell->lists++;
	cell->scanned += a->scanned;
	cell->reclaimed += a->reclaimed;
	return 0;
}

static inline int reported_shrink_active(struct args *a)
{
	struct cpu_state *st = this_cpu();
	struct deactivation_cell *cell;

	if (!st)
		return 0;
	cell = &st->deactivation[0];
	cell->lists++;
	cell->taken += a->taken;
	cell->activated += a->activated;
	cell->deactivated += a->deactivated;
	return 0;
}

static inline int batch_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !batch_begins(st, w, a->probe, tid))
		return 0;
	w->batch++;
	w->control = a->control;
	w->stat = a->stat;
	w->ignore_references = a->ignore_references;
	w->checked = 0;
	w->check_told = 0; /* left over from a batch whose end was missed */
	__builtin_memset(w->decided, 0, sizeof(w->decided));
	w->batch_start = bpf_ktime_get_ns();
	return 0;
}

static inline int unmap_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct work *w = this_work(tid);

	if (w->batch_owner == tid && w->checked == a->folio && w->verdict == VERDICT_OPEN)
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

/* Keep what a check saw, for the event that is due once its decision can be seen. */
static inline void note_check(struct work *w, struct args *a, u64 now, u64 walk, u64 flags)
{
	w->check_told = 1;
	w->check_time = now;
	w->check_walk = walk;
	w->check_pfn = pfn_of(a->folio);
	w->check_index = read_u64(a->folio, FOLIO_INDEX);
	w->check_vm_flags = read_u64(a->vm_flags, 0);
	w->check_page_flags = flags;
	w->check_result = a->ret;
	w->check_pages = nr_pages_of(a->folio);
}

static inline void tell_check(struct cpu_state *st, struct work *w, bool is_locked, u32 decision)
{
	struct reference_event *e;

	if (!w->check_told)
		return;
	w->check_told = 0;
	e = new_event(st, w, EVENT_REFERENCE, w->check_time);
	if (!e)
		return;
	e->walk = w->check_walk;
	e->pfn = w->check_pfn;
	e->index = w->check_index;
	e->vm_flags = w->check_vm_flags;
	e->page_flags = w->check_page_flags;
	e->result = w->check_result;
	e->nr_pages = w->check_pages;
	e->is_locked = is_locked;
	e->decision = decision;
	events.ringbuf_submit(e, 0);
}

static inline void decision_ends(struct cpu_state *st, struct work *w)
{
	u64 decision;

	if (!w->checked)
		return;
	decision = decision_of(w);
	tell_check(st, w, true, decision);
	w->decided[bounded(decision, DECISIONS)] += w->checked_pages;
	st->decisions[bounded(w->checked_lru * DECISIONS + decision, LRUS * DECISIONS)]++;
	w->checked = 0;
}

/*
 * A check that found no reference and no locked VMA lets the folio go, mapped or not: it is not
 * looked at again. Everything else stays open until its effect can be seen. RECLAIM_CLEAN is told
 * from RECLAIM by its inputs; since commit 4d5d14a01e2c (v6.14) MGLRU has only the latter.
 */
static inline void decision_begins(struct work *w, struct args *a, u64 flags)
{
	bool file = !(flags & (1ULL << PG_SWAPBACKED));
	bool clean = evicts(w, w->batch_owner) ? MGLRU_RECLAIM_CLEAN : CLASSIC_RECLAIM_CLEAN;

	w->checked = a->folio;
	w->checked_lru = file ? LRU_FILE : LRU_ANON;
	w->checked_pages = nr_pages_of(a->folio);
	w->verdict = VERDICT_OPEN;
	if ((s32)a->ret || (read_u64(a->vm_flags, 0) & VM_LOCKED))
		return;
	w->verdict = VERDICT_GONE;
	if (clean && file && (flags & (1ULL << PG_REFERENCED)))
		w->verdict = VERDICT_CLEAN;
}

/* The number of the cgroup that the batch is for; 0 where it is for the whole machine. */
static inline u64 target_of(struct work *w)
{
	u64 memcg = read_u64(w->control, SC_TARGET), cgroup;

	if (!memcg)
		return 0;
	cgroup = read_u64(memcg, MEMCG_CSS + CSS_CGROUP);
	return read_u64(read_u64(cgroup, CGROUP_KN), KN_ID);
}

/* On whose behalf a batch is that no call for memory asked for. */
static inline u32 unasked_for(u32 caller)
{
	if (caller != CALLER_PAGES)
		return RECLAIMER_OTHER;
	return read_u64(bpf_get_current_task(), TASK_MM) ? RECLAIMER_MADVISE : RECLAIMER_DAMON;
}

static inline void batch_event(struct cpu_state *st, struct work *w, struct args *a, u64 now,
			       u32 caller, u32 reclaimer)
{
	struct batch_event *e = new_event(st, w, EVENT_BATCH, now);

	if (!e)
		return;
	e->memcg = target_of(w);
	e->ns = now - w->batch_start;
	e->isolated = w->isolated_tid == (u32)bpf_get_current_pid_tgid() ? w->isolated : NOT_KNOWN;
	e->reclaimed = a->ret;
	TELL_STATS(e, w->stat);
	e->nr_activate_anon = read_s32(w->stat, AT_NR_ACTIVATE);
	e->nr_activate_file = read_s32(w->stat, AT_NR_ACTIVATE + 4);
	TELL_DECIDED(e, w->decided);
	e->caller = caller;
	e->reclaimer = reclaimer;
	e->ignores_references = w->ignore_references;
	events.ringbuf_submit(e, 0);
}

static inline int batch_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), caller, reclaimer, stats[STATS], activated, gone;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct batch_cell *cell;

	if (!st || !batch_is_ours(st, w, a->probe, tid))
		return 0;
	decision_ends(st, w);
	caller = w->shrink_owner == tid ? w->caller : CALLER_INACTIVE;
	reclaimer = w->reclaim_owner == tid ? w->reclaimer : unasked_for(caller);
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
	if (wants_event(EVENT_BATCH))
		batch_event(st, w, a, now, caller, reclaimer);
	w->isolated_tid = 0;
	batch_ends(st, w, a->probe);
	return 0;
}
