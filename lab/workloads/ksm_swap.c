/*
 * ksm_swap: KSM pages are swapped out, and the processes that shared them come back one by one.
 *
 * Who comes first gets the page itself, which is its own from then on; for the others it is a page
 * of a stranger's anon_vma, and each takes a copy: (N - 1) * P copies of P pages of N processes.
 *
 * The ledger on stdout is one JSON object a round.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "cgroup.h"
#include "ksm.h"
#include "pagemap.h"

#define GOES 20

static struct {
	long processes;
	long pages;
	long duration_s;
} options = { .processes = 5, .pages = 101 };

static struct worker *workers;

static void check(long page)
{
	if (*(volatile unsigned long *)(LEDGER_BASE + page * PAGE) !=
	    ((unsigned long)(page + 1) << 16) + 1) {
		fprintf(stderr, "page %ld has lost its content\n", page);
		_exit(1);
	}
}

static long obey(long number, char command)
{
	long swapped = 0;

	(void)number;
	if (command == 'm')
		map_mergeable(LEDGER_BASE, options.pages);
	for (long page = 0; page < options.pages; page++)
		switch (command) {
		case 'm':
			fill_page((void *)(LEDGER_BASE + page * PAGE), page + 1);
			break;
		case 's':
			swapped += is_swapped(LEDGER_BASE + page * PAGE);
			break;
		default:
			check(page);
		}
	return swapped;
}

static long tell_all(char command)
{
	long sum = 0;

	for (long n = 0; n < options.processes; n++)
		sum += tell(&workers[n], command);
	return sum;
}

/* Reclaim until every mapping is a swap entry: what was used lately takes more than one go. */
static long swap_all(void)
{
	long swapped = 0;

	for (int go = 0; go < GOES && swapped < options.processes * options.pages; go++) {
		reclaim(64UL << 20);
		swapped = tell_all('s');
	}
	return swapped;
}

static void run_round(void)
{
	long sharing = (options.processes - 1) * options.pages;

	ksm_run(2 * options.processes * options.pages);
	ksm_wait_sharing(sharing);
	ksm_stop();
	open_object(NULL);
	field("workload", "\"ksm_swap\"");
	field("processes", "%ld", options.processes);
	field("pages", "%ld", options.pages);
	field("swapped", "%ld", swap_all());
	tell_all('t');
	field("left", "%ld", tell_all('s'));
	ksm_field("ksm");
	end_ledger();
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "processes", required_argument, NULL, 'n' },
		{ "pages", required_argument, NULL, 'p' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'n': options.processes = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		case 'd': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: ksm_swap [--processes N] [--pages P] [--duration S]\n");
			exit(2);
		}
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	workers = calloc(options.processes, sizeof(*workers));
	if (!workers)
		die("calloc");
	atexit(leave_cgroup);
	enter_cgroup("ksm_swap");
	for (long n = 0; n < options.processes; n++)
		workers[n] = start_worker(n, obey);
	tell_all('m');
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	for (long n = 0; n < options.processes; n++)
		stop_worker(&workers[n]);
	ksm_forget();
	return 0;
}
