// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Copy on write: what became of a write to a write-protected page.
 */

SECTION(cow)

static inline u64 pte_pfn(u64 pte)
{
	return (pte & PTE_PFN_MASK) >> 12;
}

static inline u64 head_of(u64 page)
{
	u64 head = read_u64(page, PAGE_HEAD);

	if (!(head & 1))
		return page;
	/* An address, or a mask, whose upper half is all ones as that of no struct page is. */
	return head >> 32 == 0xffffffff ? page & head : head - 1;
}

static inline u32 page_of(u64 pfn)
{
	u64 page, mapping;

	if (!VMEMMAP_BASE_AT)
		return PAGE_SPECIAL;
	page = read_u64(VMEMMAP_BASE_AT, 0) + pfn * STRUCT_PAGE_SIZE;
	mapping = read_u64(head_of(page), FOLIO_MAPPING);
	if (!mapping)
		return PAGE_SPECIAL;
	if ((mapping & PAGE_MAPPING_KSM) == PAGE_MAPPING_KSM)
		return PAGE_KSM;
	return mapping & 1 ? PAGE_ANON : PAGE_FILE;
}

static inline int cow_enter(struct args *a)
{
	u64 pfn = pte_pfn(read_u64(a->vmf, VMF_ORIG_PTE));
	u32 tid = bpf_get_current_pid_tgid(), page = page_of(pfn);
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (page == PAGE_KSM)
		ksm_page(KSM_COW, pfn);
	if (!st || !cow_begins(st, w, a->probe, tid))
		return 0;
	w->vmf = a->vmf;
	w->cow_pfn = pfn;
	w->cow_page = page;
	w->cow_moved = 0;
	w->cow_start = bpf_ktime_get_ns();
	return 0;
}

static inline int cow_move(struct args *a)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct work *w = this_work(tid);

	if (w->cow_owner == tid)
		w->cow_moved = 1;
	return 0;
}

static inline u32 cow_outcome(struct work *w, u64 pte)
{
	if (!(pte & PAGE_PRESENT))
		return COW_OTHER;
	if (pte_pfn(pte) != w->cow_pfn)
		return COW_COPIED;
	if (!(pte & PAGE_RW))
		return COW_OTHER;
	if (w->cow_moved)
		return COW_MOVED;
	return read_u64(read_u64(w->vmf, VMF_VMA), VMA_FLAGS) & VM_SHARED ? COW_SHARED : COW_REUSED;
}

static inline void cow_event(struct cpu_state *st, struct work *w, u64 now, u64 pte, u32 outcome)
{
	struct cow_event *e;

	if (!wants_event(EVENT_COW))
		return;
	e = new_event(st, w, EVENT_COW, now);
	if (!e)
		return;
	e->pfn = w->cow_pfn;
	e->pfn_after = pte & PAGE_PRESENT ? pte_pfn(pte) : ~0ULL;
	e->address = read_u64(w->vmf, VMF_ADDRESS);
	e->ns = now - w->cow_start;
	e->page = w->cow_page;
	e->outcome = outcome;
	events.ringbuf_submit(e, 0);
}

static inline int cow_exit(struct args *a)
{
	u64 now = bpf_ktime_get_ns(), at, pte = 0;
	u32 tid = bpf_get_current_pid_tgid(), outcome;
	struct cpu_state *st = this_cpu();
	struct work *w = this_work(tid);

	if (!st || !cow_is_ours(st, w, a->probe, tid))
		return 0;
	/* To be tried again: locks were dropped, and the page table may be another's. */
	if (!(a->ret & VM_FAULT_RETRY)) {
		at = read_u64(w->vmf, VMF_PTE);
		pte = at ? read_u64(at, 0) : 0;
	}
	outcome = cow_outcome(w, pte);
	call_ends(&st->cows[bounded(outcome, COWS)], now - w->cow_start);
	st->cow_pages[bounded(w->cow_page * COWS + outcome, COW_PAGES * COWS)]++;
	cow_event(st, w, now, pte, outcome);
	cow_ends(st, w, a->probe);
	return 0;
}
