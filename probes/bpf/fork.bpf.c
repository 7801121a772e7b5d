// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fork: what it takes to copy the memory of a process, VMA by VMA, and how long the chains are.
 */

SECTION(fork)
SECTION(mmap)
SECTION(vma)
SECTION(clone)

static inline void fork_error(struct cpu_state *st, u32 step, s64 ret)
{
	u32 error = ret == -(s64)ENOMEM ? 0 : ret == -(s64)EAGAIN ? 1 : 2;

	if (ret)
		st->fork_errors[bounded(step * ERRORS + error, FAILING * ERRORS)]++;
}

static inline int fork_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !fork_begins(st, w, a->probe, tid))
		return 0;
	w->fork_shares = read_u64(a->clone_args, CLONE_ARGS_FLAGS) & CLONE_VM;
	w->fork_linked = 0;
	w->fork_links = 0;
	w->fork_longest = 0;
	w->fork_cut = 0;
	w->fork_anon_ns = 0;
	w->fork_copy_ns = 0;
	w->fork_start = bpf_ktime_get_ns();
	return 0;
}

/* Pages and swap entries that an mm maps; NOT_KNOWN where too many CPUs have a part of the sum. */
static inline s64 rss_of(u64 mm)
{
	u64 rss = mm + MM_RSS, part;
	s64 pages = 0;

	if (RSS_COUNT >= 0) {
		for (int n = 0; n < NR_MM_COUNTERS; n++)
			pages += read_u64(rss, RSS_COUNT + 8 * n);
		return pages;
	}
	if (POSSIBLE_CPUS > CPU_LIMIT || !__PER_CPU_OFFSET_AT)
		return NOT_KNOWN;
	for (int n = 0; n < NR_MM_COUNTERS; n++, rss += PERCPU_COUNTER_SIZE) {
		pages += read_u64(rss, PERCPU_COUNT);
		part = read_u64(rss, PERCPU_COUNTERS);
		for (int cpu = 0; cpu < POSSIBLE_CPUS; cpu++)
			pages += read_s32(part + read_u64(__PER_CPU_OFFSET_AT, 8 * cpu), 0);
	}
	return pages;
}

static inline void fork_event(struct cpu_state *st, struct work *w, u64 now, u64 child, s32 vmas,
			      s64 pages)
{
	struct fork_event *e;

	if (!wants_event(EVENT_FORK))
		return;
	e = new_event(st, w, EVENT_FORK, now);
	if (!e)
		return;
	e->pages = pages;
	e->ns = now - w->fork_start;
	e->anon_vma_ns = w->fork_anon_ns;
	e->copy_ns = w->fork_copy_ns;
	e->child = vmas < 0 ? 0 : read_s32(child, TASK_TGID);
	e->returned = vmas < 0 ? (s32)child : 0;
	e->vmas = vmas;
	e->linked = w->fork_linked;
	e->links = w->fork_cut ? NOT_KNOWN : (s32)w->fork_links;
	e->longest = w->fork_cut ? NOT_KNOWN : (s32)w->fork_longest;
	events.ringbuf_submit(e, 0);
}

/* The child, which nobody runs yet, or an error. */
static inline int fork_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), mm;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	s64 pages = NOT_KNOWN;
	s32 vmas = NOT_KNOWN;

	if (!st || !fork_is_ours(st, w, a->probe, tid))
		return 0;
	if (!w->fork_shares) {
		call_ends(&st->forks[STEP_COPY_PROCESS], now - w->fork_start);
		if (a->ret >= (u64)-4095) {
			fork_error(st, STEP_COPY_PROCESS, a->ret);
		} else {
			mm = read_u64(a->ret, TASK_MM);
			vmas = read_s32(mm, MM_MAP_COUNT);
			pages = rss_of(mm);
			st->fork_vmas += vmas;
			st->fork_pages += pages < 0 ? 0 : pages;
			st->fork_unsummed += pages < 0;
		}
		fork_event(st, w, now, a->ret, vmas, pages);
	}
	fork_ends(st, w, a->probe);
	return 0;
}

static inline int mmap_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w && mmap_begins(st, w, a->probe, tid))
		w->mmap_start = bpf_ktime_get_ns();
	return 0;
}

static inline int mmap_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !mmap_is_ours(st, w, a->probe, tid))
		return 0;
	call_ends(&st->forks[STEP_DUP_MMAP], now - w->mmap_start);
	fork_error(st, STEP_DUP_MMAP, (s32)a->ret);
	mmap_ends(st, w, a->probe);
	return 0;
}

static inline int vma_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (st && w && vma_begins(st, w, a->probe, tid))
		w->vma_start = bpf_ktime_get_ns();
	return 0;
}

static inline int vma_exit(struct args *a, u32 step)
{
	u64 now = bpf_ktime_get_ns(), ns;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !vma_is_ours(st, w, a->probe, tid))
		return 0;
	ns = now - w->vma_start;
	call_ends(&st->forks[step], ns);
	fork_error(st, step, (s32)a->ret);
	if (step == STEP_ANON_VMA_FORK)
		w->fork_anon_ns += ns;
	else
		w->fork_copy_ns += ns;
	vma_ends(st, w, a->probe);
	return 0;
}

/* The chain of one VMA is copied to another. */
static inline int clone_enter(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !clone_begins(st, w, a->probe, tid))
		return 0;
	w->clone_vma = a->dst;
	/* A fork's copy is of another process by then; one that is split, merged or moved is not. */
	w->clone_forks = read_u64(a->dst, VMA_MM) != read_u64(a->src, VMA_MM);
	w->clone_start = bpf_ktime_get_ns();
	return 0;
}

/* Links of the chain that a VMA has got; NOT_KNOWN where there are more than are followed. */
static inline s32 chain_length(u64 vma)
{
	u64 head = vma + VMA_CHAIN, at = read_u64(head, 0);

	for (s32 links = 0; links <= CHAIN_LIMIT; links++) {
		if (at == head)
			return links;
		at = read_u64(at, 0);
	}
	return NOT_KNOWN;
}

/* What a fork that is followed learns of one chain. */
static inline void fork_links(struct work *w, s32 links)
{
	w->fork_linked++;
	if (links < 0) {
		w->fork_cut = 1;
		return;
	}
	w->fork_links += links;
	if ((u64)links > w->fork_longest)
		w->fork_longest = links;
}

static inline int clone_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), ns;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct clone_cell *cell;
	bool forks;
	s32 links;

	if (!st || !clone_is_ours(st, w, a->probe, tid))
		return 0;
	forks = w->clone_forks;
	cell = &st->clones[forks ? CLONER_FORK : CLONER_OTHER];
	ns = now - w->clone_start;
	cell->calls++;
	cell->ns += ns;
	cell->ns_slots[duration_slot(ns)]++;
	fork_error(st, STEP_ANON_VMA_CLONE, (s32)a->ret);
	if (!(s32)a->ret) {
		links = chain_length(w->clone_vma);
		if (links >= 0) {
			cell->links += links;
			cell->links_slots[count_slot(links)]++;
		}
		if (forks)
			fork_links(w, links);
	}
	clone_ends(st, w, a->probe);
	return 0;
}
