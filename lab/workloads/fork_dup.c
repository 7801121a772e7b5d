/*
 * fork_dup: what a fork copies, and what it leaves for later faults.
 *
 * The same process forks without and with a known number of VMAs: anonymous ones that it has written
 * to (anon) or never touched (empty), private mappings of a file that it has read (file), or read
 * and written (written), a shared one (shared), ones that are to be empty in a child (wiped) or not
 * there at all (left). What the two children are born with differs by these VMAs alone.
 *
 * Then generations: each child forks the next, while all live on, or after its parent has gone. Each
 * child's VMAs are linked to the anon_vmas of all generations before it. At last, forks that fail:
 * the kernel counts on more memory than it has for one VMA.
 *
 * The ledger on stdout is one JSON object a round.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/sysinfo.h>

#include "pagemap.h"

#define MOST 64
#define APART (1UL << 32)

enum { ANON, EMPTY, FILES, WRITTEN, SHARED, WIPED, LEFT, KINDS };

static const char *const kinds[KINDS] = {
	"anon", "empty", "file", "written", "shared", "wiped", "left",
};
static const long vmas[KINDS] = { 7, 11, 13, 5, 3, 2, 17 };

static struct {
	long pages;
	long generations;
	long failures;
	long duration_s;
} options = { .pages = 19, .generations = 11, .failures = 3 };

/* In memory that all processes share. */
static struct {
	long here[KINDS], born[KINDS];
	pid_t alive[MOST], gone[MOST];
	long mappings[MOST];
	volatile int last;
} *told;

static int file;

/* ---- VMAs, with a gap after each ----------------------------------------------------------- */

static unsigned long at(int kind, long vma)
{
	return LEDGER_BASE + kind * APART + vma * (options.pages + 1) * PAGE;
}

static void map_one(int kind, unsigned long address)
{
	size_t bytes = options.pages * PAGE;
	int of_file = kind == FILES || kind == WRITTEN || kind == SHARED;
	int flags = kind == SHARED ? MAP_SHARED : MAP_PRIVATE;

	if (mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
		 flags | MAP_FIXED_NOREPLACE | (of_file ? 0 : MAP_ANONYMOUS), of_file ? file : -1,
		 0) != (void *)address)
		die("mmap");
	/* EINVAL: a kernel without huge pages has none to advise against. */
	if (madvise((void *)address, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	if (kind == WIPED && madvise((void *)address, bytes, MADV_WIPEONFORK))
		die("MADV_WIPEONFORK");
	if (kind == LEFT && madvise((void *)address, bytes, MADV_DONTFORK))
		die("MADV_DONTFORK");
}

static void write_pages(unsigned long address, long pages)
{
	for (long page = 0; page < pages; page++)
		*(volatile long *)(address + page * PAGE) = page + 1;
}

static void read_pages(unsigned long address, long pages)
{
	for (long page = 0; page < pages; page++)
		*(volatile long *)(address + page * PAGE);
}

static void touch_one(int kind, unsigned long address)
{
	if (kind == FILES || kind == WRITTEN)
		read_pages(address, options.pages);
	if (kind == WRITTEN)
		write_pages(address, 1);
	if (kind == ANON || kind == SHARED || kind == WIPED || kind == LEFT)
		write_pages(address, options.pages);
}

static void map_all(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (long vma = 0; vma < vmas[kind]; vma++) {
			map_one(kind, at(kind, vma));
			touch_one(kind, at(kind, vma));
		}
}

static void unmap_all(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (long vma = 0; vma < vmas[kind]; vma++)
			munmap((void *)at(kind, vma), options.pages * PAGE);
}

/* Count the pages that this process maps of each kind of VMA. */
static void count_pages(long *counts)
{
	for (int kind = 0; kind < KINDS; kind++) {
		counts[kind] = 0;
		for (long vma = 0; vma < vmas[kind]; vma++)
			for (long page = 0; page < options.pages; page++)
				counts[kind] += !!pfn_of(at(kind, vma) + page * PAGE);
	}
}

/* ---- forks --------------------------------------------------------------------------------- */

static void wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child || status) {
		fprintf(stderr, "child %d has failed\n", child);
		exit(1);
	}
}

/* Fork a child that tells what it was born with, and ends. */
static pid_t bear(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		count_pages(told->born);
		_exit(0);
	}
	wait_for(child);
	return child;
}

/* Generation n forks the next; all of them live until the last has been born. */
static void live_on(long n)
{
	pid_t child;

	if (n == options.generations) {
		for (long page = 0; page < options.pages; page++)
			told->mappings[page] = mapcount(pfn_of(LEDGER_BASE + page * PAGE));
		return;
	}
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		told->alive[n] = getpid();
		live_on(n + 1);
		_exit(0);
	}
	wait_for(child);
}

