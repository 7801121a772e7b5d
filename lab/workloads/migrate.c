/*
 * migrate: pages of every kind are moved to another NUMA node by move_pages(2).
 *
 * A anonymous, F file and K KSM pages that N processes map; D pages that cannot be moved, since a
 * pipe holds on to them; and the pages of a fork storm: P of the parent, which all C children have
 * copied. A walk that restores mappings has no early end, so it enters all VMAs that are linked to
 * a page: C + 1 for the parent's, 1 for a child's.
 *
 * The ledger on stdout is one JSON object a round; rounds go to one node and back in turn.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "kpage.h"
#include "ksm.h"
#include "numa.h"

#define APART (1UL << 30)

enum { ANON, FILES, KSM_PAGES, HELD, STORM };

static struct {
	long processes;
	long anon;
	long files;
	long ksm;
	long held;
	long children;
	long pages;
	long duration_s;
	const char *directory;
} options = {
	.processes = 3, .anon = 101, .files = 103, .ksm = 31, .held = 7, .children = 100,
	.pages = 100, .directory = "/tmp",
};

static struct worker *sharers;
static struct worker *children;
static unsigned long *before, *after;
static int *status;
static long calls;

static unsigned long at(int region)
{
	return LEDGER_BASE + region * APART;
}

/* ---- processes --------------------------------------------------------------------------- */

static void fill(int region, long pages, long owner)
{
	for (long page = 0; page < pages; page++) {
		volatile long *word = (void *)(at(region) + page * PAGE);

		word[0] = page + 1;
		word[1] = owner;
	}
}

static void check(int region, long pages)
{
	for (long page = 0; page < pages; page++)
		if (*(volatile long *)(at(region) + page * PAGE) != page + 1) {
			fprintf(stderr, "page %ld of region %d has lost its content\n", page, region);
			exit(1);
		}
}

static void map_ksm(void)
{
	map_mergeable(at(KSM_PAGES), options.ksm);
	fill(KSM_PAGES, options.ksm, 0);
}

static long share(long number, char command)
{
	(void)number;
	if (command == 'm') {
		check(ANON, options.anon);
		check(FILES, options.files);
		map_ksm();
	}
	return 0;
}

static long copy(long number, char command)
{
	(void)command;
	fill(STORM, options.pages, number + 1);
	return 0;
}

/* ---- memory ------------------------------------------------------------------------------ */

