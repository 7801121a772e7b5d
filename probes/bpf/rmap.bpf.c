// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reverse-map walks, the VMAs that they enter, and the reference check.
 */

SECTION(walk)

/* Whether a callback counts by itself: the mapcount that is left, or PTEs cleaned. */
static inline bool is_counted(u64 op)
{
	return (op == OP_REFERENCE && REFERENCED_MAPCOUNT >= 0) || op == OP_MKCLEAN;
}

/* What it has counted, to be compared at exit. */
static inline s64 callback_count(u64 op, u64 arg)
{
	return read_s32(arg, op == OP_REFERENCE ? REFERENCED_MAPCOUNT : 0);
}

static inline int walk_enter(struct args *a, u32 kind)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct control *c = controls();
	bool gated;
	u64 op;

	if (!st || !walk_begins(st, w, a->probe, tid))
		return 0;
	w->folio = a->folio;
	w->index = a->index;
	w->rwc = a->rwc;
	op = op_of(member_u64(a, a->rwc, RWC_ONE), a);
	w->op = op;
	if (is_counted(op)) {
		w->arg = member_u64(a, a->rwc, RWC_ARG);
		w->counted = callback_count(op, w->arg);
	}
	/* It stays so: who splits a folio waits for all who have a reference. */
	w->large = member_u64(a, a->folio, FOLIO_FLAGS) & (1ULL << PG_HEAD);
	w->mapcount = mapcount_of(a, a->folio, w->large);
	w->flags = (a->locked & 1) * WALK_LOCKED;
	/* Whether every VMA that it enters, or looks at, from now on is counted. */
	gated = steps_gated(c);
	w->steps = gated ? 0 : c->steps & (1ULL << op);
	w->looks = gated ? 0 : c->looks & (1ULL << kind);
	w->vmas = 0;
	w->mapper = 0;
	w->looked_at = 0;
	w->start = bpf_ktime_get_ns();
	return 0;
}

/* The process that owns the address space of a VMA; 0 where the kernel does not tell. */
static inline u32 owner_of(u64 vma)
{
	u64 owner = MM_OWNER < 0 ? 0 : read_u64(read_u64(vma, VMA_MM), MM_OWNER);

	return owner ? read_s32(owner, TASK_TGID) : 0;
}

static inline int step(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid(), owner;
	struct work *w = this_work(tid);
	struct cpu_state *st;

	if (w->walk_owner == tid) {
		if (w->vmas++ || !wants_event(EVENT_WALK))
			return 0;
		/* The slot once more: kept for this, it would cost every other step, too. */
		owner = owner_of(a->vma);
		this_work(bpf_get_current_pid_tgid())->mapper = owner;
		return 0;
	}
	st = this_cpu();
	if (st)
		st->stray_steps++;
	return 0;
}

static inline int look(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct work *w;

	if (!a->ret)
		return 0;
	w = this_work(tid);
	if (w->walk_owner == tid)
		w->looked_at++;
	return 0;
}

/* The ops of which the mapcount tells what a walk changed. */
#define BY_MAPCOUNT \
	(1ULL << OP_RESTORE | 1ULL << OP_UNMAP | 1ULL << OP_MIGRATE | 1ULL << OP_SPLIT)

/* PTEs that a walk found, changed or restored, by what its callback or the mapcount tells. */
static inline s64 ptes_of(struct work *w, u64 op, s64 mapcount)
{
	s64 before = w->mapcount, counted;

	if (1ULL << op & BY_MAPCOUNT) {
		if (before == NOT_KNOWN || mapcount == NOT_KNOWN)
			return NOT_KNOWN;
		return op == OP_RESTORE ? mapcount - before : before - mapcount;
	}
	if (!is_counted(op))
		return NOT_KNOWN;
	counted = callback_count(op, w->arg) - (s64)w->counted;
	return op == OP_REFERENCE ? -counted : counted;
}

static inline u64 map_of(u64 folio)
{
	return folio ? read_u64(folio, FOLIO_MAPPING) & ~3ULL : 0;
}

/* The frame that a walk to restore mappings finds entries of; the folio's own if it did not move. */
static inline u64 restored_from(struct work *w)
{
	u64 arg;

	if (w->op != OP_RESTORE)
		return ~0ULL;
	arg = read_u64(w->rwc, RWC_ARG);
	return pfn_of(RESTORED_FROM < 0 ? arg : read_u64(arg, RESTORED_FROM));
}

