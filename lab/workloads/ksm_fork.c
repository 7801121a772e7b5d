/*
 * ksm_fork: KSM pages of a process that has forked, moved away before and after ksmd has seen the
 * children.
 *
 * Each of P pages is mapped K times by the parent and K times by each of F children. Before ksmd
 * has seen the children, a walk finds their mappings by way of the parent's K places and its
 * anon_vma. Afterwards each child has places of its own, whose anon_vma is the child's.
 *
 * The ledger on stdout is one JSON object a round.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "ksm.h"
#include "poison.h"

static struct {
	long pages;
	long copies;
	long children;
	long duration_s;
} options = { .pages = 11, .copies = 3, .children = 5 };

static struct worker *workers;

static long obey(long number, char command)
{
	(void)number;
	(void)command;
	return 0;
}

static unsigned long address_of(long page, long copy)
{
	return LEDGER_BASE + (page * options.copies + copy) * PAGE;
}

static void fill(void)
{
	map_mergeable(LEDGER_BASE, options.pages * options.copies);
	for (long page = 0; page < options.pages; page++)
		for (long copy = 0; copy < options.copies; copy++)
			fill_page((void *)address_of(page, copy), page + 1);
}

/* Have ksmd see every mapping of so many processes. */
static void merge(long processes)
{
	ksm_run(4 * processes * options.pages * options.copies);
	ksm_wait_sharing((processes * options.copies - 1) * options.pages);
	ksm_stop();
}

static void move_all(const char *key)
{
	open_list(key);
	for (long page = 0; page < options.pages; page++) {
		unsigned long address = address_of(page, 0), before = pfn_of(address);
		int error = madvise((void *)address, PAGE, MADV_SOFT_OFFLINE) ? errno : 0;

		open_object(NULL);
		field("errno", "%d", error);
		field("before", "%lu", before);
		field("after", "%lu", pfn_of(address));
		close_object();
	}
	close_list();
}

static void run_round(void)
{
	open_object(NULL);
	field("workload", "\"ksm_fork\"");
	field("pages", "%ld", options.pages);
	field("copies", "%ld", options.copies);
	field("children", "%ld", options.children);
	move_all("unseen");
	merge(options.children + 1);
	move_all("seen");
	ksm_field("ksm");
	end_ledger();
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "copies", required_argument, NULL, 'k' },
		{ "children", required_argument, NULL, 'c' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'p': options.pages = positive(optarg); break;
		case 'k': options.copies = positive(optarg); break;
		case 'c': options.children = positive(optarg); break;
		case 'd': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: ksm_fork [--pages P] [--copies K] [--children F]"
				" [--duration S]\n");
			exit(2);
		}
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	workers = calloc(options.children, sizeof(*workers));
	if (!workers)
		die("calloc");
	fill();
	merge(1);
	for (long n = 0; n < options.children; n++)
		workers[n] = start_worker(n, obey);
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	for (long n = 0; n < options.children; n++)
		stop_worker(&workers[n]);
	munmap((void *)LEDGER_BASE, options.pages * options.copies * PAGE);
	ksm_forget();
	return 0;
}