static void map_region(int region, long pages, int flags, int fd)
{
	void *base = (void *)at(region);

	if (mmap(base, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, fd, 0) !=
	    base)
		die("mmap");
	if (madvise(base, pages * PAGE, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	fill(region, pages, 0);
}

static void map_file(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/migrate", options.directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, options.files * PAGE))
		die(path);
	map_region(FILES, options.files, MAP_SHARED, fd);
	if (fsync(fd))
		die(path);
	close(fd);
}

/* The children of the storm get nothing but what the storm is about. */
static void keep_from_children(int region, long pages)
{
	if (madvise((void *)at(region), pages * PAGE, MADV_DONTFORK))
		die("madvise");
}

static void merge(void)
{
	ksm_run(2 * options.processes * options.ksm);
	ksm_wait_sharing((options.processes - 1) * options.ksm);
	ksm_stop();
}

static void set_up(void)
{
	map_region(ANON, options.anon, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_file();
	for (long n = 1; n < options.processes; n++) {
		sharers[n] = start_worker(n, share);
		tell(&sharers[n], 'm');
	}
	map_ksm();
	merge();
	map_region(HELD, options.held, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	keep_from_children(ANON, options.anon);
	keep_from_children(FILES, options.files);
	keep_from_children(KSM_PAGES, options.ksm);
	keep_from_children(HELD, options.held);
	map_region(STORM, options.pages, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (long n = 0; n < options.children; n++)
		children[n] = start_worker(n, copy);
	for (long n = 0; n < options.children; n++)
		tell(&children[n], 'c');
}

/* ---- moves ------------------------------------------------------------------------------- */

static long move(pid_t pid, int region, long pages, int node)
{
	calls++;
	return move_pages(pid, at(region), pages, node, status);
}

static void pages_field(long pages)
{
	open_list("moves");
	for (long page = 0; page < pages; page++) {
		open_object(NULL);
		field("before", "%lu", before[page]);
		field("after", "%lu", after[page]);
		field("status", "%d", status[page]);
		close_object();
	}
	close_list();
}

static void move_region(const char *key, int region, long pages, int node, long mappings)
{
	struct census census = { 0 };
	pid_t self = getpid();
	long left;

	frames_of(self, at(region), pages, before);
	left = move(self, region, pages, node);
	frames_of(self, at(region), pages, after);
	take_census(&census, after, pages, mappings);
	check(region, pages);
	open_object(key);
	field("pages", "%ld", pages);
	field("mappings", "%ld", mappings);
	field("returned", "%ld", left);
	pages_field(pages);
	move_pages(self, at(region), pages, -1, status);
	field("there", "%ld", on_node(status, pages, node));
	census_field("kpage", &census);
	close_object();
}

/* A pipe that holds on to pages keeps them from being moved. */
static void move_held(int node)
{
	struct iovec memory = { (void *)at(HELD), options.held * PAGE };
	int ends[2];

	if (pipe(ends) || vmsplice(ends[1], &memory, 1, 0) != (ssize_t)memory.iov_len)
		die("vmsplice");
	move_region("held", HELD, options.held, node, 1);
	close(ends[0]);
	close(ends[1]);
}

struct moved {
	long pages;
	long moved;
	long there;
	struct census census;
};

static void move_storm(struct moved *moved, pid_t pid, int node)
{
	move(pid, STORM, options.pages, node);
	moved->pages += options.pages;
	moved->moved += on_node(status, options.pages, node);
	move_pages(pid, at(STORM), options.pages, -1, status);
	moved->there += on_node(status, options.pages, node);
	frames_of(pid, at(STORM), options.pages, after);
	take_census(&moved->census, after, options.pages, 1);
}

static void moved_field(const char *key, const struct moved *moved)
{
	open_object(key);
	field("pages", "%ld", moved->pages);
	field("moved", "%ld", moved->moved);
	field("there", "%ld", moved->there);
	census_field("kpage", &moved->census);
	close_object();
}

static void storm_field(int node)
{
	struct moved parents = { 0 }, childrens = { 0 };

	move_storm(&parents, getpid(), node);
	for (long n = 0; n < options.children; n++)
		move_storm(&childrens, children[n].pid, node);
	check(STORM, options.pages);
	open_object("storm");
	field("children", "%ld", options.children);
	field("pages", "%ld", options.pages);
	field("first_index", "%lu", at(STORM) / PAGE);
	field("last_index", "%lu", at(STORM) / PAGE + options.pages - 1);
	moved_field("parent", &parents);
	moved_field("copies", &childrens);
	close_object();
}

static void run_round(int node)
{
	calls = 0;
	open_object(NULL);
	field("workload", "\"migrate\"");
	field("tid", "%d", getpid());
	field("processes", "%ld", options.processes);
	field("node", "%d", node);
	move_region("anon", ANON, options.anon, node, options.processes);
	move_region("file", FILES, options.files, node, options.processes);
	move_region("ksm", KSM_PAGES, options.ksm, node, options.processes);
	move_held(node);
	storm_field(node);
	field("calls", "%ld", calls);
	end_ledger();
}

/* ---- set up ------------------------------------------------------------------------------ */

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "processes", required_argument, NULL, 'n' },
		{ "anon", required_argument, NULL, 'a' },
		{ "files", required_argument, NULL, 'f' },
		{ "ksm", required_argument, NULL, 'k' },
		{ "held", required_argument, NULL, 'h' },
		{ "children", required_argument, NULL, 'c' },
		{ "pages", required_argument, NULL, 'p' },
		{ "directory", required_argument, NULL, 'd' },
		{ "duration", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'n': options.processes = positive(optarg); break;
		case 'a': options.anon = positive(optarg); break;
		case 'f': options.files = positive(optarg); break;
		case 'k': options.ksm = positive(optarg); break;
		case 'h': options.held = positive(optarg); break;
		case 'c': options.children = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		case 'd': options.directory = optarg; break;
		case 's': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: migrate [--processes N] [--anon A] [--files F]"
				" [--ksm K] [--held D]\n               [--children C] [--pages P]"
				" [--directory DIR] [--duration S]\n");
			exit(2);
		}
}

static long most_pages(void)
{
	long all[] = { options.anon, options.files, options.ksm, options.held, options.pages };
	long most = 0;

	for (size_t n = 0; n < sizeof(all) / sizeof(*all); n++)
		most = all[n] > most ? all[n] : most;
	return most;
}

static void allocate(void)
{
	struct rlimit files = { options.children + 100, options.children + 100 };
	long most = most_pages();

	before = calloc(most, sizeof(*before));
	after = calloc(most, sizeof(*after));
	status = calloc(most, sizeof(*status));
	sharers = calloc(options.processes, sizeof(*sharers));
	children = calloc(options.children, sizeof(*children));
	if (!before || !after || !status || !sharers || !children)
		die("calloc");
	if (setrlimit(RLIMIT_NOFILE, &files))
		die("setrlimit");
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	stay_near();
	allocate();
	set_up();
	run_round(1);
	for (int node = 0; now_ns() < end; node = !node) {
		nap_ms(1000);
		run_round(node);
	}
	for (long n = 0; n < options.children; n++)
		stop_worker(&children[n]);
	for (long n = 1; n < options.processes; n++)
		stop_worker(&sharers[n]);
	munmap((void *)at(KSM_PAGES), options.ksm * PAGE);
	ksm_forget();
	return 0;
}
