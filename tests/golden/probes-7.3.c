#include <uapi/linux/ptrace.h>
#define POSSIBLE_CPUS 2
#define WORK_SLOTS 4096
#define SLOTS 36
#define EXACT_COUNTS 16
#define EXACT_BITS 4
#define NOT_KNOWN (-1)
#define CONTROL_MARK 2147483647
#define WORK_MARK 2147483646
#define UNSEEN 255
#define PROBES 51
#define OPS 10
#define ASKED_BY 2
#define CALLERS 4
#define RECLAIMERS 9
#define DECISIONS 5
#define STATS 7
#define ALGORITHMS 2
#define LISTS 4
#define AGERS 2
#define LRUS 2
#define RESULTS 4
#define WALK_BAILED 1
#define WALK_LOCKED 2
#define WALK_FILTERED 4
#define WALK_WAITED 8
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
#define RECLAIMER_KHUGEPAGED 1
#define RECLAIMER_DIRECT 2
#define RECLAIMER_MEMCG 3
#define RECLAIMER_PROACTIVE 4
#define RECLAIMER_NODE 5
#define RECLAIMER_MADVISE 6
#define RECLAIMER_DAMON 7
#define RECLAIMER_OTHER 8
#define DECISION_ACTIVATE 0
#define DECISION_ACTIVATE_MLOCKED 1
#define DECISION_KEEP 2
#define DECISION_RECLAIM 3
#define DECISION_RECLAIM_CLEAN 4
#define AGER_ACTIVE_LIST 0
#define AGER_GENERATION 1
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
#define VM_LOCKED 0x2000ULL
#define MEMCG_RECLAIM_PROACTIVE 0x4ULL
#define STABLE_FLAG 0x200ULL
#define BUS_MCEERR_AR 0x4ULL
#define BUS_MCEERR_AO 0x5ULL
#define CLONE_VM 0x100ULL
#define NR_MM_COUNTERS 0x4ULL
#define ENOMEM 0xcULL
#define EAGAIN 0xbULL
#define PTE_PFN_MASK 0xffffffffff000ULL
#define PAGE_PRESENT 0x1ULL
#define PAGE_RW 0x2ULL
#define VM_SHARED 0x8ULL
#define PAGE_MAPPING_KSM 0x3ULL
#define KSM_SHARED 0
#define KSM_SHARING 1
#define KSM_FAILED 2
#define KSM_REMOVED 3
#define KSM_COW 4
#define KSM_COPIED 5
#define KSM_SCANNED 6
#define SWAPIN_SAME 0
#define SWAPIN_COPIED 1
#define SWAPIN_NO_MEMORY 2
#define SWAPIN_POISONED 3
#define HANDLER_MEMORY_FAILURE 0
#define HANDLER_SOFT_OFFLINE 1
#define SWAPINS 4
#define HANDLERS 2
#define TYPES 32
#define RESULT_KINDS 4
#define LOCK_ANON_VMA 0
#define LOCK_I_MMAP 1
#define MODE_READ 0
#define MODE_WRITE 1
#define DURING_WALK 0
#define DURING_OTHER 1
#define MODES 2
#define DURINGS 2
#define WAITS 8
#define REASONS 16
#define STEP_COPY_PROCESS 0
#define STEP_DUP_MMAP 1
#define STEP_ANON_VMA_FORK 2
#define STEP_COPY_PAGE_RANGE 3
#define STEP_ANON_VMA_CLONE 4
#define CLONER_FORK 0
#define CLONER_OTHER 1
#define PAGE_ANON 0
#define PAGE_KSM 1
#define PAGE_FILE 2
#define PAGE_SPECIAL 3
#define COW_COPIED 0
#define COW_REUSED 1
#define COW_MOVED 2
#define COW_SHARED 3
#define COW_OTHER 4
#define FAILING 5
#define ERRORS 3
#define CHAIN_LIMIT 128
#define CPU_LIMIT 64
#define COWS 5
#define COW_PAGES 4
#define KSMD 0x646d736bULL
#define CLASSIC_RECLAIM_CLEAN 0
#define MGLRU_RECLAIM_CLEAN 0
#define READ_STATS(to, stat) do { to[0] = (u32)read_s32(stat, AT_NR_DIRTY); to[1] = (u32)read_s32(stat, AT_NR_UNQUEUED_DIRTY); to[2] = (u32)read_s32(stat, AT_NR_WRITEBACK); to[3] = (u32)read_s32(stat, AT_NR_IMMEDIATE); to[4] = (u32)read_s32(stat, AT_NR_REF_KEEP); to[5] = (u32)read_s32(stat, AT_NR_UNMAP_FAIL); to[6] = (u32)read_s32(stat, AT_NR_LAZYFREE_FAIL); } while (0)
#define TELL_STATS(e, stat) do { e->nr_dirty = (u32)read_s32(stat, AT_NR_DIRTY); e->nr_unqueued_dirty = (u32)read_s32(stat, AT_NR_UNQUEUED_DIRTY); e->nr_writeback = (u32)read_s32(stat, AT_NR_WRITEBACK); e->nr_immediate = (u32)read_s32(stat, AT_NR_IMMEDIATE); e->nr_ref_keep = (u32)read_s32(stat, AT_NR_REF_KEEP); e->nr_unmap_fail = (u32)read_s32(stat, AT_NR_UNMAP_FAIL); e->nr_lazyfree_fail = (u32)read_s32(stat, AT_NR_LAZYFREE_FAIL); } while (0)
#define TELL_DECIDED(e, from) do { e->decided_activate = from[0]; e->decided_activate_mlocked = from[1]; e->decided_keep = from[2]; e->decided_reclaim = from[3]; e->decided_reclaim_clean = from[4]; } while (0)
#define VMEMMAP_BASE_AT 0x100ULL
#define KHUGEPAGED_THREAD_AT 0x0ULL
#define __PER_CPU_OFFSET_AT 0x0ULL
#define STRUCT_PAGE_SIZE 64
#define PERCPU_COUNTER_SIZE 40
#define RWC_ONE (16LL)
#define RWC_ARG (0LL)
#define RWC_CONTENDED (9LL)
#define RWC_INVALID_VMA (40LL)
#define REFERENCED_MAPCOUNT (0LL)
#define FOLIO_FLAGS (0LL)
#define FOLIO_MAPPING (24LL)
#define FOLIO_INDEX (32LL)
#define FOLIO_MAPCOUNT (48LL)
#define LARGE_MAPCOUNT (80LL)
#define LARGE_NR_PAGES (120LL)
#define ANON_VMA_ROOT (0LL)
#define VMA_MM (16LL)
#define MM_OWNER (1528LL)
#define AT_NR_DIRTY (0LL)
#define AT_NR_UNQUEUED_DIRTY (4LL)
#define AT_NR_WRITEBACK (12LL)
#define AT_NR_IMMEDIATE (16LL)
#define AT_NR_REF_KEEP (28LL)
#define AT_NR_UNMAP_FAIL (32LL)
#define AT_NR_LAZYFREE_FAIL (36LL)
#define AT_NR_ACTIVATE (20LL)
#define SC_TARGET (16LL)
#define MEMCG_CSS (0LL)
#define CSS_CGROUP (0LL)
#define CGROUP_KN (296LL)
#define KN_ID (96LL)
#define TASK_MM (2744LL)
#define ITEM_ADDRESS (24LL)
#define NODE_ITEMS (40LL)
#define NODE_PFN (48LL)
#define NODE_LENGTH (56LL)
#define TASK_TGID (2876LL)
#define RESTORED_FROM (0LL)
#define ANON_VMA_LOCK (8LL)
#define MAPPING_LOCK (120LL)
#define MAPPING_HOST (0LL)
#define INODE_MAPPING (48LL)
#define TASK_PID (2872LL)
#define CLONE_ARGS_FLAGS (0LL)
#define MM_MAP_COUNT (400LL)
#define MM_RSS (1208LL)
#define RSS_COUNT (-1LL)
#define PERCPU_COUNT (8LL)
#define PERCPU_COUNTERS (32LL)
#define VMA_CHAIN (48LL)
#define VMF_VMA (0LL)
#define VMF_ADDRESS (24LL)
#define VMF_PTE (88LL)
#define VMF_ORIG_PTE (64LL)
#define VMA_FLAGS (32LL)
#define PAGE_HEAD (8LL)
#define PG_HEAD 6
#define PG_SWAPBACKED 17
#define PG_ACTIVE 8
#define PG_MLOCKED 20
#define PG_REFERENCED 2
#define LIST_INACTIVE_ANON 0
#define LIST_ACTIVE_ANON 1
#define LIST_INACTIVE_FILE 2
#define LIST_ACTIVE_FILE 3
#define VM_FAULT_RETRY 1024
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
	u64 looked_at;
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
struct call_cell {
	u64 calls;
	u64 ns;
	u64 ns_slots[36];
};
struct migration_cell {
	struct call_cell call[1];
	u64 succeeded;
	u64 failed;
	u64 split;
};
struct clone_cell {
	u64 calls;
	u64 ns;
	u64 ns_slots[36];
	u64 links;
	u64 links_slots[36];
};
struct isolation_cell {
	u64 isolations;
	u64 scanned;
	u64 taken;
};
struct shrunk_cell {
	u64 lists;
	u64 scanned;
	u64 reclaimed;
};
struct deactivation_cell {
	u64 lists;
	u64 taken;
	u64 activated;
	u64 deactivated;
};
struct cpu_state {
	struct account accounts[51];
	struct walk_cell walks[30];
	u64 references[16];
	u64 decisions[10];
	struct batch_cell batches[36];
	struct call_cell stalls[9];
	struct call_cell ages[2];
	struct isolation_cell isolations[8];
	struct shrunk_cell shrunk[2];
	struct deactivation_cell deactivation[1];
	u64 ksm_begun;
	struct call_cell ksm_scan[1];
	u64 ksm_pages[5];
	u64 ksm_swapins[4];
	struct call_cell failures[2];
	u64 failure_errors[2];
	struct call_cell collects[1];
	u64 actions[128];
	u64 signals[2];
	struct migration_cell migrations[16];
	struct call_cell waits[8];
	struct call_cell forks[4];
	u64 fork_errors[15];
	u64 fork_vmas;
	u64 fork_pages;
	u64 fork_unsummed;
	struct clone_cell clones[2];
	struct call_cell cows[5];
	u64 cow_pages[20];
	u64 stray_steps;
	u64 produced[10];
	u64 lost[10];
};
struct work {
	u64 walk_owner;
	u64 walk_probe;
	u64 batch_owner;
	u64 batch_probe;
	u64 shrink_owner;
	u64 shrink_probe;
	u64 age_owner;
	u64 age_probe;
	u64 reclaim_owner;
	u64 reclaim_probe;
	u64 remove_owner;
	u64 remove_probe;
	u64 failure_owner;
	u64 failure_probe;
	u64 collect_owner;
	u64 collect_probe;
	u64 migration_owner;
	u64 migration_probe;
	u64 wait_owner;
	u64 wait_probe;
	u64 fork_owner;
	u64 fork_probe;
	u64 mmap_owner;
	u64 mmap_probe;
	u64 vma_owner;
	u64 vma_probe;
	u64 clone_owner;
	u64 clone_probe;
	u64 cow_owner;
	u64 cow_probe;
	u64 folio;
	u64 index;
	u64 rwc;
	u64 arg;
	u64 op;
	u64 counted;
	u64 mapcount;
	u64 large;
	u64 flags;
	u64 steps;
	u64 vmas;
	u64 mapper;
	u64 looks;
	u64 looked_at;
	u64 start;
	u64 reference_tid;
	u64 reference_walk;
	u64 reclaimer;
	u64 reclaim_start;
	u64 caller;
	u64 ager;
	u64 age_start;
	u64 isolated;
	u64 isolated_tid;
	u64 control;
	u64 batch;
	u64 batch_start;
	u64 stat;
	u64 ignore_references;
	u64 decided[5];
	u64 checked;
	u64 checked_lru;
	u64 checked_pages;
	u64 verdict;
	u64 check_told;
	u64 check_time;
	u64 check_walk;
	u64 check_pfn;
	u64 check_index;
	u64 check_vm_flags;
	u64 check_page_flags;
	u64 check_result;
	u64 check_pages;
	u64 ksmd;
	u64 scan_start;
	u64 stable;
	u64 handler;
	u64 failure_start;
	u64 failure_pfn;
	u64 failure_flags;
	u64 failure_type;
	u64 failure_result;
	u64 victims;
	u64 collect_start;
	u64 collect_ns;
	u64 migration_start;
	u64 migration_reason;
	u64 migration_mode;
	u64 migration_succeeded;
	u64 migration_failed;
	u64 migration_split;
	u64 wait_start;
	u64 wait_for;
	u64 wait_holder;
	u64 wait_cell;
	u64 fork_start;
	u64 fork_shares;
	u64 fork_linked;
	u64 fork_links;
	u64 fork_longest;
	u64 fork_cut;
	u64 fork_anon_ns;
	u64 fork_copy_ns;
	u64 mmap_start;
	u64 vma_start;
	u64 clone_start;
	u64 clone_vma;
	u64 clone_forks;
	u64 vmf;
	u64 cow_pfn;
	u64 cow_page;
	u64 cow_moved;
	u64 cow_start;
};
struct control {
	u64 events;
	u64 steps;
	u64 looks;
	u64 gate;
	u64 bits[32];
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
	u64 old_pfn;
	s32 vmas;
	s32 looked_at;
	s32 ptes;
	s32 mapcount_before;
	s32 mapcount_after;
	u32 nr_pages;
	u32 mapper;
	u8 op;
	u8 kind;
	u16 flags;
	char comm[16];
	char unused[0];
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
	u8 decision;
	char unused[46];
};
#define EVENT_BATCH 3
struct batch_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 memcg;
	u64 ns;
	s32 isolated;
	u32 reclaimed;
	u32 nr_dirty;
	u32 nr_unqueued_dirty;
	u32 nr_writeback;
	u32 nr_immediate;
	u32 nr_ref_keep;
	u32 nr_unmap_fail;
	u32 nr_lazyfree_fail;
	u32 nr_activate_anon;
	u32 nr_activate_file;
	u32 decided_activate;
	u32 decided_activate_mlocked;
	u32 decided_keep;
	u32 decided_reclaim;
	u32 decided_reclaim_clean;
	u8 caller;
	u8 reclaimer;
	u8 ignores_references;
	char unused[13];
};
#define EVENT_KSM 4
struct ksm_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 pfn;
	u64 ns;
	u8 what;
	char unused[79];
};
#define EVENT_MEMORY_FAILURE 5
struct memory_failure_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 pfn;
	u64 ns;
	u64 collect_ns;
	u32 mf_flags;
	s32 page_type;
	s32 result;
	s32 returned;
	u32 victims;
	u8 handler;
	char unused[51];
};
#define EVENT_SIGNAL 6
struct signal_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 pfn;
	u64 address;
	u32 target;
	u16 lsb;
	u8 code;
	char unused[73];
};
#define EVENT_MIGRATION 7
struct migration_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 ns;
	s32 succeeded;
	s32 failed;
	s32 split;
	s32 returned;
	u32 reason;
	u32 mode;
	char unused[64];
};
#define EVENT_LOCK_WAIT 8
struct lock_wait_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 root;
	u64 walk;
	u64 ns;
	u8 lock;
	u8 mode;
	u8 during;
	char comm[16];
	char unused[53];
};
#define EVENT_FORK 9
struct fork_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	s64 pages;
	u64 ns;
	u64 anon_vma_ns;
	u64 copy_ns;
	u32 child;
	s32 returned;
	s32 vmas;
	u32 linked;
	s32 links;
	s32 longest;
	char unused[40];
};
#define EVENT_COW 10
struct cow_event {
	u64 time;
	u32 tid;
	u32 tgid;
	u16 cpu;
	u8 type;
	u8 reserved;
	u32 batch;
	u64 pfn;
	u64 pfn_after;
	u64 address;
	u64 ns;
	u8 page;
	u8 outcome;
	char unused[62];
};
struct args { u32 probe; bool typed; u64 folio; u64 rwc; u64 mapping; u64 index; u64 locked; u64 is_locked; u64 vm_flags; u64 control; u64 stat; u64 scanned; u64 taken; u64 reclaimed; u64 activated; u64 deactivated; u64 lru; u64 ignore_references; u64 options; u64 node; u64 item; u64 vmf; u64 pfn; u64 flags; u64 type; u64 result; u64 code; u64 address; u64 lsb; u64 task; u64 reason; u64 mode; u64 succeeded; u64 failed; u64 split; u64 lock; u64 clone_args; u64 dst; u64 src; u64 vma; u64 ret; };
/* common.bpf.c */

