/*
 * lock_waits: pages are moved and reclaimed while other processes fork and exit without a pause.
 *
 * P anonymous and P file pages, each in a VMA of its own. A fork and an exit take the lock of the
 * anon_vma's root and of the file's mappings to write, once for each such VMA; the walks that move
 * the pages take it to read. Who finds it taken waits; but the walks of reclaim that look for
 * references give up, on kernels that have them do so.
 *
 * A fork holds the lock of a file's mappings for no longer than it takes to link one VMA. So that
 * somebody always waits for it, one process more gives up a page of the file, again and again, that
 * it maps M times: the kernel looks at each of those mappings under the lock, which it takes to
 * write, and on newer kernels to read; there the forks wait to write, and the walks behind them.
 *
 * The ledger on stdout is one JSON object.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdatomic.h>

#include "cgroup.h"
#include "numa.h"

#define APART (1UL << 30)
#define RECLAIM_EVERY 3

static struct {
	long hogs;
	long pages;
	long mappings;
	long duration_s;
	const char *directory;
} options = { .hogs = 2, .pages = 101, .mappings = 211, .duration_s = 3, .directory = "/tmp" };

/* Shared by all processes: what the others have done. */
static struct {
	atomic_long forks;
	atomic_long punches;
} *ours;
static int *status;

/* Map a page a VMA: neighbours differ in what may be done with them. */
static void map_apart(unsigned long address, int flags, int fd)
{
	void *base = (void *)address;

	if (mmap(base, options.pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE,
		 fd, 0) != base)
		die("mmap");
	if (madvise(base, options.pages * PAGE, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	for (long page = 0; page < options.pages; page++)
		*(volatile long *)(address + page * PAGE) = page + 1;
	for (long page = 1; page < options.pages; page += 2)
		if (mprotect((void *)(address + page * PAGE), PAGE, PROT_READ))
			die("mprotect");
}

static int map_file(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/lock_waits", options.directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, (options.pages + 1) * PAGE))
		die(path);
	map_apart(LEDGER_BASE + APART, MAP_SHARED, fd);
	return fd;
}

/* Map the page behind the others many times, and have it cut out of the file without a pause. */
static pid_t start_puncher(int fd)
{
	off_t behind = options.pages * PAGE;
	pid_t puncher = fork();

	if (puncher < 0)
		die("fork");
	if (puncher)
		return puncher;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (long n = 0; n < options.mappings; n++)
		if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, behind) == MAP_FAILED)
			die("mmap");
	for (;; atomic_fetch_add(&ours->punches, 1))
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, behind, PAGE))
			die("fallocate");
}

static pid_t start_hog(void)
{
	pid_t hog = fork(), child;

	if (hog < 0)
		die("fork");
	if (hog)
		return hog;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;; atomic_fetch_add(&ours->forks, 1)) {
		child = fork();
		if (!child)
			_exit(0);
		if (child > 0)
			waitpid(child, NULL, 0);
	}
}

static long move(unsigned long base, int node)
{
	move_pages(getpid(), base, options.pages, node, status);
	return on_node(status, options.pages, node);
}

/* Have reclaim look at all pages, and all of them be there again. */
static void reclaim_all(void)
{
	static const unsigned long bases[] = { LEDGER_BASE, LEDGER_BASE + APART };

	reclaim(2 * options.pages * PAGE);
	for (int n = 0; n < 2; n++)
		for (long page = 0; page < options.pages; page++)
			(void)*(volatile long *)(bases[n] + page * PAGE);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "hogs", required_argument, NULL, 'h' },
		{ "pages", required_argument, NULL, 'p' },
		{ "mappings", required_argument, NULL, 'm' },
		{ "directory", required_argument, NULL, 'd' },
		{ "duration", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'h': options.hogs = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		case 'm': options.mappings = positive(optarg); break;
		case 'd': options.directory = optarg; break;
		case 's': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: lock_waits [--hogs N] [--pages P] [--mappings M]"
				" [--directory DIR] [--duration S]\n");
			exit(2);
		}
}

static pid_t *hogs, puncher;

static void set_up(void)
{
	int file;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("prctl");
	hogs = calloc(options.hogs, sizeof(*hogs));
	status = calloc(options.pages, sizeof(*status));
	ours = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!hogs || !status || ours == MAP_FAILED)
		die("calloc");
	map_apart(LEDGER_BASE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	file = map_file();
	for (long n = 0; n < options.hogs; n++)
		hogs[n] = start_hog();
	puncher = start_puncher(file);
	close(file);
}

int main(int argc, char **argv)
{
	long rounds = 0, anon = 0, file = 0;
	unsigned long long end;

	parse(argc, argv);
	atexit(leave_cgroup);
	enter_cgroup("lock_waits");
	stay_near();
	set_up();
	end = now_ns() + options.duration_s * 1000000000ULL;
	for (; now_ns() < end; rounds++) {
		anon += move(LEDGER_BASE, !(rounds % 2));
		file += move(LEDGER_BASE + APART, !(rounds % 2));
		if (rounds % RECLAIM_EVERY == 0)
			reclaim_all();
	}
	for (long n = 0; n < options.hogs; n++)
		if (kill(hogs[n], SIGKILL))
			die("kill");
	if (kill(puncher, SIGKILL))
		die("kill");
	/* And for those that these forked last: they are ours by then. */
	while (wait(NULL) > 0)
		;
	open_object(NULL);
	field("workload", "\"lock_waits\"");
	field("tid", "%d", getpid());
	field("hogs", "%ld", options.hogs);
	field("pages", "%ld", options.pages);
	field("mappings", "%ld", options.mappings);
	field("rounds", "%ld", rounds);
	field("forks", "%ld", (long)atomic_load(&ours->forks));
	field("punches", "%ld", (long)atomic_load(&ours->punches));
	field("anon_moved", "%ld", anon);
	field("file_moved", "%ld", file);
	end_ledger();
	return 0;
}
