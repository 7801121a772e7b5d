// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What every handler shares: the maps, the slot of the running thread, the accounts, the ring.
 *
 * No header of mm is included. Kernel memory is read at offsets that the generator took from BTF
 * (the defines before this text); an offset of -1 says that this kernel has no such member.
 */

/* Values as bytes: of a struct, bcc would compile code to print each of its members. */
struct cpu_state_bytes { char bytes[sizeof(struct cpu_state)]; };
struct work_bytes { char bytes[sizeof(struct work) * WORK_SLOTS]; };
struct control_bytes { char bytes[sizeof(struct control)]; };

BPF_F_TABLE("array", u32, struct cpu_state_bytes, state, POSSIBLE_CPUS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct work_bytes, work, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct control_bytes, control, 1, BPF_F_MMAPABLE);
/* One page in this text; the loader makes it as large as is asked for. */
BPF_RINGBUF_OUTPUT(events, 1);

static inline u64 read_u64(u64 base, s64 offset)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

static inline s32 read_s32(u64 base, s64 offset)
{
	s32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

static inline u8 read_u8(u64 base, s64 offset)
{
	u8 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

/*
 * What lies in a struct that an argument points to. Where the verifier knows the pointer's type it is
 * a load, which reads 0 where there is nothing; a helper does the same for twenty times as much.
 */
static inline u64 member_u64(struct args *a, u64 argument, s64 offset)
{
	return a->typed ? *(u64 *)(argument + offset) : read_u64(argument, offset);
}

static inline s32 member_s32(struct args *a, u64 argument, s64 offset)
{
	return a->typed ? *(s32 *)(argument + offset) : read_s32(argument, offset);
}

static inline u8 member_u8(struct args *a, u64 argument, s64 offset)
{
	return a->typed ? *(u8 *)(argument + offset) : read_u8(argument, offset);
}

static inline struct cpu_state *this_cpu(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return (struct cpu_state *)state.lookup(&cpu);
}

/*
 * The only value of a map, by address: nothing is looked up. The loader puts the map's descriptor
 * where the mark is.
 */
static inline void *value_of(u64 mark)
{
	return (void *)bpf_pseudo_fd(BPF_PSEUDO_MAP_VALUE, mark);
}

/* The slots of all threads are one value. */
static inline struct work *this_work(u32 tid)
{
	struct work *w = (struct work *)value_of(WORK_MARK) + (tid & (WORK_SLOTS - 1));

	asm volatile("" : "+r"(w)); /* one value, not the sum of two at each use */
	return w;
}

/*
 * An index that the verifier can see is below the limit, a constant. In assembly, since a compiler
 * may check the bound on one copy of the value and index with another, or compare the constant with
 * the value: v5.10 then also follows the way that the value's range excludes, and refuses it.
 */
#define bounded(index, limit) ({                                                        \
	u64 _at = (index);                                                              \
	asm volatile("if %0 < %1 goto +1\n\t%0 = %2"                                    \
		     : "+r"(_at) : "i"(limit), "i"((limit) - 1));                       \
	_at;                                                                            \
})

/*
 * A section is one thing that a thread can be inside of: a walk, a batch of reclaim, ... It lies in
 * the thread's slot, with its owner. Such things do not nest in themselves, so a section that the
 * same thread finds taken is left over from an exit that the kernel did not report (stale); one
 * that another thread holds is a collision, and the newcomer is counted and not followed.
 */
