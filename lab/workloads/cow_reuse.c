/*
 * cow_reuse: writes to write-protected pages, each with a history of its own.
 *
 * A parent and its children share anonymous pages. One child copies some while all the others have
 * them (shared). Of others everybody takes a copy but the last child, which then writes as the only
 * owner (last), or does not (kept). Both are moved away by soft offline: the walk that restores a
 * page enters every VMA that is linked to the anon_vma that it hangs on. When all children are gone
 * the parent writes what they left (orphan), and once more after the page tables were
 * write-protected (again). Beside these: pages that were only read, of the zero page (zero) and of a
 * private file mapping (file), and a shared mapping (mapped).
 *
 * The ledger on stdout is one JSON object a round.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "poison.h"

#define MOST 128
#define APART (1UL << 30)

static struct {
	long children, shared, last, kept, orphan, zero, file, mapped;
	long duration_s;
} options = {
	.children = 5, .shared = 101, .last = 31, .kept = 7, .orphan = 23, .zero = 13, .file = 17,
	.mapped = 11,
};

/* One group of pages, and who wrote to them. */
struct group {
	const char *name;
	pid_t pid;
	unsigned long address;
	long pages;
	long faults;
	unsigned long before[MOST], after[MOST];
	long mappings_before[MOST], mappings_after[MOST];
	const char *kind[MOST];
};

struct move {
	int error;
	unsigned long before, after;
};

enum { SHARED, LAST, ORPHAN, AGAIN, ZERO, FILES, MAPPED, GROUPS };

/* In memory that all processes share. */
static struct report_of_groups {
	struct group groups[GROUPS];
	struct move last[MOST], kept[MOST];
} *told;

static struct worker *workers;

/* ---- where the pages are ------------------------------------------------------------------- */

static unsigned long shared_at(void)
{
	return LEDGER_BASE;
}

static unsigned long last_at(void)
{
	return shared_at() + options.shared * PAGE;
}

static unsigned long kept_at(void)
{
	return last_at() + options.last * PAGE;
}

static unsigned long orphan_at(void)
{
	return kept_at() + options.kept * PAGE;
}

static unsigned long anon_end(void)
{
	return orphan_at() + options.orphan * PAGE;
}

static void write_pages(unsigned long address, long pages)
{
	for (long page = 0; page < pages; page++)
		*(volatile long *)(address + page * PAGE) = page + 1;
}

/* Read them; what is not there must be 0. */
static void read_pages(unsigned long address, long pages)
{
	for (long page = 0; page < pages; page++)
		if (*(volatile long *)(address + page * PAGE)) {
			fprintf(stderr, "page %ld is not empty\n", page);
			exit(1);
		}
}

