// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Waits for the lock of an anon_vma's root, or of a mapping. Those for any other rwsem are left
 * alone: where its holder would be, there is none that points back to it.
 */

SECTION(wait)

static inline bool is_anon_vma(u64 holder)
{
	return read_u64(holder, ANON_VMA_ROOT) == holder;
}

static inline bool is_mapping(u64 holder)
{
	u64 inode = read_u64(holder, MAPPING_HOST);

	return inode && read_u64(inode, INODE_MAPPING) == holder;
}

static inline int wait_enter(struct args *a, u32 mode)
{
	u32 tid = bpf_get_current_pid_tgid(), lock, during;
	u64 holder = a->lock - ANON_VMA_LOCK;
	struct cpu_state *st;
	struct work *w;

	if (is_anon_vma(holder)) {
		lock = LOCK_ANON_VMA;
	} else {
		holder = a->lock - MAPPING_LOCK;
		if (!is_mapping(holder))
			return 0;
		lock = LOCK_I_MMAP;
	}
	st = this_cpu();
	w = this_work(tid);
	if (!st || !wait_begins(st, w, a->probe, tid))
		return 0;
	during = w->walk_owner == tid ? DURING_WALK : DURING_OTHER;
	w->wait_for = a->lock;
	w->wait_holder = holder;
	w->wait_cell = (lock * MODES + mode) * DURINGS + during;
	w->wait_start = bpf_ktime_get_ns();
	return 0;
}

static inline void lock_wait_event(struct cpu_state *st, struct work *w, u64 now, u64 ns)
{
	struct lock_wait_event *e;

	if (!wants_event(EVENT_LOCK_WAIT))
		return;
	e = new_event(st, w, EVENT_LOCK_WAIT, now);
	if (!e)
		return;
	e->root = w->wait_holder;
	e->walk = w->wait_cell % DURINGS == DURING_WALK ? w->start : 0;
	e->ns = ns;
	e->lock = w->wait_cell / (MODES * DURINGS);
	e->mode = w->wait_cell / DURINGS % MODES;
	e->during = w->wait_cell % DURINGS;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	events.ringbuf_submit(e, 0);
}

static inline int wait_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), ns;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || w->wait_owner != tid)
		return 0;
	/* Left over from an exit that the kernel did not report: this one waited for another lock. */
	if (a->lock && a->lock != w->wait_for) {
		st->accounts[bounded(w->wait_probe, PROBES)].stale++;
		w->wait_owner = 0;
		return 0;
	}
	if (!wait_is_ours(st, w, a->probe, tid))
		return 0;
	ns = now - w->wait_start;
	call_ends(&st->waits[bounded(w->wait_cell, WAITS)], ns);
	if (w->walk_owner == tid)
		w->flags |= WALK_WAITED;
	lock_wait_event(st, w, now, ns);
	wait_ends(st, w, a->probe);
	return 0;
}
