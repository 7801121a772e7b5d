/* ksmd, and memory for it to merge. */
#ifndef RMAPWATCH_KSM_H
#define RMAPWATCH_KSM_H

#include <sys/mman.h>

#include "system.h"

#define KSM "/sys/kernel/mm/ksm/"

/* A pass in which nothing is left to do takes this many: checksums settle first. */
#define PASSES_TO_SETTLE 3
#define PATIENCE_MS 60000

static inline void ksm_field(const char *key)
{
	static const char *const wanted[] = {
		"pages_shared", "pages_sharing", "pages_unshared", "full_scans",
		"stable_node_chains", "stable_node_dups",
	};
	char path[64];

	open_object(key);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		snprintf(path, sizeof(path), KSM "%s", wanted[i]);
		field(wanted[i], "%ld", read_number(path));
	}
	close_object();
}

/* Have ksmd scan `pages` pages at a time, often. */
static inline void ksm_run(unsigned long pages)
{
	must_write_number(KSM "pages_to_scan", pages);
	must_write_number(KSM "sleep_millisecs", 10);
	must_write(KSM "run", "1");
}

/* Comes back when ksmd has finished what it was doing. */
static inline void ksm_stop(void)
{
	must_write(KSM "run", "0");
}

/*
 * Have KSM forget all that it has merged, so that what comes next starts from nothing. The
 * processes must be gone, or their memory unmapped: pages that are still mapped would be copied.
 */
static inline void ksm_forget(void)
{
	must_write(KSM "run", "2");
	must_write(KSM "run", "0");
}

/* Wait until as many pages share another one, and ksmd finds no more to do. */
static inline void ksm_wait_sharing(long sharing)
{
	long end = read_number(KSM "full_scans") + PASSES_TO_SETTLE;

	for (long waited = 0; waited < PATIENCE_MS; waited += 5) {
		if (read_number(KSM "pages_sharing") != sharing)
			end = read_number(KSM "full_scans") + PASSES_TO_SETTLE;
		else if (read_number(KSM "full_scans") >= end)
			return;
		nap_ms(5);
	}
	fprintf(stderr, "ksmd: %ld pages are shared, %ld were expected\n",
		read_number(KSM "pages_sharing"), sharing);
	exit(1);
}

/* Give a page content that only pages of the same number have. */
static inline void fill_page(void *page, unsigned long number)
{
	unsigned long *word = page;

	for (size_t i = 0; i < PAGE / sizeof(*word); i++)
		word[i] = (number << 16) + i + 1;
}

/* Map memory that may be merged, at `address`; nothing is in it yet. */
static inline void map_mergeable(unsigned long address, long pages)
{
	void *base = (void *)address;

	if (mmap(base, pages * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != base)
		die("mmap");
	if (madvise(base, pages * PAGE, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	if (madvise(base, pages * PAGE, MADV_MERGEABLE))
		die("madvise");
}

#endif
