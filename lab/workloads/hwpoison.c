/*
 * hwpoison: pages of every kind fail, one after the other, and each process writes down what it is
 * told: at once, or when it touches its page afterwards.
 *
 * The ledger on stdout is one JSON object, with a row per failure.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "ksm.h"
#include "poison.h"

#define CORRUPT_PFN "/sys/kernel/debug/hwpoison/corrupt-pfn"
#define MOST 5

enum kind { ANON, SHMEM, CLEAN_FILE, DIRTY_FILE, HUGETLB, THP, MERGED };
enum policy { DEFAULT, EARLY, LATE, MIXED };

struct failure {
	const char *name;
	enum kind kind;
	int by_madvise;
	int processes;
	enum policy policy;
	int again;
};

static const char *const kinds[] = {
	"anon", "shmem", "clean_file", "dirty_file", "hugetlb", "thp", "ksm",
};
static const char *const policies[] = { "default", "early", "late" };

static const struct failure failures[] = {
	{ "anon, by madvise", ANON, 1, 1, DEFAULT, 0 },
	{ "anon, late", ANON, 0, 1, LATE, 0 },
	{ "anon, early", ANON, 0, 1, EARLY, 0 },
	{ "anon, early, by madvise", ANON, 1, 1, EARLY, 0 },
	{ "anon, twice", ANON, 0, 1, LATE, 1 },
	{ "process tree", ANON, 0, 5, MIXED, 0 },
	{ "process tree, by madvise", ANON, 1, 3, MIXED, 0 },
	{ "shared memory", SHMEM, 0, 2, EARLY, 0 },
	{ "clean file", CLEAN_FILE, 0, 2, EARLY, 0 },
	{ "dirty file", DIRTY_FILE, 0, 2, EARLY, 0 },
	{ "dirty file, late", DIRTY_FILE, 1, 1, LATE, 0 },
	{ "hugetlb", HUGETLB, 0, 1, EARLY, 0 },
	{ "huge page", THP, 0, 1, EARLY, 0 },
	{ "KSM page", MERGED, 0, 3, EARLY, 0 },
};
#define FAILURES (sizeof(failures) / sizeof(*failures))

static struct report *reports;
static const char *directory = "/tmp";
static const struct failure *now;
static unsigned long base = LEDGER_BASE;
static struct worker workers[MOST];

static enum policy policy_of(long number)
{
	return now->policy == MIXED ? (number % 2 ? LATE : EARLY) : now->policy;
}

static size_t extent(void)
{
	return now->kind == HUGETLB || now->kind == THP ? HUGE_PAGE : PAGE;
}

/* ---- the process that holds the page ------------------------------------------------------ */

static void set_policy(enum policy policy)
{
	int value = policy == EARLY ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE;

	if (policy != DEFAULT && prctl(PR_MCE_KILL, PR_MCE_KILL_SET, value, 0, 0))
		die("prctl");
}

static long obey(long number, char command)
{
	switch (command) {
	case 'b':
		listen_for_sigbus(&reports[number]);
		set_policy(policy_of(number));
		if (now->kind == MERGED) {
			map_mergeable(base, 1);
			fill_page((void *)base, 1);
		} else {
			*(volatile char *)base;
		}
		return 0;
	case 'p':
		return pfn_of(base);
	case 'm':
		return madvise((void *)base, extent(), MADV_HWPOISON) ? errno : 0;
	default:
		return touch((void *)base);
	}
}

/* ---- the page ------------------------------------------------------------------------------ */

static int open_file(void)
{
	char path[128];
	int fd;

	/* A file of its own for each: an error that fsync() has not told of waits for the next. */
	snprintf(path, sizeof(path), "%s/page%lx", directory, base);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, PAGE) || write(fd, path, sizeof(path)) < 0 || fsync(fd))
		die(path);
	return fd;
}