/* Each generation waits until its parent has gone, then forks the next. */
static void come_after(pid_t eldest)
{
	for (long n = 0;; n++) {
		pid_t child;

		while (n && getppid() != eldest)
			nap_ms(1);
		told->gone[n] = getpid();
		if (n == options.generations - 1)
			break;
		child = fork();
		if (child < 0)
			die("fork");
		if (child)
			_exit(0);
	}
	told->last = 1;
	_exit(0);
}

static void generations(void)
{
	pid_t eldest = getpid(), first;

	map_one(ANON, LEDGER_BASE);
	write_pages(LEDGER_BASE, options.pages);
	fflush(stdout);
	live_on(0);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("PR_SET_CHILD_SUBREAPER");
	told->last = 0;
	first = fork();
	if (first < 0)
		die("fork");
	if (!first)
		come_after(eldest);
	/* Each generation but the first becomes a child of this process when its parent goes. */
	while (wait(NULL) > 0)
		;
	if (!told->last) {
		fprintf(stderr, "a generation is missing\n");
		exit(1);
	}
	munmap((void *)LEDGER_BASE, options.pages * PAGE);
}

/* Map two halves that make one VMA larger than all memory, and fork. Return how often it failed. */
static long fail(void)
{
	struct sysinfo system;
	unsigned long half;
	long failed = 0;

	if (sysinfo(&system))
		die("sysinfo");
	half = ((system.totalram + system.totalswap) * system.mem_unit / 5 * 3) & ~(PAGE - 1);
	for (int n = 0; n < 2; n++)
		if (mmap((void *)(LEDGER_BASE + n * half), half, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			die("mmap");
	for (long n = 0; n < options.failures; n++) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		if (child > 0)
			wait_for(child);
		else if (errno == ENOMEM)
			failed++;
	}
	munmap((void *)LEDGER_BASE, 2 * half);
	return failed;
}

/* ---- the ledger ---------------------------------------------------------------------------- */

static void pids_field(const char *key, const pid_t *pids)
{
	open_list(key);
	for (long n = 0; n < options.generations; n++)
		printf("%s%d", n ? ", " : "", pids[n]);
	close_list();
}

static void describe(pid_t bare, pid_t full, long failed)
{
	open_object(NULL);
	field("workload", "\"fork_dup\"");
	field("parent", "%d", getpid());
	field("pages", "%ld", options.pages);
	field("bare", "%d", bare);
	field("full", "%d", full);
	open_list("vmas");
	for (int kind = 0; kind < KINDS; kind++) {
		open_object(NULL);
		field("kind", "\"%s\"", kinds[kind]);
		field("vmas", "%ld", vmas[kind]);
		field("pages", "%ld", told->here[kind]);
		field("born", "%ld", told->born[kind]);
		close_object();
	}
	close_list();
	pids_field("alive", told->alive);
	pids_field("gone", told->gone);
	open_list("mappings");
	for (long page = 0; page < options.pages; page++)
		printf("%s%ld", page ? ", " : "", told->mappings[page]);
	close_list();
	field("failures", "%ld", failed);
	end_ledger();
}

static void run_round(void)
{
	pid_t bare, full;
	long failed;

	/* Once for nothing: what the program needs for it is there from then on. */
	map_all();
	count_pages(told->here);
	bear();
	unmap_all();
	bare = bear();
	map_all();
	count_pages(told->here);
	full = bear();
	unmap_all();
	generations();
	failed = fail();
	describe(bare, full, failed);
}

static void usage(void)
{
	fprintf(stderr, "usage: fork_dup [--pages P] [--generations G] [--failures F]"
		" [--duration S]\n  at most %d pages and generations\n", MOST);
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "generations", required_argument, NULL, 'g' },
		{ "failures", required_argument, NULL, 'f' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'p': options.pages = number(optarg, 1, usage); break;
		case 'g': options.generations = number(optarg, 1, usage); break;
		case 'f': options.failures = number(optarg, 0, usage); break;
		case 'd': options.duration_s = number(optarg, 1, usage); break;
		default: usage();
		}
	if (optind != argc || options.pages > MOST || options.generations > MOST)
		usage();
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file = memfd_create("fork_dup", 0);
	if (told == MAP_FAILED || file < 0 || ftruncate(file, options.pages * PAGE))
		die("no memory");
	memset(told, 0, sizeof(*told));
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	return 0;
}
