// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Memory failures: their handling, what came of it, and who was told.
 */

SECTION(failure)
SECTION(collect)

static inline int failure_enter(struct args *a, u32 handler)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !failure_begins(st, w, a->probe, tid))
		return 0;
	w->handler = handler;
	w->failure_pfn = a->pfn;
	w->failure_flags = a->flags;
	w->failure_type = NOT_KNOWN;
	w->failure_result = NOT_KNOWN;
	w->victims = 0;
	w->collect_ns = 0;
	w->failure_start = bpf_ktime_get_ns();
	return 0;
}

static inline void failure_event(struct cpu_state *st, struct work *w, u64 now, s32 returns)
{
	struct memory_failure_event *e;

	if (!wants_event(EVENT_MEMORY_FAILURE))
		return;
	e = new_event(st, w, EVENT_MEMORY_FAILURE, now);
	if (!e)
		return;
	e->pfn = w->failure_pfn;
	e->ns = now - w->failure_start;
	e->collect_ns = w->collect_ns;
	e->mf_flags = w->failure_flags;
	e->page_type = w->failure_type;
	e->result = w->failure_result;
	e->returned = returns;
	e->victims = w->victims;
	e->handler = w->handler;
	events.ringbuf_submit(e, 0);
}

static inline int failure_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !failure_is_ours(st, w, a->probe, tid))
		return 0;
	call_ends(&st->failures[bounded(w->handler, HANDLERS)], now - w->failure_start);
	st->failure_errors[bounded(w->handler, HANDLERS)] += !!(s32)a->ret;
	failure_event(st, w, now, a->ret);
	failure_ends(st, w, a->probe);
	return 0;
}

static inline int action(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid(), type = a->type, result = a->result;
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st)
		return 0;
	if (type < TYPES && result < RESULT_KINDS)
		st->actions[bounded(type * RESULT_KINDS + result, TYPES * RESULT_KINDS)]++;
	if (w->failure_owner == tid) {
		w->failure_type = type;
		w->failure_result = result;
	}
	return 0;
}

static inline int collect_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w && collect_begins(st, w, a->probe, tid))
		w->collect_start = bpf_ktime_get_ns();
	return 0;
}

static inline int collect_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !collect_is_ours(st, w, a->probe, tid))
		return 0;
	if (w->failure_owner == tid)
		w->collect_ns += now - w->collect_start;
	call_ends(&st->collects, now - w->collect_start);
	collect_ends(st, w, a->probe);
	return 0;
}

static inline int victim(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct work *w = this_work(tid);

	if (w->failure_owner == tid)
		w->victims++;
	return 0;
}

static inline int mceerr(struct args *a)
{
	u64 ids = bpf_get_current_pid_tgid();
	u32 tid = ids;
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct signal_event *e;
	bool known = a->code == BUS_MCEERR_AR || a->code == BUS_MCEERR_AO;

	if (!st || !known)
		return 0;
	st->signals[a->code == BUS_MCEERR_AO]++;
	if (!wants_event(EVENT_SIGNAL))
		return 0;
	e = new_event(st, w, EVENT_SIGNAL, bpf_ktime_get_ns());
	if (!e)
		return 0;
	e->pfn = w->failure_owner == tid ? w->failure_pfn : ~0ULL;
	e->address = a->address;
	e->target = a->task ? read_s32(a->task, TASK_TGID) : ids >> 32;
	e->code = a->code == BUS_MCEERR_AO;
	e->lsb = a->lsb;
	events.ringbuf_submit(e, 0);
	return 0;
}
