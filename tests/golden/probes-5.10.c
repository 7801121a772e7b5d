#include <uapi/linux/ptrace.h>
#define POSSIBLE_CPUS 2
#define RING_PAGES 256
#define WORK_SLOTS 4096
#define SLOTS 36
#define EXACT_COUNTS 16
#define EXACT_BITS 4
#define NOT_KNOWN (-1)
#define PROBES 15
#define OPS 10
#define ASKED_BY 2
#define CALLERS 4
#define RECLAIMERS 5
#define DECISIONS 5
#define STATS 7
#define LRUS 2
#define RESULTS 4
#define WALK_BAILED 1
#define WALK_LOCKED 2
#define WALK_FILTERED 4
#define KIND_ANON 0
#define KIND_FILE 1
#define KIND_KSM 2
#define OP_REFERENCE 0
#define OP_UNMAP 1
#define OP_MIGRATE 2
#define OP_RESTORE 3
#define OP_MKCLEAN 4
#define OP_MUNLOCK 5
#define OP_SPLIT 6
#define OP_DAMON 7
#define OP_IDLE 8
#define OP_OTHER 9
#define LRU_ANON 0
#define LRU_FILE 1
#define CALLER_INACTIVE 0
#define CALLER_EVICT 1
#define CALLER_PAGES 2
#define CALLER_CLEAN 3
#define RECLAIMER_KSWAPD 0
#define RECLAIMER_DIRECT 1
#define RECLAIMER_MEMCG 2
#define RECLAIMER_PROACTIVE 3
#define RECLAIMER_OTHER 4
#define DECISION_ACTIVATE 0
#define DECISION_ACTIVATE_MLOCKED 1
#define DECISION_KEEP 2
#define DECISION_RECLAIM 3
#define DECISION_RECLAIM_CLEAN 4
#define VERDICT_OPEN 0
#define VERDICT_UNMAPPED 1
#define VERDICT_GONE 2
#define VERDICT_CLEAN 3
#define STAT_NR_DIRTY 0
#define STAT_NR_UNQUEUED_DIRTY 1
#define STAT_NR_WRITEBACK 2
#define STAT_NR_IMMEDIATE 3
#define STAT_NR_REF_KEEP 4
#define STAT_NR_UNMAP_FAIL 5
#define STAT_NR_LAZYFREE_FAIL 6
#define VM_LOCKED 0x2000
#define MEMCG_RECLAIM_PROACTIVE 0x4
#define HAS_RECLAIM_CLEAN 1
#define READ_STATS(to, stat) do { to[0] = (u32)read_s32(stat, AT_NR_DIRTY); to[1] = (u32)read_s32(stat, AT_NR_UNQUEUED_DIRTY); to[2] = (u32)read_s32(stat, AT_NR_WRITEBACK); to[3] = (u32)read_s32(stat, AT_NR_IMMEDIATE); to[4] = (u32)read_s32(stat, AT_NR_REF_KEEP); to[5] = (u32)read_s32(stat, AT_NR_UNMAP_FAIL); to[6] = (u32)read_s32(stat, AT_NR_LAZYFREE_FAIL); } while (0)
#define VMEMMAP_BASE_AT 0x100ULL
#define STRUCT_PAGE_SIZE 64
#define RWC_ONE (8LL)
#define RWC_ARG (0LL)
#define RWC_CONTENDED (-1LL)
#define RWC_INVALID_VMA (32LL)
#define REFERENCED_MAPCOUNT (0LL)
#define FOLIO_FLAGS (0LL)
#define FOLIO_MAPPING (24LL)
#define FOLIO_INDEX (32LL)
#define FOLIO_MAPCOUNT (48LL)
#define LARGE_MAPCOUNT (-1LL)
#define LARGE_NR_PAGES (88LL)
#define ANON_VMA_ROOT (0LL)
#define AT_NR_DIRTY (0LL)
#define AT_NR_UNQUEUED_DIRTY (4LL)
#define AT_NR_WRITEBACK (12LL)
#define AT_NR_IMMEDIATE (16LL)
#define AT_NR_REF_KEEP (32LL)
#define AT_NR_UNMAP_FAIL (36LL)
#define AT_NR_LAZYFREE_FAIL (40LL)
#define AT_NR_ACTIVATE (24LL)
#define PG_HEAD 16
#define PG_SWAPBACKED 19
#define PG_ACTIVE 5
#define PG_MLOCKED 21
#define PG_REFERENCED 1
struct account {
	u64 entries;
	u64 exits;
	u64 collided;
	u64 stale;
	u64 unmatched;
};
struct walk_cell {
	u64 walks;
	u64 bailouts;
	u64 ns;
	u64 vmas;
	u64 ptes;
	u64 ns_slots[36];
	u64 vmas_slots[36];
	u64 ptes_slots[36];
};
struct batch_cell {
	u64 batches;
	u64 ns;
	u64 ns_slots[36];
	u64 reclaimed;
	u64 stats[7];
	u64 activated[2];
	u64 decided[5];
	u64 keep_differs;
	u64 activate_exceeds;
	u64 reclaimed_exceeds;
};
struct stall_cell {
	u64 calls;
	u64 ns;
	u64 ns_slots[36];
};
struct cpu_state {
	struct account accounts[15];
	struct walk_cell walks[30];
	u64 references[16];
	u64 decisions[10];
	struct batch_cell batches[20];
	struct stall_cell stalls[5];
	u64 stray_steps;
	u64 produced[2];
	u64 lost[2];
};
struct work {
	u64 walk_owner;
	u64 walk_probe;
	u64 batch_owner;
	u64 batch_probe;
	u64 shrink_owner;
	u64 shrink_probe;
	u64 reclaim_owner;
	u64 reclaim_probe;
	u64 folio;
	u64 index;
	u64 rwc;
	u64 arg;
	u64 op;
	u64 counted;
	u64 mapcount;
	u64 flags;
	u64 steps;
	u64 vmas;
	u64 start;
	u64 reference_tid;
	u64 reference_walk;
	u64 reclaimer;
	u64 reclaim_start;
	u64 caller;
	u64 batch;
	u64 batch_start;
	u64 stat;
	u64 ignore_references;
	u64 decided[5];
	u64 checked;
	u64 checked_lru;
	u64 checked_pages;
	u64 verdict;
};
struct control {
	u64 events;
	u64 steps;
};
#define EVENT_WALK 1
struct walk_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 pfn;
	u64 index;
	u64 map;
	u64 root;
	u64 ns;
	s32 vmas;
	s32 looked_at;
	s32 ptes;
	s32 mapcount_before;
	s32 mapcount_after;
	u32 nr_pages;
	u8 op;
	u8 kind;
	u16 flags;
	char comm[16];
	char unused[12];
};
#define EVENT_REFERENCE 2
struct reference_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 walk;
	u64 pfn;
	u64 index;
	u64 vm_flags;
	u64 page_flags;
	s32 result;
	u32 nr_pages;
	u8 is_locked;
	char unused[47];
};
struct args { u32 probe; u64 folio; u64 rwc; u64 mapping; u64 index; u64 locked; u64 is_locked; u64 vm_flags; u64 stat; u64 ignore_references; u64 options; u64 ret; };
static inline u32 op_of(u64 callback, u64 arg)
{
	if (callback == 0x2000ULL) { /* page_referenced_one */
		return OP_REFERENCE;
	}
	if (callback == 0x3000ULL) { /* try_to_unmap_one */
		if (arg & 0x1) return OP_MIGRATE;
		if (arg & 0x100) return OP_SPLIT;
		if (arg & 0x2) return OP_MUNLOCK;
		return OP_UNMAP;
	}
	if (callback == 0x6000ULL) { /* remove_migration_pte */
		return OP_RESTORE;
	}
	if (callback == 0x7000ULL) { /* page_mkclean_one */
		return OP_MKCLEAN;
	}
	return OP_OTHER;
}
/* common.bpf.c */