static inline u32 op_of(u64 callback, struct args *a)
{
	if (callback == 0x1000ULL) { /* folio_referenced_one */
		return OP_REFERENCE;
	}
	if (callback == 0x3000ULL) { /* try_to_unmap_one */
		return OP_UNMAP;
	}
	if (callback == 0x4000ULL) { /* try_to_unmap_poisoned_hugetlb_one */
		return OP_UNMAP;
	}
	if (callback == 0x5000ULL) { /* try_to_migrate_one */
		if (member_u64(a, a->rwc, RWC_ARG) & 0x4) return OP_SPLIT;
		return OP_MIGRATE;
	}
	if (callback == 0x6000ULL) { /* remove_migration_pte */
		return OP_RESTORE;
	}
	if (callback == 0x7000ULL) { /* page_mkclean_one */
		return OP_MKCLEAN;
	}
	if (callback == 0x8000ULL) { /* damon_folio_young_one */
		return OP_DAMON;
	}
	if (callback == 0x9000ULL) { /* damon_folio_mkold_one */
		return OP_DAMON;
	}
	return OP_OTHER;
}
/* reclaim.bpf.c */

/* rmap.bpf.c */

/* ksm.bpf.c */

/* memory_failure.bpf.c */

/* migrate.bpf.c */

/* locks.bpf.c */

