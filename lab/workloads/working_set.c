/*
 * working_set: pages that two processes use in every round, beside as many times more that were
 * used once, both anonymous and of a file, while some are reclaimed in each round.
 *
 * A page of the working set is found used through two mappings at its first look, which is enough
 * for it to be activated at once; a page used once is not. So the cold ones go and the hot ones
 * stay. The directory must lie on a device without read-ahead.
 *
 * The ledger on stdout is one JSON object, written when the last round is over.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "ledger.h"

/* Where in its file the pages lie: no other file has pages so far on. */
#define FILE_INDEX 0x700000UL
#define FILE_BASE (LEDGER_BASE + (1UL << 36))

static struct {
	long hot;
	long cold;
	long rounds;
	long duration_s;
	long chunk;
	const char *directory;
} options = { .hot = 211, .cold = 2003, .rounds = 5, .chunk = 199, .directory = "." };

static char path[256];
static pid_t child;
static int to_child[2], to_parent[2];

/*
 * The hot pages lie first in each region, the cold ones behind them, at the next multiple of what
 * a fault maps beside the page that was touched: else a hot one would bring cold ones along.
 */
#define FAULT_AROUND 16

static long first_cold(void)
{
	return (options.hot + FAULT_AROUND - 1) / FAULT_AROUND * FAULT_AROUND;
}

static long pages(void)
{
	return first_cold() + options.cold;
}

static void map_regions(void)
{
	off_t offset = FILE_INDEX * PAGE;
	int fd;

	if (mmap((void *)LEDGER_BASE, pages() * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)LEDGER_BASE)
		die("mmap");
	/* EINVAL: a kernel without huge pages has none to advise against. */
	if (madvise((void *)LEDGER_BASE, pages() * PAGE, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	snprintf(path, sizeof(path), "%s/working_set", options.directory);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || ftruncate(fd, offset + pages() * PAGE))
		die(path);
	if (mmap((void *)FILE_BASE, pages() * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
		 fd, offset) != (void *)FILE_BASE)
		die("mmap");
	close(fd);
}

/* Have anonymous pages be taken as readily as those of files. */
#define SWAPPINESS "/proc/sys/vm/swappiness"
#define EQUAL 100

static char swappiness[16];

static void cleanup(void)
{
	if (write_file(SWAPPINESS, swappiness))
		perror(SWAPPINESS);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	if (*path)
		unlink(path);
	leave_cgroup();
}

static void fill(void)
{
	for (long page = 0; page < pages(); page++) {
		if (page == options.hot)
			page = first_cold();
		*(volatile unsigned long *)(LEDGER_BASE + page * PAGE) = page + 1;
		(void)*(volatile char *)(FILE_BASE + page * PAGE);
	}
}

static long major_faults(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used))
		die("getrusage");
	return used.ru_majflt;
}

/* Use every hot page once; return how many had to be read for it. */
static long use(void)
{
	long before = major_faults();

	forget_translations(LEDGER_BASE, options.hot * PAGE, PROT_READ | PROT_WRITE);
	forget_translations(FILE_BASE, options.hot * PAGE, PROT_READ);
	for (long page = 0; page < options.hot; page++) {
		if (*(volatile unsigned long *)(LEDGER_BASE + page * PAGE) != (unsigned long)page + 1)
			_exit(1);
		(void)*(volatile char *)(FILE_BASE + page * PAGE);
	}
	return major_faults() - before;
}

static void child_main(void)
{
	long faults;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(to_child[0], &go, 1) == 1) {
		faults = use();
		if (write(to_parent[1], &faults, sizeof(faults)) != sizeof(faults))
			_exit(1);
	}
	_exit(0);
}

/* Have both processes use the hot pages; return how many had to be read for it. */
static long use_in_both(void)
{
	long here = use(), there;

	if (write(to_child[1], "", 1) != 1 || read(to_parent[0], &there, sizeof(there)) !=
	    sizeof(there)) {
		fprintf(stderr, "the child has ended by itself\n");
		exit(1);
	}
	return here + there;
}