/* reclaim.bpf.c */

/* rmap.bpf.c */

int fentry_rmap_walk_anon(u64 *ctx)
{
	struct args a = { .probe = 0 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = (u8)ctx[2];
	return walk_enter(&a, KIND_ANON);
}
int fexit_rmap_walk_anon(u64 *ctx)
{
	struct args a = { .probe = 0 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = (u8)ctx[2];
	return walk_exit(&a, KIND_ANON);
}
int fentry_rmap_walk_file(u64 *ctx)
{
	struct args a = { .probe = 1 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = (u8)ctx[2];
	return walk_enter(&a, KIND_FILE);
}
int fexit_rmap_walk_file(u64 *ctx)
{
	struct args a = { .probe = 1 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = (u8)ctx[2];
	return walk_exit(&a, KIND_FILE);
}
int fentry_rmap_walk_ksm(u64 *ctx)
{
	struct args a = { .probe = 2 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	return walk_enter(&a, KIND_KSM);
}
int fexit_rmap_walk_ksm(u64 *ctx)
{
	struct args a = { .probe = 2 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	return walk_exit(&a, KIND_KSM);
}
int fentry_page_referenced_one(u64 *ctx)
{
	struct args a = { .probe = 3 };
	return step(&a);
}
int fentry_try_to_unmap_one(u64 *ctx)
{
	struct args a = { .probe = 4 };
	return step(&a);
}
int fentry_remove_migration_pte(u64 *ctx)
{
	struct args a = { .probe = 5 };
	return step(&a);
}
int fentry_page_mkclean_one(u64 *ctx)
{
	struct args a = { .probe = 6 };
	return step(&a);
}
int fexit_page_referenced(u64 *ctx)
{
	struct args a = { .probe = 7 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	a.is_locked = (u32)ctx[1];
	bpf_probe_read_kernel(&a.vm_flags, 8, &ctx[3]);
	a.ret = ctx[4];
	return reference_exit(&a);
}
int fentry_balance_pgdat(u64 *ctx)
{
	struct args a = { .probe = 8 };
	return reclaim_enter(&a, RECLAIMER_KSWAPD);
}
int fexit_balance_pgdat(u64 *ctx)
{
	struct args a = { .probe = 8 };
	a.ret = ctx[3];
	return reclaim_exit(&a);
}
int fentry_try_to_free_pages(u64 *ctx)
{
	struct args a = { .probe = 9 };
	return reclaim_enter(&a, RECLAIMER_DIRECT);
}
int fexit_try_to_free_pages(u64 *ctx)
{
	struct args a = { .probe = 9 };
	a.ret = ctx[4];
	return reclaim_exit(&a);
}
int fentry_try_to_free_mem_cgroup_pages(u64 *ctx)
{
	struct args a = { .probe = 10 };
	a.options = (u8)ctx[3];
	return reclaim_enter(&a, RECLAIMER_MEMCG);
}
int fexit_try_to_free_mem_cgroup_pages(u64 *ctx)
{
	struct args a = { .probe = 10 };
	a.options = (u8)ctx[3];
	a.ret = ctx[4];
	return reclaim_exit(&a);
}
int fentry_reclaim_pages(u64 *ctx)
{
	struct args a = { .probe = 11 };
	return shrink_enter(&a, CALLER_PAGES);
}
int fexit_reclaim_pages(u64 *ctx)
{
	struct args a = { .probe = 11 };
	a.ret = ctx[1];
	return shrink_exit(&a);
}
int fentry_reclaim_clean_pages_from_list(u64 *ctx)
{
	struct args a = { .probe = 12 };
	return shrink_enter(&a, CALLER_CLEAN);
}
int fexit_reclaim_clean_pages_from_list(u64 *ctx)
{
	struct args a = { .probe = 12 };
	a.ret = ctx[2];
	return shrink_exit(&a);
}
int fentry_shrink_page_list(u64 *ctx)
{
	struct args a = { .probe = 13 };
	bpf_probe_read_kernel(&a.stat, 8, &ctx[3]);
	a.ignore_references = (u8)ctx[4];
	return batch_enter(&a);
}
int fexit_shrink_page_list(u64 *ctx)
{
	struct args a = { .probe = 13 };
	bpf_probe_read_kernel(&a.stat, 8, &ctx[3]);
	a.ignore_references = (u8)ctx[4];
	a.ret = ctx[5];
	return batch_exit(&a);
}
int fentry_try_to_unmap(u64 *ctx)
{
	struct args a = { .probe = 14 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	return unmap_enter(&a);
}