/* fork.bpf.c */

/* cow.bpf.c */

int fentry_rmap_walk_anon(u64 *ctx)
{
	struct args a = { .probe = 0 };
	a.typed = true;
	a.folio = ctx[0];
	a.rwc = ctx[1];
	a.locked = (u8)ctx[2];
	return walk_enter(&a, KIND_ANON);
}
int fexit_rmap_walk_anon(u64 *ctx)
{
	struct args a = { .probe = 0 };
	a.typed = true;
	a.folio = ctx[0];
	a.rwc = ctx[1];
	a.locked = (u8)ctx[2];
	return walk_exit(&a, KIND_ANON);
}
int fentry___rmap_walk_file(u64 *ctx)
{
	struct args a = { .probe = 1 };
	a.typed = true;
	a.folio = ctx[0];
	a.mapping = ctx[1];
	a.index = ctx[2];
	a.rwc = ctx[4];
	a.locked = (u8)ctx[5];
	return walk_enter(&a, KIND_FILE);
}
int fexit___rmap_walk_file(u64 *ctx)
{
	struct args a = { .probe = 1 };
	a.typed = true;
	a.folio = ctx[0];
	a.mapping = ctx[1];
	a.index = ctx[2];
	a.rwc = ctx[4];
	a.locked = (u8)ctx[5];
	return walk_exit(&a, KIND_FILE);
}
int fentry_rmap_walk_ksm(u64 *ctx)
{
	struct args a = { .probe = 2 };
	a.typed = true;
	a.folio = ctx[0];
	a.rwc = ctx[1];
	return walk_enter(&a, KIND_KSM);
}
int fexit_rmap_walk_ksm(u64 *ctx)
{
	struct args a = { .probe = 2 };
	a.typed = true;
	a.folio = ctx[0];
	a.rwc = ctx[1];
	return walk_exit(&a, KIND_KSM);
}
int fentry_folio_referenced_one(u64 *ctx)
{
	struct args a = { .probe = 3 };
	a.typed = true;
	a.vma = ctx[1];
	return step(&a);
}
int fentry_try_to_unmap_one(u64 *ctx)
{
	struct args a = { .probe = 4 };
	a.typed = true;
	a.vma = ctx[1];
	return step(&a);
}
int fentry_try_to_unmap_poisoned_hugetlb_one(u64 *ctx)
{
	struct args a = { .probe = 5 };
	a.typed = true;
	a.vma = ctx[1];
	return step(&a);
}
int fentry_try_to_migrate_one(u64 *ctx)
{
	struct args a = { .probe = 6 };
	a.typed = true;
	a.vma = ctx[1];
	return step(&a);
}
int fentry_remove_migration_pte(u64 *ctx)
{
	struct args a = { .probe = 7 };
	a.typed = true;
	a.vma = ctx[1];
	return step(&a);
}
int fentry_page_mkclean_one(u64 *ctx)
{
	struct args a = { .probe = 8 };
	a.typed = true;
	a.vma = ctx[1];
	return step(&a);
}
int fexit_anon_rmap_tree_iter_first(u64 *ctx)
{
	struct args a = { .probe = 9 };
	a.ret = read_u64((u64)ctx, 24);
	return look(&a);
}
int fexit_anon_rmap_tree_iter_next(u64 *ctx)
{
	struct args a = { .probe = 10 };
	a.ret = read_u64((u64)ctx, 24);
	return look(&a);
}
int fexit_folio_referenced(u64 *ctx)
{
	struct args a = { .probe = 11 };
	a.folio = read_u64((u64)ctx, 0);
	a.is_locked = (u32)ctx[1];
	a.vm_flags = read_u64((u64)ctx, 24);
	a.ret = ctx[4];
	return reference_exit(&a);
}
int fentry_balance_pgdat(u64 *ctx)
{
	struct args a = { .probe = 12 };
	return reclaim_enter(&a, RECLAIMER_KSWAPD);
}
int fexit_balance_pgdat(u64 *ctx)
{
	struct args a = { .probe = 12 };
	a.ret = ctx[3];
	return reclaim_exit(&a);
}
int fentry_try_to_free_pages(u64 *ctx)
{
	struct args a = { .probe = 13 };
	return reclaim_enter(&a, RECLAIMER_DIRECT);
}
int fexit_try_to_free_pages(u64 *ctx)
{
	struct args a = { .probe = 13 };
	a.ret = ctx[4];
	return reclaim_exit(&a);
}
int fentry_try_to_free_mem_cgroup_pages(u64 *ctx)
{
	struct args a = { .probe = 14 };
	a.options = (u32)ctx[3];
	return reclaim_enter(&a, RECLAIMER_MEMCG);
}
int fexit_try_to_free_mem_cgroup_pages(u64 *ctx)
{
	struct args a = { .probe = 14 };
	a.options = (u32)ctx[3];
	a.ret = ctx[5];
	return reclaim_exit(&a);
}
int fentry___node_reclaim(u64 *ctx)
{
	struct args a = { .probe = 15 };
	return reclaim_enter(&a, RECLAIMER_NODE);
}
int fexit___node_reclaim(u64 *ctx)
{
	struct args a = { .probe = 15 };
	a.ret = ctx[3];
	return reclaim_exit(&a);
}
int fentry_evict_folios(u64 *ctx)
{
	struct args a = { .probe = 16 };
	return shrink_enter(&a, CALLER_EVICT);
}
int fexit_evict_folios(u64 *ctx)
{
	struct args a = { .probe = 16 };
	a.ret = ctx[4];
	return shrink_exit(&a);
}
int fentry_reclaim_pages(u64 *ctx)
{
	struct args a = { .probe = 17 };
	return shrink_enter(&a, CALLER_PAGES);
}
int fexit_reclaim_pages(u64 *ctx)
{
	struct args a = { .probe = 17 };
	a.ret = ctx[1];
	return shrink_exit(&a);
}
int fentry_reclaim_clean_pages_from_list(u64 *ctx)
{
	struct args a = { .probe = 18 };
	return shrink_enter(&a, CALLER_CLEAN);
}
int fexit_reclaim_clean_pages_from_list(u64 *ctx)
{
	struct args a = { .probe = 18 };
	a.ret = ctx[2];
	return shrink_exit(&a);
}
int fentry_shrink_folio_list(u64 *ctx)
{
	struct args a = { .probe = 19 };
	a.control = read_u64((u64)ctx, 16);
	a.stat = read_u64((u64)ctx, 24);
	a.ignore_references = (u8)ctx[4];
	return batch_enter(&a);
}
int fexit_shrink_folio_list(u64 *ctx)
{
	struct args a = { .probe = 19 };
	a.control = read_u64((u64)ctx, 16);
	a.stat = read_u64((u64)ctx, 24);
	a.ignore_references = (u8)ctx[4];
	a.ret = ctx[6];
	return batch_exit(&a);
}
int fentry_try_to_unmap(u64 *ctx)
{
	struct args a = { .probe = 20 };
	a.folio = read_u64((u64)ctx, 0);
	return unmap_enter(&a);
}
int fentry_shrink_active_list(u64 *ctx)
{
	struct args a = { .probe = 21 };
	return age_enter(&a, AGER_ACTIVE_LIST);
}
int fexit_shrink_active_list(u64 *ctx)
{
	struct args a = { .probe = 21 };
	return age_exit(&a);
}
int fentry_try_to_inc_max_seq(u64 *ctx)
{
	struct args a = { .probe = 22 };
	return age_enter(&a, AGER_GENERATION);
}
int fexit_try_to_inc_max_seq(u64 *ctx)
{
	struct args a = { .probe = 22 };
	a.ret = ctx[4];
	return age_exit(&a);
}
int tracepoint_vmscan_mm_vmscan_lru_isolate(u8 *ctx)
{
	struct args a = { .probe = 23 };
	a.scanned = *(u64 *)(ctx + 24);
	a.taken = *(u64 *)(ctx + 40);
	a.lru = *(u32 *)(ctx + 48);
	return reported_isolate(&a);
}
int tracepoint_vmscan_mm_vmscan_lru_shrink_inactive(u8 *ctx)
{
	struct args a = { .probe = 24 };
	a.scanned = *(u64 *)(ctx + 16);
	a.reclaimed = *(u64 *)(ctx + 24);
	return reported_shrink_inactive(&a);
}
int tracepoint_vmscan_mm_vmscan_lru_shrink_active(u8 *ctx)
{
	struct args a = { .probe = 25 };
	a.taken = *(u64 *)(ctx + 16);
	a.activated = *(u64 *)(ctx + 24);
	a.deactivated = *(u64 *)(ctx + 32);
	return reported_shrink_active(&a);
}
int fentry_lru_add_drain_all(u64 *ctx)
{
	struct args a = { .probe = 26 };
	return ksm_scan(&a);
}
int tracepoint_ksm_ksm_stop_scan(u8 *ctx)
{
	struct args a = { .probe = 27 };
	return ksm_scan_end(&a);
}
int fexit_try_to_merge_with_ksm_page(u64 *ctx)
{
	struct args a = { .probe = 28 };
	a.ret = ctx[3];
	return ksm_merge(&a);
}
int fentry_stable_tree_append(u64 *ctx)
{
	struct args a = { .probe = 29 };
	a.node = read_u64((u64)ctx, 8);
	return ksm_append(&a);
}
int fentry_remove_rmap_item_from_tree(u64 *ctx)
{
	struct args a = { .probe = 30 };
	a.item = read_u64((u64)ctx, 0);
	return ksm_remove_enter(&a);
}
int fexit_remove_rmap_item_from_tree(u64 *ctx)
{
	struct args a = { .probe = 30 };
	a.item = read_u64((u64)ctx, 0);
	return ksm_remove_exit(&a);
}
int fentry_remove_node_from_stable_tree(u64 *ctx)
{
	struct args a = { .probe = 31 };
	a.node = read_u64((u64)ctx, 0);
	return ksm_remove_node(&a);
}
int fexit_ksm_might_need_to_copy(u64 *ctx)
{
	struct args a = { .probe = 32 };
	a.folio = read_u64((u64)ctx, 0);
	a.ret = read_u64((u64)ctx, 24);
	return ksm_swapin(&a);
}
int fentry_memory_failure(u64 *ctx)
{
	struct args a = { .probe = 33 };
	a.pfn = ctx[0];
	a.flags = (u32)ctx[1];
	return failure_enter(&a, HANDLER_MEMORY_FAILURE);
}
int fexit_memory_failure(u64 *ctx)
{
	struct args a = { .probe = 33 };
	a.pfn = ctx[0];
	a.flags = (u32)ctx[1];
	a.ret = ctx[2];
	return failure_exit(&a);
}
int fentry_soft_offline_page(u64 *ctx)
{
	struct args a = { .probe = 34 };
	a.pfn = ctx[0];
	a.flags = (u32)ctx[1];
	return failure_enter(&a, HANDLER_SOFT_OFFLINE);
}
int fexit_soft_offline_page(u64 *ctx)
{
	struct args a = { .probe = 34 };
	a.pfn = ctx[0];
	a.flags = (u32)ctx[1];
	a.ret = ctx[2];
	return failure_exit(&a);
}
int fentry_action_result(u64 *ctx)
{
	struct args a = { .probe = 35 };
	a.type = ctx[1];
	a.result = ctx[2];
	return action(&a);
}
int fentry_collect_procs(u64 *ctx)
{
	struct args a = { .probe = 36 };
	return collect_enter(&a);
}
int fexit_collect_procs(u64 *ctx)
{
	struct args a = { .probe = 36 };
	return collect_exit(&a);
}
int fentry___add_to_kill(u64 *ctx)
{
	struct args a = { .probe = 37 };
	return victim(&a);
}
int fentry_force_sig_mceerr(u64 *ctx)
{
	struct args a = { .probe = 38 };
	a.code = (u32)ctx[0];
	a.address = read_u64((u64)ctx, 8);
	a.lsb = ctx[2];
	return mceerr(&a);
}
int fentry_send_sig_mceerr(u64 *ctx)
{
	struct args a = { .probe = 39 };
	a.code = (u32)ctx[0];
	a.address = read_u64((u64)ctx, 8);
	a.lsb = ctx[2];
	a.task = read_u64((u64)ctx, 24);
	return mceerr(&a);
}
int fentry_migrate_pages(u64 *ctx)
{
	struct args a = { .probe = 40 };
	a.mode = ctx[4];
	a.reason = ctx[5];
	return migrate_enter(&a);
}
int fexit_migrate_pages(u64 *ctx)
{
	struct args a = { .probe = 40 };
	a.mode = ctx[4];
	a.reason = ctx[5];
	a.ret = ctx[7];
	return migrate_exit(&a);
}
int tracepoint_migrate_mm_migrate_pages(u8 *ctx)
{
	struct args a = { .probe = 41 };
	a.succeeded = *(u64 *)(ctx + 8);
	a.failed = *(u64 *)(ctx + 16);
	a.split = *(u64 *)(ctx + 40);
	a.reason = *(u32 *)(ctx + 60);
	return migrate_report(&a);
}
int fentry_rwsem_down_read_slowpath(u64 *ctx)
{
	struct args a = { .probe = 42 };
	a.lock = read_u64((u64)ctx, 0);
	return wait_enter(&a, MODE_READ);
}
int fexit_rwsem_down_read_slowpath(u64 *ctx)
{
	struct args a = { .probe = 42 };
	a.lock = read_u64((u64)ctx, 0);
	a.ret = read_u64((u64)ctx, 24);
	return wait_exit(&a);
}
int fentry_rwsem_down_write_slowpath(u64 *ctx)
{
	struct args a = { .probe = 43 };
	a.lock = read_u64((u64)ctx, 0);
	return wait_enter(&a, MODE_WRITE);
}
int fexit_rwsem_down_write_slowpath(u64 *ctx)
{
	struct args a = { .probe = 43 };
	a.lock = read_u64((u64)ctx, 0);
	a.ret = read_u64((u64)ctx, 16);
	return wait_exit(&a);
}
int fentry_copy_process(u64 *ctx)
{
	struct args a = { .probe = 44 };
	a.clone_args = read_u64((u64)ctx, 24);
	return fork_enter(&a);
}
int fexit_copy_process(u64 *ctx)
{
	struct args a = { .probe = 44 };
	a.clone_args = read_u64((u64)ctx, 24);
	a.ret = read_u64((u64)ctx, 32);
	return fork_exit(&a);
}
int fentry_dup_mmap(u64 *ctx)
{
	struct args a = { .probe = 45 };
	return mmap_enter(&a);
}
int fexit_dup_mmap(u64 *ctx)
{
	struct args a = { .probe = 45 };
	a.ret = ctx[2];
	return mmap_exit(&a);
}
int fentry_anon_vma_fork(u64 *ctx)
{
	struct args a = { .probe = 46 };
	return vma_enter(&a);
}
int fexit_anon_vma_fork(u64 *ctx)
{
	struct args a = { .probe = 46 };
	a.ret = ctx[2];
	return vma_exit(&a, STEP_ANON_VMA_FORK);
}
int fentry_anon_vma_clone(u64 *ctx)
{
	struct args a = { .probe = 47 };
	a.dst = read_u64((u64)ctx, 0);
	a.src = read_u64((u64)ctx, 8);
	return clone_enter(&a);
}
int fexit_anon_vma_clone(u64 *ctx)
{
	struct args a = { .probe = 47 };
	a.dst = read_u64((u64)ctx, 0);
	a.src = read_u64((u64)ctx, 8);
	a.ret = ctx[3];
	return clone_exit(&a);
}
int fentry_copy_page_range(u64 *ctx)
{
	struct args a = { .probe = 48 };
	return vma_enter(&a);
}
int fexit_copy_page_range(u64 *ctx)
{
	struct args a = { .probe = 48 };
	a.ret = ctx[2];
	return vma_exit(&a, STEP_COPY_PAGE_RANGE);
}
int fentry_do_wp_page(u64 *ctx)
{
	struct args a = { .probe = 49 };
	a.vmf = read_u64((u64)ctx, 0);
	return cow_enter(&a);
}
int fexit_do_wp_page(u64 *ctx)
{
	struct args a = { .probe = 49 };
	a.vmf = read_u64((u64)ctx, 0);
	a.ret = ctx[1];
	return cow_exit(&a);
}
int fentry_folio_move_anon_rmap(u64 *ctx)
{
	struct args a = { .probe = 50 };
	return cow_move(&a);
}
int calibrate_enter(u64 *ctx)
{
	struct args a = { .probe = 0 };
	u64 task = bpf_get_current_task();
	a.folio = task;
	asm volatile("" : "+r"(task));
	a.rwc = task;
	return walk_enter(&a, KIND_ANON);
}
int calibrate_step(u64 *ctx)
{
	struct args a = { .probe = 0 };
	u64 task = bpf_get_current_task();
	a.folio = task;
	asm volatile("" : "+r"(task));
	a.rwc = task;
	return step(&a);
}
int calibrate_exit(u64 *ctx)
{
	struct args a = { .probe = 0 };
	u64 task = bpf_get_current_task();
	a.folio = task;
	asm volatile("" : "+r"(task));
	a.rwc = task;
	return walk_exit(&a, KIND_ANON);
}
