/*
 * ksm_merge: processes hold the same pages, ksmd merges them, and one process writes to some.
 *
 * P pages in N processes: P become KSM pages, (N - 1) * P join them. C writes take C copies, and
 * ksmd lets go of the C places that were written to.
 *
 * The ledger on stdout is one JSON object a round, written when the round is over.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "ksm.h"

struct options {
	long processes;
	long pages;
	long cow;
	long duration_s;
};

static struct options options = { .processes = 7, .pages = 101, .cow = 13 };
static struct worker *workers;

static long obey(long number, char command)
{
	if (command == 'm')
		map_mergeable(LEDGER_BASE, options.pages);
	if (command == 'm' || command == 'f')
		for (long page = 0; page < options.pages; page++)
			fill_page((void *)(LEDGER_BASE + page * PAGE), page + 1);
	if (command == 'w')
		for (long page = 0; page < options.cow; page++)
			fill_page((void *)(LEDGER_BASE + page * PAGE),
				  (number + 1) * options.pages + page + 1);
	return 0;
}

static void tell_all(char command)
{
	for (long n = 0; n < options.processes; n++)
		tell(&workers[n], command);
}

static void run_round(long sharing)
{
	open_object(NULL);
	field("workload", "\"ksm_merge\"");
	field("processes", "%ld", options.processes);
	field("pages", "%ld", options.pages);
	field("cow", "%ld", options.cow);
	ksm_field("before");
	vmstat_field("vmstat_before");
	ksm_run(2 * options.processes * options.pages);
	ksm_wait_sharing(sharing);
	ksm_stop();
	ksm_field("merged");
	tell(&workers[0], 'w');
	ksm_run(2 * options.processes * options.pages);
	ksm_wait_sharing(sharing - options.cow);
	ksm_stop();
	ksm_field("after");
	vmstat_field("vmstat_after");
	end_ledger();
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "processes", required_argument, NULL, 'n' },
		{ "pages", required_argument, NULL, 'p' },
		{ "cow", required_argument, NULL, 'c' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'n': options.processes = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		case 'c': options.cow = positive(optarg); break;
		case 'd': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: ksm_merge [--processes N] [--pages P] [--cow C]"
				" [--duration S]\n");
			exit(2);
		}
	}
	if (optind != argc || options.cow > options.pages || options.processes < 2)
		exit(2);
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	workers = calloc(options.processes, sizeof(*workers));
	if (!workers)
		die("calloc");
	for (long n = 0; n < options.processes; n++)
		workers[n] = start_worker(n, obey);
	tell_all('m');
	run_round((options.processes - 1) * options.pages);
	while (now_ns() < end) {
		tell(&workers[0], 'f');
		run_round((options.processes - 1) * options.pages);
	}
	for (long n = 0; n < options.processes; n++)
		stop_worker(&workers[n]);
	ksm_forget();
	return 0;
}