static long resident(unsigned long base, long first, long count)
{
	unsigned char *there = malloc(count);
	long found = 0;

	if (!there || mincore((void *)(base + first * PAGE), count * PAGE, there))
		die("mincore");
	for (long page = 0; page < count; page++)
		found += there[page] & 1;
	free(there);
	return found;
}

static void region_field(const char *name, unsigned long base, unsigned long first_index)
{
	open_object(name);
	field("first_index", "%lu", first_index);
	field("first_cold_index", "%lu", first_index + first_cold());
	field("last_index", "%lu", first_index + pages() - 1);
	field("hot_resident", "%ld", resident(base, 0, options.hot));
	field("cold_resident", "%ld", resident(base, first_cold(), options.cold));
	close_object();
}

static volatile sig_atomic_t told_to_stop;

static void stop(int signal)
{
	(void)signal;
	told_to_stop = 1;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: working_set [--hot PAGES] [--cold PAGES] [--rounds R] [--chunk PAGES]\n"
		"                   [--directory DIR] [--duration S]\n"
		"  --hot, --cold   of each kind, anonymous and of a file\n"
		"  --chunk PAGES   reclaimed in each round\n"
		"  --duration S    rounds until S seconds are over, the cold pages used anew in each\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "hot", required_argument, NULL, 'h' },
		{ "cold", required_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "chunk", required_argument, NULL, 'k' },
		{ "directory", required_argument, NULL, 'd' },
		{ "duration", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'h': options.hot = number(optarg, 1, usage); break;
		case 'c': options.cold = number(optarg, 1, usage); break;
		case 'r': options.rounds = number(optarg, 1, usage); break;
		case 'k': options.chunk = number(optarg, 1, usage); break;
		case 'd': options.directory = optarg; break;
		case 't': options.duration_s = number(optarg, 1, usage); break;
		default: usage();
		}
	}
	if (optind != argc)
		usage();
}

static int over(long round, unsigned long long end)
{
	if (told_to_stop)
		return 1;
	return options.duration_s ? now_ns() >= end : round > options.rounds;
}

int main(int argc, char **argv)
{
	long refaults = 0, round;
	unsigned long long end;

	parse(argc, argv);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	signal(SIGPIPE, SIG_IGN);
	snprintf(swappiness, sizeof(swappiness), "%ld", read_number(SWAPPINESS));
	must_write_number(SWAPPINESS, EQUAL);
	atexit(cleanup);
	enter_cgroup("working_set");
	map_regions();
	fill();
	if (pipe(to_child) || pipe(to_parent))
		die("pipe");
	child = fork();
	if (child < 0)
		die("fork");
	if (!child)
		child_main();
	end = now_ns() + options.duration_s * 1000000000ULL;

	open_object(NULL);
	field("workload", "\"working_set\"");
	vmstat_field("vmstat_before");
	memory_stat_field("memory_stat_before");
	use_in_both();
	for (round = 1; !over(round, end); round++) {
		reclaim(options.chunk * PAGE);
		if (options.duration_s)
			fill();
		refaults += use_in_both();
	}
	nap_ms(MEMORY_STAT_LAG_MS);
	memory_stat_field("memory_stat_after");
	vmstat_field("vmstat_after");
	region_field("anon", LEDGER_BASE, LEDGER_BASE / PAGE);
	region_field("file", FILE_BASE, FILE_INDEX);
	field("hot", "%ld", options.hot);
	field("cold", "%ld", options.cold);
	field("rounds", "%ld", round - 1);
	field("hot_refaults", "%ld", refaults);
	field("page_bytes", "%lu", PAGE);
	field("asked_bytes", "%lu", (round - 1) * options.chunk * PAGE);
	field("trigger", "\"%s\"", trigger());
	field("cgroup", "\"%s\"", cgroup);
	field("cgroup_id", "%llu", cgroup_id());
	end_ledger();
	return 0;
}