#define SECTION(name)                                                                   \
static inline bool name##_begins(struct cpu_state *st, struct work *w, u32 probe, u32 tid) \
{                                                                                       \
	st->accounts[probe].entries++;                                                  \
	if (w->name##_owner) {                                                          \
		if (w->name##_owner != tid) {                                           \
			st->accounts[probe].collided++;                                 \
			return false;                                                   \
		}                                                                       \
		st->accounts[bounded(w->name##_probe, PROBES)].stale++;                 \
	}                                                                               \
	w->name##_owner = tid;                                                          \
	w->name##_probe = probe;                                                        \
	return true;                                                                    \
}                                                                                       \
static inline bool name##_is_ours(struct cpu_state *st, struct work *w, u32 probe, u32 tid) \
{                                                                                       \
	if (w->name##_owner == tid && w->name##_probe == probe)                         \
		return true;                                                            \
	st->accounts[probe].unmatched++;                                                \
	return false;                                                                   \
}                                                                                       \
static inline void name##_ends(struct cpu_state *st, struct work *w, u32 probe)         \
{                                                                                       \
	st->accounts[probe].exits++;                                                    \
	w->name##_owner = 0;                                                            \
}

static inline u32 batch_of(struct work *w, u32 tid)
{
	return w->batch_owner == tid ? w->batch : 0;
}

/* What the reader wants. */
static inline struct control *controls(void)
{
	return (struct control *)value_of(CONTROL_MARK);
}

static inline bool wants_event(u32 type)
{
	return controls()->events & (1ULL << type);
}

/*
 * Room in the ring for an event of this type, its common fields filled; NULL where it is full.
 * Events of all types have the same size and begin alike.
 */
static inline void *new_event(struct cpu_state *st, struct work *w, u32 type, u64 now)
{
	u64 ids = bpf_get_current_pid_tgid();
	struct walk_event *e;

	st->produced[type - 1]++;
	e = events.ringbuf_reserve(sizeof(*e));
	if (!e) {
		st->lost[type - 1]++;
		return NULL;
	}
	e->time = now;
	e->tid = ids;
	e->tgid = ids >> 32;
	e->cpu = bpf_get_smp_processor_id();
	e->type = type;
	e->reserved = 0;
	e->batch = batch_of(w, ids);
	return e;
}

/*
 * Whether the VMAs of a walk that begins now are left out, of all walks but one in gate + 1. By
 * chance: reclaim walks in turns to reference and to unmap, and counting would take one of the two.
 */
static inline bool steps_gated(struct control *c)
{
	return c->gate && (bpf_get_prandom_u32() & c->gate);
}

/*
 * Bits that a value below 2^48 needs; a byte's are looked up. Without a branch where it can be, since
 * each would be two paths to verify.
 */
static inline u64 bit_length(u64 value)
{
	u64 bits = 0, byte;

	if (value >> 16) {
		bits = 16; value >>= 16;
		if (value >> 16) {
			bits = 32; value >>= 16;
		}
	}
	byte = (0xff - value) >> 63 << 3; /* 8 where it is above */
	return bits + byte + ((u8 *)controls()->bits)[value >> byte & 0xff];
}

/* Slot i of a duration holds (2^(i-1), 2^i] ns. */
static inline u64 duration_slot(u64 ns)
{
	u64 slot = ns ? bit_length(ns - 1) : 0;

	return bounded(slot, SLOTS);
}

/* Counts to EXACT_COUNTS have a slot each; then the bounds are powers of two. */
static inline u64 count_slot(u64 n)
{
	u64 slot = n <= EXACT_COUNTS ? n : bit_length(n - 1) + EXACT_COUNTS - EXACT_BITS;

	return bounded(slot, SLOTS);
}

static inline u64 pfn_of(u64 folio)
{
	if (!VMEMMAP_BASE_AT || !folio)
		return ~0ULL;
	return (folio - read_u64(VMEMMAP_BASE_AT, 0)) / STRUCT_PAGE_SIZE;
}

static inline bool is_large(u64 folio)
{
	return read_u64(folio, FOLIO_FLAGS) & (1ULL << PG_HEAD);
}

/* Page-table entries that map the folio; NOT_KNOWN for a large one where no field holds the sum. */
static inline s64 mapcount_of(struct args *a, u64 folio, u64 large)
{
	if (!folio)
		return NOT_KNOWN;
	if (!large)
		return member_s32(a, folio, FOLIO_MAPCOUNT) + 1;
	if (LARGE_MAPCOUNT < 0)
		return NOT_KNOWN;
	return read_s32(folio, LARGE_MAPCOUNT) + 1;
}

/* Base pages of the folio; 0 for a large one where no field holds their number. */
static inline u32 nr_pages_of(u64 folio)
{
	if (!is_large(folio))
		return 1;
	return LARGE_NR_PAGES < 0 ? 0 : read_s32(folio, LARGE_NR_PAGES);
}