/* Map the page; those who are forked from now on have it too. */
static void map_page(void)
{
	int flags = MAP_FIXED_NOREPLACE, fd = -1;

	if (now->kind == MERGED)
		return;
	if (now->kind == CLEAN_FILE || now->kind == DIRTY_FILE) {
		fd = open_file();
		flags |= MAP_SHARED;
	} else {
		flags |= MAP_ANONYMOUS | (now->kind == SHMEM ? MAP_SHARED : MAP_PRIVATE);
		flags |= now->kind == HUGETLB ? MAP_HUGETLB : 0;
	}
	if (mmap((void *)base, extent(), PROT_READ | PROT_WRITE, flags, fd, 0) != (void *)base)
		die("mmap");
	if (now->kind == THP || now->kind == ANON)
		madvise((void *)base, extent(), now->kind == THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (now->kind != CLEAN_FILE)
		*(volatile char *)base = 1;
	if (fd >= 0)
		close(fd);
}

static void merge_page(void)
{
	if (now->kind != MERGED)
		return;
	ksm_run(100);
	ksm_wait_sharing(now->processes - 1);
	ksm_stop();
}

/* ---- one failure --------------------------------------------------------------------------- */

static long inject(unsigned long pfn)
{
	char text[32];

	if (now->by_madvise)
		return tell(&workers[0], 'm');
	snprintf(text, sizeof(text), "%lu", pfn);
	return write_file(CORRUPT_PFN, text) ? errno : 0;
}

static void describe_process(long number)
{
	struct report *report = &reports[number];

	open_object(NULL);
	field("pid", "%d", workers[number].pid);
	field("policy", "\"%s\"", policies[policy_of(number)]);
	field("current", "%s", now->by_madvise && !number ? "true" : "false");
	open_list("signals");
	for (int n = 0; n < report->signals && n < SIGNALS; n++) {
		open_object(NULL);
		field("code", "%d", report->told[n].code);
		field("lsb", "%d", report->told[n].lsb);
		field("touching", "%s", report->told[n].touching ? "true" : "false");
		field("address", "%lu", report->told[n].address);
		close_object();
	}
	close_list();
	close_object();
}

static void describe(unsigned long pfn, long returned, int poisoned)
{
	open_object(NULL);
	field("failure", "\"%s\"", now->name);
	field("kind", "\"%s\"", kinds[now->kind]);
	field("injector", "\"%s\"", now->by_madvise ? "madvise" : "corrupt_pfn");
	field("poisoned", "%s", poisoned ? "true" : "false");
	field("pfn", "%lu", pfn);
	field("errno", "%ld", returned);
	field("address", "%lu", base);
	open_list("processes");
	for (long n = 0; n < now->processes; n++)
		describe_process(n);
	close_list();
	close_object();
}

static void fail(void)
{
	unsigned long pfn;
	long returned;

	memset(reports, 0, MOST * sizeof(*reports));
	map_page();
	for (long n = 0; n < now->processes; n++)
		workers[n] = start_worker(n, obey);
	if (now->kind != MERGED)
		munmap((void *)base, extent());
	for (long n = 0; n < now->processes; n++)
		tell(&workers[n], 'b');
	merge_page();
	pfn = tell(&workers[0], 'p');
	returned = inject(pfn);
	/* Each obeys once more, so that it has been told by now of what was sent. */
	for (long n = 0; n < now->processes; n++)
		tell(&workers[n], 'p');
	for (long n = 0; n < now->processes; n++)
		tell(&workers[n], 't');
	describe(pfn, returned, 0);
	if (now->again) {
		memset(reports, 0, MOST * sizeof(*reports));
		describe(pfn, inject(pfn), 1);
	}
	for (long n = 0; n < now->processes; n++)
		stop_worker(&workers[n]);
	if (now->kind == MERGED)
		ksm_forget();
	base += 2 * HUGE_PAGE;
}

static void run_round(void)
{
	/* A huge page that failed is gone: the pool is filled up again. */
	must_write("/proc/sys/vm/nr_hugepages", "3");
	open_object(NULL);
	field("workload", "\"hwpoison\"");
	field("corrupted_before", "%ld", corrupted_pages());
	node_field("node_before");
	open_list("failures");
	for (size_t n = 0; n < FAILURES; n++) {
		now = &failures[n];
		fail();
	}
	close_list();
	field("corrupted_after", "%ld", corrupted_pages());
	node_field("node_after");
	end_ledger();
}

static long parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "directory", required_argument, NULL, 'f' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	long duration_s = 0;

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'f': directory = optarg; break;
		case 'd': duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: hwpoison [--directory DIR] [--duration S]\n");
			exit(2);
		}
	return duration_s;
}

int main(int argc, char **argv)
{
	unsigned long long end = now_ns() + parse(argc, argv) * 1000000000ULL;

	reports = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports == MAP_FAILED)
		die("mmap");
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	return 0;
}
