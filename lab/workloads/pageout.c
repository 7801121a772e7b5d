/*
 * pageout: memory that is taken although it is in use, and memory that reclaim finds locked.
 *
 * P anonymous pages that were used a moment ago are given to madvise(MADV_PAGEOUT). Then a huge page
 * is locked by two calls of mlock(2), one for each half. Neither call sees a page that lies within
 * what it locks, so none is marked; but then it lies within locked memory, which is for reclaim to
 * find out.
 *
 * The ledger on stdout is one JSON object a round.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <linux/kernel-page-flags.h>

#include "cgroup.h"
#include "pagemap.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define HUGE_PAGES 512L
#define HUGE_BASE (LEDGER_BASE + (1UL << 30))

/* How often reclaim is asked for: what was used lately takes more than one go. */
#define GOES 6

static struct {
	long pages;
	long duration_s;
} options = { .pages = 211 };

static void map_private(unsigned long base, long pages, int advice)
{
	if (mmap((void *)base, pages * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)base)
		die("mmap");
	/* EINVAL: a kernel without huge pages. */
	if (madvise((void *)base, pages * PAGE, advice) && errno != EINVAL)
		die("madvise");
	for (long page = 0; page < pages; page++)
		*(volatile long *)(base + page * PAGE) = page + 1;
}

static void unmap(unsigned long base, long pages)
{
	if (munmap((void *)base, pages * PAGE))
		die("munmap");
}

static long in_swap(unsigned long base, long pages)
{
	long found = 0;

	for (long page = 0; page < pages; page++)
		found += is_swapped(base + page * PAGE);
	return found;
}

static void range_fields(unsigned long base, long pages)
{
	field("pages", "%ld", pages);
	field("first_index", "%lu", base / PAGE);
	field("last_index", "%lu", base / PAGE + pages - 1);
}

/* What is used this moment is paged out all the same. */
static void page_out(void)
{
	map_private(LEDGER_BASE, options.pages, MADV_NOHUGEPAGE);
	drain_lru(LEDGER_BASE);
	if (madvise((void *)LEDGER_BASE, options.pages * PAGE, MADV_PAGEOUT))
		die("MADV_PAGEOUT");
	open_object("advised");
	range_fields(LEDGER_BASE, options.pages);
	field("in_swap", "%ld", in_swap(LEDGER_BASE, options.pages));
	close_object();
	unmap(LEDGER_BASE, options.pages);
}

/* Pages that were marked as locked, so far. */
static long long marked(void)
{
	return counter_of("/proc/vmstat", "unevictable_pgs_mlocked");
}

static void must_be_huge(void)
{
	unsigned long pfn = pfn_of(HUGE_BASE);

	if (pfn && word_of_frame("/proc/kpageflags", pfn) >> KPF_THP & 1)
		return;
	fprintf(stderr, "the kernel gave no huge page\n");
	exit(1);
}

static void lock_half(unsigned long base)
{
	if (mlock((void *)base, HUGE_PAGES / 2 * PAGE))
		die("mlock");
}

/* What mlock(2) has missed is found by reclaim. */
static void lock_by_halves(void)
{
	long long before, missed, found = 0;

	map_private(HUGE_BASE, HUGE_PAGES, MADV_HUGEPAGE);
	must_be_huge();
	drain_lru(HUGE_BASE);
	before = marked();
	lock_half(HUGE_BASE);
	lock_half(HUGE_BASE + HUGE_PAGES / 2 * PAGE);
	missed = HUGE_PAGES - (marked() - before);
	before = marked();
	for (int go = 0; go < GOES && !found; go++) {
		reclaim(2 * HUGE_PAGES * PAGE);
		found = marked() - before;
	}
	open_object("locked");
	range_fields(HUGE_BASE, HUGE_PAGES);
	field("missed", "%lld", missed);
	field("found", "%lld", found);
	field("in_swap", "%ld", in_swap(HUGE_BASE, HUGE_PAGES));
	close_object();
	unmap(HUGE_BASE, HUGE_PAGES);
}

static void run_round(void)
{
	open_object(NULL);
	field("workload", "\"pageout\"");
	field("cgroup_id", "%llu", cgroup_id());
	page_out();
	lock_by_halves();
	end_ledger();
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'p': options.pages = positive(optarg); break;
		case 'd': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: pageout [--pages P] [--duration S]\n");
			exit(2);
		}
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	atexit(leave_cgroup);
	enter_cgroup("pageout");
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	return 0;
}
