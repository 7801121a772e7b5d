// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * KSM: what ksmd merges and lets go, what writes break, what swap-ins copy, and ksmd's passes.
 */

SECTION(remove)

static inline void ksm_event(struct cpu_state *st, struct work *w, u32 what, u64 pfn, u64 ns)
{
	struct ksm_event *e;

	if (!wants_event(EVENT_KSM))
		return;
	e = new_event(st, w, EVENT_KSM, bpf_ktime_get_ns());
	if (!e)
		return;
	e->pfn = pfn;
	e->ns = ns;
	e->what = what;
	events.ringbuf_submit(e, 0);
}

static inline void call_ends(struct call_cell *cell, u64 ns)
{
	cell->calls++;
	cell->ns += ns;
	cell->ns_slots[duration_slot(ns)]++;
}

static inline bool in_ksmd(void)
{
	u64 comm[2] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] == KSMD && !read_u64(bpf_get_current_task(), TASK_MM);
}

static inline int ksm_scan(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st;
	struct work *w;

	if (!in_ksmd())
		return 0;
	st = this_cpu();
	w = this_work(tid);
	if (!st)
		return 0;
	st->ksm_begun++;
	w->ksmd = tid;
	w->scan_start = bpf_ktime_get_ns();
	return 0;
}

static inline int ksm_scan_end(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	u64 ns;

	if (!st || w->ksmd != tid)
		return 0;
	w->ksmd = 0;
	ns = bpf_ktime_get_ns() - w->scan_start;
	call_ends(&st->ksm_scan, ns);
	ksm_event(st, w, KSM_SCANNED, ~0ULL, ns);
	return 0;
}

static inline void ksm_page(u32 what, u64 pfn)
{
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(bpf_get_current_pid_tgid());

	if (!st)
		return;
	st->ksm_pages[what]++;
	ksm_event(st, w, what, pfn, 0);
}

static inline int ksm_merge(struct args *a)
{
	struct cpu_state *st = this_cpu();

	if (!st)
		return 0;
	st->accounts[a->probe].exits++;
	if ((s32)a->ret)
		ksm_page(KSM_FAILED, ~0ULL);
	return 0;
}

static inline int ksm_append(struct args *a)
{
	bool first = !read_u64(a->node, NODE_ITEMS);

	ksm_page(first ? KSM_SHARED : KSM_SHARING, read_u64(a->node, NODE_PFN));
	return 0;
}

static inline int ksm_remove_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w && remove_begins(st, w, a->probe, tid))
		w->stable = !!(read_u64(a->item, ITEM_ADDRESS) & STABLE_FLAG);
	return 0;
}

static inline int ksm_remove_exit(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !remove_is_ours(st, w, a->probe, tid))
		return 0;
	if (w->stable) {
		st->ksm_pages[KSM_REMOVED]++;
		ksm_event(st, w, KSM_REMOVED, ~0ULL, 0);
	}
	remove_ends(st, w, a->probe);
	return 0;
}

/* Of a page that is gone. The one whose removal found that out is counted at the removal's end. */
static inline int ksm_remove_node(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w)
		st->ksm_pages[KSM_REMOVED] += read_s32(a->node, NODE_LENGTH)
					      - (w->remove_owner == tid && w->stable);
	return 0;
}

static inline int ksm_swapin(struct args *a)
{
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(bpf_get_current_pid_tgid());
	u32 outcome = SWAPIN_COPIED;

	if (!st)
		return 0;
	st->accounts[a->probe].exits++;
	if (a->ret == a->folio)
		outcome = SWAPIN_SAME;
	else if (!a->ret)
		outcome = SWAPIN_NO_MEMORY;
	else if (a->ret >= (u64)-4095)
		outcome = SWAPIN_POISONED;
	st->ksm_swapins[bounded(outcome, SWAPINS)]++;
	if (outcome == SWAPIN_COPIED)
		ksm_event(st, w, KSM_COPIED, pfn_of(a->folio), 0);
	return 0;
}