static inline void walk_event(struct cpu_state *st, struct work *w, u32 kind, u64 now, u64 ns,
			      s64 vmas, s64 ptes, s64 mapcount)
{
	struct walk_event *e = new_event(st, w, EVENT_WALK, now);

	if (!e)
		return;
	if (read_u64(w->rwc, RWC_INVALID_VMA))
		w->flags |= WALK_FILTERED;
	e->pfn = pfn_of(w->folio);
	e->index = w->folio ? read_u64(w->folio, FOLIO_INDEX) : w->index;
	e->map = map_of(w->folio);
	e->root = kind == KIND_ANON && e->map ? read_u64(e->map, ANON_VMA_ROOT) : e->map;
	e->ns = ns;
	e->old_pfn = restored_from(w);
	e->vmas = vmas;
	e->looked_at = w->looks ? (s32)w->looked_at : NOT_KNOWN;
	e->ptes = ptes;
	e->mapcount_before = w->mapcount;
	e->mapcount_after = mapcount;
	e->nr_pages = w->folio ? nr_pages_of(w->folio) : 0;
	e->mapper = w->mapper;
	e->op = w->op;
	e->kind = kind;
	e->flags = w->flags;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	events.ringbuf_submit(e, 0);
}

/*
 * Where the kernel skipped the exit of one walk and the entry of the next, this exit is not that of
 * the walk in the slot. A kretprobe sees no arguments, and pairs the two by itself.
 */
static inline bool is_its_exit(struct args *a, struct work *w)
{
	return !a->rwc || (a->rwc == w->rwc && a->folio == w->folio);
}

static inline int walk_exit(struct args *a, u32 kind)
{
	u64 now = bpf_ktime_get_ns(), ns;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	struct walk_cell *cell;
	s64 mapcount, ptes, vmas;
	u64 op;

	if (!st || !walk_is_ours(st, w, a->probe, tid))
		return 0;
	if (!is_its_exit(a, w)) {
		st->accounts[a->probe].stale++;
		st->accounts[a->probe].unmatched++;
		w->walk_owner = 0;
		return 0;
	}
	op = w->op;
	ns = now - w->start;
	mapcount = mapcount_of(a, a->typed ? a->folio : w->folio, w->large);
	ptes = ptes_of(w, op, mapcount);

	/* Here, not before: verifiers forget the bound of a value that was put aside. */
	cell = &st->walks[kind * OPS + bounded(op, OPS)];
	asm volatile("" : "+r"(cell)); /* one value, not the sum of two at each use */
	cell->walks++;
	cell->ns += ns;
	cell->ns_slots[duration_slot(ns)]++;
	if (RWC_CONTENDED >= 0 && op == OP_REFERENCE &&
	    member_u8(a, a->typed ? a->rwc : w->rwc, RWC_CONTENDED)) {
		w->flags |= WALK_BAILED;
		cell->bailouts++;
	}
	vmas = w->vmas;
	if (w->steps) {
		cell->vmas += vmas;
		cell->vmas_slots[count_slot(vmas)]++;
	} else {
		vmas = NOT_KNOWN;
	}
	if (w->looks)
		cell->looked_at += w->looked_at;
	if (ptes >= 0) {
		cell->ptes += ptes;
		cell->ptes_slots[count_slot(ptes)]++;
	}
	if (wants_event(EVENT_WALK))
		walk_event(st, w, kind, now, ns, vmas, ptes, mapcount);
	w->reference_tid = tid;
	w->reference_walk = op == OP_REFERENCE ? now : 0;
	walk_ends(st, w, a->probe);
	return 0;
}

static inline int reference_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), walk = 0, flags, cell;
	u32 tid = bpf_get_current_pid_tgid();
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);
	s32 referenced = a->ret;
	bool in_batch;

	if (!st)
		return 0;
	st->accounts[a->probe].exits++;
	if (w->reference_tid == tid) {
		walk = w->reference_walk;
		w->reference_walk = 0;
	}
	flags = read_u64(a->folio, FOLIO_FLAGS);
	cell = a->is_locked ? LRUS * RESULTS : 0;
	cell += flags & (1ULL << PG_SWAPBACKED) ? LRU_ANON * RESULTS : LRU_FILE * RESULTS;
	cell += referenced < 0 ? 0 : referenced == 0 ? 1 : referenced == 1 ? 2 : 3;
	st->references[bounded(cell, ASKED_BY * LRUS * RESULTS)]++;
	in_batch = a->is_locked && w->batch_owner == tid;
	if (in_batch)
		decision_ends(st, w);
	if (wants_event(EVENT_REFERENCE))
		note_check(w, a, now, walk, flags);
	if (in_batch)
		decision_begins(w, a, flags);
	else
		tell_check(st, w, a->is_locked, UNSEEN);
	return 0;
}
