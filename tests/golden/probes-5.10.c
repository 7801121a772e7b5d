#include <uapi/linux/ptrace.h>
#define POSSIBLE_CPUS 2
#define RING_PAGES 256
#define WORK_SLOTS 4096
#define SLOTS 36
#define EXACT_COUNTS 16
#define EXACT_BITS 4
#define NOT_KNOWN (-1)
#define PROBES 8
#define OPS 10
#define CALLERS 2
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
#define PG_HEAD 16
#define PG_SWAPBACKED 19
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
struct cpu_state {
	struct account accounts[8];
	struct walk_cell walks[30];
	u64 references[16];
	u64 stray_steps;
	u64 produced[2];
	u64 lost[2];
};
struct work {
	u64 owner;
	u64 probe;
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
struct args { u32 probe; u64 folio; u64 rwc; u64 mapping; u64 index; u64 locked; u64 is_locked; u64 vm_flags; u64 ret; };
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

/* rmap.bpf.c */

int fentry_rmap_walk_anon(u64 *ctx)
{
	struct args a = { .probe = 0 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = ctx[2];
	return walk_enter(&a, KIND_ANON);
}
int fexit_rmap_walk_anon(u64 *ctx)
{
	struct args a = { .probe = 0 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = ctx[2];
	return walk_exit(&a, KIND_ANON);
}
int fentry_rmap_walk_file(u64 *ctx)
{
	struct args a = { .probe = 1 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = ctx[2];
	return walk_enter(&a, KIND_FILE);
}
int fexit_rmap_walk_file(u64 *ctx)
{
	struct args a = { .probe = 1 };
	bpf_probe_read_kernel(&a.folio, 8, &ctx[0]);
	bpf_probe_read_kernel(&a.rwc, 8, &ctx[1]);
	a.locked = ctx[2];
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
	a.is_locked = ctx[1];
	bpf_probe_read_kernel(&a.vm_flags, 8, &ctx[3]);
	a.ret = ctx[4];
	return reference_exit(&a);
}
