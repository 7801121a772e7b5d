/*
 * fork_storm: a parent and its children share anonymous pages, each child writes its own copies,
 * and reclaim is made to look at all of them.
 *
 * Every page has two histories. A child's copy lies in the child's own anon_vma, so a walk enters
 * one VMA. The parent's page lies in the root anon_vma, which every child's VMA is linked to: a
 * walk that may stop early enters one VMA, since the parent is the first; one that may not
 * (restore after a migration) enters children + 1.
 *
 * The ledger on stdout is one JSON object a round, written when the round is over.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "kpage.h"
#include "ledger.h"

struct options {
	long children;
	long pages;
	long hold_ms;
	long rounds;
	long duration_s;
	long cow;
	unsigned long reclaim_bytes;
};

/* Shared by all processes: the barrier between rounds. */
struct barrier {
	atomic_int round;
	atomic_int arrived;
};

static struct options options = {
	.children = 23, .pages = 101, .hold_ms = 0, .rounds = 1, .cow = -1,
};
static struct barrier *barrier;
static pid_t *children;
static unsigned long *pfns;

/* Give each page content of its own, so that neither KSM nor zram finds two alike. */
static void touch(long owner, long round)
{
	for (long page = 0; page < options.pages; page++) {
		unsigned long *word = (void *)(LEDGER_BASE + page * PAGE);

		word[0] = owner;
		word[1] = page;
		word[2] = round;
	}
}

static void check(long owner, long round)
{
	for (long page = 0; page < options.pages; page++) {
		unsigned long *word = (void *)(LEDGER_BASE + page * PAGE);

		if (word[0] != (unsigned long)owner || word[1] != (unsigned long)page ||
		    word[2] != (unsigned long)round) {
			fprintf(stderr, "owner %ld: page %ld has lost its content\n", owner, page);
			_exit(1);
		}
	}
}

/* ---- processes --------------------------------------------------------------------------- */

static int copies(long child)
{
	return options.cow < 0 || child < options.cow;
}

/*
 * Sleep without ever waking to look: a child that polled would fault its pages in again while
 * reclaim takes them out.
 */
static void wait_for_round(int round)
{
	while (atomic_load(&barrier->round) < round)
		syscall(SYS_futex, &barrier->round, FUTEX_WAIT, round - 1, NULL, NULL, 0);
}

