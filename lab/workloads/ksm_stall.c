/*
 * ksm_stall: one KSM page, mapped many times by a process whose VMAs all hang on one anon_vma.
 *
 * For every place that maps the page, a walk goes through the tree of all V VMAs of the process to
 * find the one that covers it. The page is moved away (MADV_SOFT_OFFLINE): one walk unmaps it and
 * may stop when no mapping is left, one restores the mappings and looks everywhere, twice.
 *
 * The ledger on stdout is one JSON object a round.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "ksm.h"
#include "poison.h"

static struct {
	long vmas;
	long pages;
	long duration_s;
} options = { .vmas = 5003, .pages = 31 };

/* The pages that are merged lie apart: between two of them is one of other protection. */
static unsigned long address_of(long page)
{
	return LEDGER_BASE + 2 * page * PAGE;
}

static void make_vmas(void)
{
	map_mergeable(LEDGER_BASE, options.vmas);
	/* The first page brings the anon_vma, which every VMA that is split off shares. */
	fill_page((void *)LEDGER_BASE, 1);
	for (long page = 1; page < options.vmas; page += 2)
		if (mprotect((void *)(LEDGER_BASE + page * PAGE), PAGE, PROT_READ))
			die("mprotect");
	for (long page = 0; page < options.pages; page++)
		fill_page((void *)address_of(page), 1);
}

static void run_round(void)
{
	unsigned long before = pfn_of(LEDGER_BASE);
	int error = madvise((void *)LEDGER_BASE, PAGE, MADV_SOFT_OFFLINE) ? errno : 0;

	open_object(NULL);
	field("workload", "\"ksm_stall\"");
	field("vmas", "%ld", options.vmas);
	field("pages", "%ld", options.pages);
	field("errno", "%d", error);
	field("before", "%lu", before);
	field("after", "%lu", pfn_of(LEDGER_BASE));
	ksm_field("ksm");
	end_ledger();
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "vmas", required_argument, NULL, 'v' },
		{ "pages", required_argument, NULL, 'p' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'v': options.vmas = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		case 'd': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: ksm_stall [--vmas V] [--pages P] [--duration S]\n");
			exit(2);
		}
	if (2 * options.pages > options.vmas) {
		fprintf(stderr, "usage: of V VMAs, at most half can hold one of P pages\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	make_vmas();
	ksm_run(2 * options.pages);
	ksm_wait_sharing(options.pages - 1);
	ksm_stop();
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	munmap((void *)LEDGER_BASE, options.vmas * PAGE);
	ksm_forget();
	return 0;
}