static void map_at(unsigned long address, long pages, int flags, int fd)
{
	void *base = (void *)address;
	size_t bytes = pages * PAGE;

	if (mmap(base, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, fd, 0) != base)
		die("mmap");
	/* EINVAL: a kernel without huge pages has none to advise against. */
	if (madvise(base, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
}

static int new_file(long pages)
{
	int fd = memfd_create("cow_reuse", 0);

	if (fd < 0 || ftruncate(fd, pages * PAGE))
		die("memfd_create");
	return fd;
}

/* ---- groups -------------------------------------------------------------------------------- */

static void look_at_frames(struct group *group, unsigned long *frames, long *mappings)
{
	for (long page = 0; page < group->pages; page++) {
		frames[page] = pfn_of(group->address + page * PAGE);
		mappings[page] = mapcount(frames[page]);
	}
}

/* Write to each page of a group, in this process, and note what became of it. */
static void write_group(int which, const char *name, unsigned long address, long pages)
{
	struct group *group = &told->groups[which];

	group->name = name;
	group->pid = getpid();
	group->address = address;
	group->pages = pages;
	look_at_frames(group, group->before, group->mappings_before);
	for (long page = 0; page < pages; page++)
		group->kind[page] = kind_of_frame(group->before[page]);
	group->faults = minor_faults();
	group->faults = -minor_faults();
	write_pages(address, pages);
	group->faults += minor_faults();
	look_at_frames(group, group->after, group->mappings_after);
}

static void move_away(struct move *moves, unsigned long address, long pages)
{
	for (long page = 0; page < pages; page++, address += PAGE) {
		moves[page].before = pfn_of(address);
		moves[page].error = madvise((void *)address, PAGE, MADV_SOFT_OFFLINE) ? errno : 0;
		moves[page].after = pfn_of(address);
	}
}

static long obey(long number, char command)
{
	(void)number;
	switch (command) {
	case 's':
		write_group(SHARED, "shared", shared_at(), options.shared);
		break;
	case 'c':
		write_pages(last_at(), options.last + options.kept);
		break;
	case 'l':
		write_group(LAST, "last", last_at(), options.last);
		break;
	case 'm':
		move_away(told->last, last_at(), options.last);
		move_away(told->kept, kept_at(), options.kept);
	}
	return 0;
}

static void of_children(void)
{
	struct worker *last = &workers[options.children - 1];

	for (long n = 0; n < options.children; n++)
		workers[n] = start_worker(n, obey);
	tell(&workers[0], 's');
	for (long n = 0; n < options.children - 1; n++)
		tell(&workers[n], 'c');
	write_pages(last_at(), options.last + options.kept);
	tell(last, 'l');
	tell(last, 'm');
	for (long n = 0; n < options.children; n++)
		stop_worker(&workers[n]);
}

static void of_parent(void)
{
	unsigned long zero = LEDGER_BASE + APART, file = zero + APART, mapped = file + APART;
	int fd = new_file(options.mapped), private = new_file(options.file);

	write_group(ORPHAN, "orphan", orphan_at(), options.orphan);
	map_at(zero, options.zero, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_at(file, options.file, MAP_PRIVATE, private);
	map_at(mapped, options.mapped, MAP_SHARED, fd);
	read_pages(zero, options.zero);
	write_group(ZERO, "zero", zero, options.zero);
	read_pages(file, options.file);
	write_group(FILES, "file", file, options.file);
	write_pages(mapped, options.mapped);
	/* Forget what was written, and be told of the next write by a fault. */
	must_write("/proc/self/clear_refs", "4");
	write_group(AGAIN, "again", orphan_at(), options.orphan);
	write_group(MAPPED, "mapped", mapped, options.mapped);
	munmap((void *)zero, options.zero * PAGE);
	munmap((void *)file, options.file * PAGE);
	munmap((void *)mapped, options.mapped * PAGE);
	close(fd);
	close(private);
}

/* ---- the ledger ---------------------------------------------------------------------------- */

static void frames_field(const char *key, const unsigned long *frames, long count)
{
	open_list(key);
	for (long n = 0; n < count; n++)
		printf("%s%lu", n ? ", " : "", frames[n]);
	close_list();
}

static void describe_group(const struct group *group)
{
	open_object(NULL);
	field("name", "\"%s\"", group->name);
	field("pid", "%d", group->pid);
	field("address", "%lu", group->address);
	field("pages", "%ld", group->pages);
	field("faults", "%ld", group->faults);
	field("kind", "\"%s\"", group->kind[0]);
	for (long page = 1; page < group->pages; page++)
		if (strcmp(group->kind[page], group->kind[0])) {
			fprintf(stderr, "%s: pages of two kinds\n", group->name);
			exit(1);
		}
	frames_field("before", group->before, group->pages);
	frames_field("after", group->after, group->pages);
	frames_field("mappings_before", (unsigned long *)group->mappings_before, group->pages);
	frames_field("mappings_after", (unsigned long *)group->mappings_after, group->pages);
	close_object();
}

static void describe_moves(const char *key, const struct move *moves, long count)
{
	open_list(key);
	for (long n = 0; n < count; n++) {
		open_object(NULL);
		field("errno", "%d", moves[n].error);
		field("before", "%lu", moves[n].before);
		field("after", "%lu", moves[n].after);
		close_object();
	}
	close_list();
}

/* A reading of a counter of /proc/vmstat, and when it was taken at the earliest and the latest. */
struct reading {
	unsigned long long begin, end;
	long long value;
};

static struct reading read_pgreuse(void)
{
	struct reading reading = { .begin = now_ns() };

	reading.value = counter_of("/proc/vmstat", "pgreuse");
	reading.end = now_ns();
	return reading;
}

static void describe_reading(const char *key, const struct reading *reading)
{
	open_object(key);
	field("begin_ns", "%llu", reading->begin);
	field("end_ns", "%llu", reading->end);
	field("pgreuse", "%lld", reading->value);
	close_object();
}

static void describe(const struct reading *before, const struct reading *after)
{
	open_object(NULL);
	field("workload", "\"cow_reuse\"");
	field("parent", "%d", getpid());
	field("children", "%ld", options.children);
	field("last", "%ld", options.last);
	field("kept", "%ld", options.kept);
	field("base", "%lu", LEDGER_BASE);
	field("end", "%lu", anon_end());
	describe_reading("vmstat_before", before);
	describe_reading("vmstat_after", after);
	open_list("groups");
	for (int n = 0; n < GROUPS; n++)
		describe_group(&told->groups[n]);
	close_list();
	describe_moves("moved_last", told->last, options.last);
	describe_moves("moved_kept", told->kept, options.kept);
	end_ledger();
}

static void run_round(void)
{
	struct reading before, after;

	map_at(LEDGER_BASE, (anon_end() - LEDGER_BASE) / PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	write_pages(LEDGER_BASE, (anon_end() - LEDGER_BASE) / PAGE);
	drain_lru(LEDGER_BASE);
	before = read_pgreuse();
	of_children();
	of_parent();
	after = read_pgreuse();
	describe(&before, &after);
	munmap((void *)LEDGER_BASE, anon_end() - LEDGER_BASE);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: cow_reuse [--children C] [--shared P] [--last P] [--kept P] [--orphan P]\n"
		"                 [--zero P] [--file P] [--mapped P] [--duration S]\n"
		"  pages of each history, at most %d\n", MOST);
	exit(2);
}

static long pages(const char *text)
{
	long value = number(text, 1, usage);

	if (value > MOST)
		usage();
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "children", required_argument, NULL, 'c' },
		{ "shared", required_argument, NULL, 's' },
		{ "last", required_argument, NULL, 'l' },
		{ "kept", required_argument, NULL, 'k' },
		{ "orphan", required_argument, NULL, 'o' },
		{ "zero", required_argument, NULL, 'z' },
		{ "file", required_argument, NULL, 'f' },
		{ "mapped", required_argument, NULL, 'm' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'c': options.children = number(optarg, 2, usage); break;
		case 's': options.shared = pages(optarg); break;
		case 'l': options.last = pages(optarg); break;
		case 'k': options.kept = pages(optarg); break;
		case 'o': options.orphan = pages(optarg); break;
		case 'z': options.zero = pages(optarg); break;
		case 'f': options.file = pages(optarg); break;
		case 'm': options.mapped = pages(optarg); break;
		case 'd': options.duration_s = number(optarg, 1, usage); break;
		default: usage();
		}
	if (optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	workers = calloc(options.children, sizeof(*workers));
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!workers || told == MAP_FAILED)
		die("no memory");
	memset(told, 0, sizeof(*told));
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	return 0;
}