static void begin_round(int round)
{
	atomic_store(&barrier->arrived, 0);
	atomic_store(&barrier->round, round);
	syscall(SYS_futex, &barrier->round, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Child number n writes its copies, says so, and holds them until it is killed. */
static void child_main(long n)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (long round = 1;; round++) {
		wait_for_round(round);
		if (copies(n)) {
			if (round > 1)
				check(n + 1, round - 1);
			touch(n + 1, round);
		}
		atomic_fetch_add(&barrier->arrived, 1);
	}
}

static void fork_children(void)
{
	for (long n = 0; n < options.children; n++) {
		children[n] = fork();
		if (children[n] < 0)
			die("fork");
		if (!children[n])
			child_main(n);
	}
}

/* A child that ends before it is told to has failed. */
static void all_alive(void)
{
	if (waitpid(-1, NULL, WNOHANG) > 0) {
		fprintf(stderr, "a child has ended by itself\n");
		exit(1);
	}
}

static void run_children(long round)
{
	begin_round(round);
	while (atomic_load(&barrier->arrived) < options.children) {
		all_alive();
		nap_ms(1);
	}
}

static void stop_children(void)
{
	for (long n = 0; n < options.children; n++)
		if (children[n] > 0) {
			kill(children[n], SIGKILL);
			if (waitpid(children[n], NULL, 0) < 0 && errno != ECHILD)
				perror("waitpid");
		}
}

static void cleanup(void)
{
	stop_children();
	leave_cgroup();
}

/* ---- one round --------------------------------------------------------------------------- */

static long copying_children(void)
{
	if (options.cow < 0 || options.cow > options.children)
		return options.children;
	return options.cow;
}

/* All copies of the region that there are: the parent's, and one a copying child. */
static unsigned long region_bytes(void)
{
	return (copying_children() + 1) * options.pages * PAGE;
}

static void describe(long round)
{
	field("workload", "\"fork_storm\"");
	field("round", "%ld", round);
	field("parent", "%d", getpid());
	field("first_child", "%d", options.children ? children[0] : 0);
	field("last_child", "%d", options.children ? children[options.children - 1] : 0);
	field("children", "%ld", options.children);
	field("copying_children", "%ld", copying_children());
	field("pages", "%ld", options.pages);
	field("page_bytes", "%lu", PAGE);
	field("base", "%lu", LEDGER_BASE);
	field("first_index", "%lu", LEDGER_BASE / PAGE);
	field("last_index", "%lu", LEDGER_BASE / PAGE + options.pages - 1);
	field("cgroup", "\"%s\"", cgroup);
	field("cgroup_id", "%llu", cgroup_id());
}

/* How often the frames of the region are mapped, and as what, while all copies are in memory. */
static void kpage_field(void)
{
	struct census parents = { 0 }, copies = { 0 };

	frames_of(getpid(), LEDGER_BASE, options.pages, pfns);
	take_census(&parents, pfns, options.pages, 1 + options.children - copying_children());
	for (long n = 0; n < copying_children(); n++) {
		frames_of(children[n], LEDGER_BASE, options.pages, pfns);
		take_census(&copies, pfns, options.pages, 1);
	}
	open_object("kpage");
	census_field("parent", &parents);
	census_field("copies", &copies);
	close_object();
}

static void run_round(long round, unsigned long long forked)
{
	unsigned long long cowed, begin;
	unsigned long asked, before;

	if (round > 1)
		touch(0, round);
	run_children(round);
	cowed = now_ns();
	open_object(NULL);
	describe(round);
	kpage_field();
	before = cgroup_bytes();
	asked = options.reclaim_bytes ? options.reclaim_bytes : region_bytes();
	vmstat_field("vmstat_before");
	begin = now_ns();
	reclaim(asked);
	field("reclaim_end_ns", "%llu", now_ns());
	vmstat_field("vmstat_after");
	field("reclaim_begin_ns", "%llu", begin);
	field("forked_ns", "%llu", forked);
	field("cowed_ns", "%llu", cowed);
	field("trigger", "\"%s\"", trigger());
	field("asked_bytes", "%lu", asked);
	field("cgroup_bytes_before", "%lu", before);
	field("cgroup_bytes_after", "%lu", cgroup_bytes());
	end_ledger();
	nap_ms(options.hold_ms);
	check(0, round);
	all_alive();
}

/* ---- set up ------------------------------------------------------------------------------ */

static void map_memory(void)
{
	void *base = (void *)LEDGER_BASE;
	size_t bytes = options.pages * PAGE;

	if (mmap(base, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != base)
		die("mmap");
	/* EINVAL: a kernel without huge pages has none to advise against. */
	if (madvise(base, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	barrier = mmap(NULL, sizeof(*barrier), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (barrier == MAP_FAILED)
		die("mmap");
	children = calloc(options.children + 1, sizeof(*children));
	pfns = calloc(options.pages, sizeof(*pfns));
	if (!children || !pfns)
		die("calloc");
}

static void usage(void)
{
	fprintf(stderr,
		"usage: fork_storm [--children C] [--pages P] [--hold-ms MS] [--rounds R]\n"
		"                  [--duration S] [--cow N] [--reclaim-bytes B]\n"
		"  --duration S       rounds until S seconds are over, instead of a number of them\n"
		"  --cow N            only the first N children write; default: all\n"
		"  --reclaim-bytes B  default: all copies of the pages\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "children", required_argument, NULL, 'c' },
		{ "pages", required_argument, NULL, 'p' },
		{ "hold-ms", required_argument, NULL, 'h' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "duration", required_argument, NULL, 'd' },
		{ "cow", required_argument, NULL, 'w' },
		{ "reclaim-bytes", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c': options.children = number(optarg, 0, usage); break;
		case 'p': options.pages = number(optarg, 1, usage); break;
		case 'h': options.hold_ms = number(optarg, 0, usage); break;
		case 'r': options.rounds = number(optarg, 1, usage); break;
		case 'd': options.duration_s = number(optarg, 1, usage); break;
		case 'w': options.cow = number(optarg, 0, usage); break;
		case 'b': options.reclaim_bytes = number(optarg, 1, usage); break;
		default: usage();
		}
	}
	if (optind != argc)
		usage();
}

static volatile sig_atomic_t told_to_stop;

static void stop(int signal)
{
	(void)signal;
	told_to_stop = 1;
}

static int over(long round, unsigned long long end)
{
	if (told_to_stop)
		return 1;
	return options.duration_s ? now_ns() >= end : round > options.rounds;
}

int main(int argc, char **argv)
{
	unsigned long long forked, end;

	parse(argc, argv);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	map_memory();
	atexit(cleanup);
	enter_cgroup("fork_storm");
	touch(0, 1);
	fork_children();
	forked = now_ns();
	end = forked + options.duration_s * 1000000000ULL;
	for (long round = 1; !over(round, end); round++)
		run_round(round, forked);
	return 0;
}
