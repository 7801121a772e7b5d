/*
 * file_stream: a stream of mapped file pages, each touched once, beside a working set and shared
 * pages that are touched again and again, while as much is reclaimed as is streamed.
 *
 * A page of the stream is found used at its first look and not at its second, so it should leave
 * by the inactive list; a page of the working set is found used each time, so it should stay; a
 * shared page is found used through two mappings, which is enough at its first look. A page that
 * was read by read(2) alone is mapped by nobody, and marked as referenced: it should leave at its
 * first look, as long as it is clean.
 * The files are holes: reading them costs no disk, and a page that comes back is a major fault.
 * The directory must lie on a device without read-ahead, or pages come that nobody touched.
 *
 * The ledger on stdout is one JSON object, written when the last round is over.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "cgroup.h"
#include "ledger.h"

/* Where in their files the pages lie: no other file has pages so far on. */
#define WORKING_SET_INDEX 0x300000UL
#define SHARED_INDEX 0x400000UL
#define STREAM_INDEX 0x500000UL
#define READ_INDEX 0x600000UL

static struct {
	long stream;
	long working_set;
	long shared;
	long read;
	long chunk;
	long duration_s;
	const char *directory;
} options = {
	.stream = 7919, .working_set = 503, .shared = 101, .read = 97, .chunk = 199, .directory = ".",
};

struct region {
	const char *name;
	unsigned long first_index;
	unsigned long base;
	long pages;
	long first_faults;
	long refaults;
	long uses;
	char path[256];
};

static struct region stream = {
	.name = "stream", .first_index = STREAM_INDEX, .base = LEDGER_BASE,
};
static struct region working_set = {
	.name = "working_set", .first_index = WORKING_SET_INDEX, .base = LEDGER_BASE + (1UL << 36),
};
static struct region shared = {
	.name = "shared", .first_index = SHARED_INDEX, .base = LEDGER_BASE + (2UL << 36),
};
static struct region again = {
	.name = "shared", .first_index = SHARED_INDEX, .base = LEDGER_BASE + (3UL << 36),
};
static struct region read_once = {
	.name = "read", .first_index = READ_INDEX, .base = LEDGER_BASE + (4UL << 36),
};

static void map_region(struct region *region, long pages)
{
	off_t offset = region->first_index * PAGE;
	int fd;

	snprintf(region->path, sizeof(region->path), "%s/%s", options.directory, region->name);
	fd = open(region->path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, offset + pages * PAGE))
		die(region->path);
	if (mmap((void *)region->base, pages * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
		 fd, offset) != (void *)region->base)
		die("mmap");
	close(fd);
	region->pages = pages;
}

static void cleanup(void)
{
	unlink(stream.path);
	unlink(working_set.path);
	unlink(shared.path);
	unlink(read_once.path);
	leave_cgroup();
}

static long major_faults(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used))
		die("getrusage");
	return used.ru_majflt;
}

/* Touch pages and return how many had to be read for it. */
static long touch(struct region *region, long first, long pages)
{
	long before = major_faults();

	for (long page = first; page < first + pages; page++)
		(void)*(volatile char *)(region->base + page * PAGE);
	return major_faults() - before;
}

/* Touch every page of a region so that it shows, whatever the processor remembers. */
static long touch_all(struct region *region)
{
	forget_translations(region->base, region->pages * PAGE, PROT_READ);
	return touch(region, 0, region->pages);
}

static void use(struct region *region)
{
	*(region->uses ? &region->refaults : &region->first_faults) += touch_all(region);
	region->uses += region->pages;
}

static void use_again(void)
{
	use(&working_set);
	use(&shared);
	touch_all(&again);
}

/* Read every page of a region once, and touch none of its mapping. */
static void read_all(struct region *region)
{
	static char page[4096];
	int fd = open(region->path, O_RDONLY);

	if (fd < 0)
		die(region->path);
	for (long n = 0; n < region->pages; n++)
		if (pread(fd, page, PAGE, (region->first_index + n) * PAGE) != (ssize_t)PAGE)
			die(region->path);
	close(fd);
}

static long resident(struct region *region)
{
	unsigned char *there = malloc(region->pages);
	long found = 0;

	if (!there || mincore((void *)region->base, region->pages * PAGE, there))
		die("mincore");
	for (long page = 0; page < region->pages; page++)
		found += there[page] & 1;
	free(there);
	return found;
}

static void open_region(struct region *region)
{
	open_object(region->name);
	field("pages", "%ld", region->pages);
	field("first_index", "%lu", region->first_index);
	field("last_index", "%lu", region->first_index + region->pages - 1);
	field("resident", "%ld", resident(region));
}

static void mapped_field(struct region *region)
{
	open_region(region);
	field("first_faults", "%ld", region->first_faults);
	field("refaults", "%ld", region->refaults);
	field("uses", "%ld", region->uses);
	close_object();
}

static void read_field(struct region *region)
{
	open_region(region);
	close_object();
}

static volatile sig_atomic_t told_to_stop;

static void stop(int signal)
{
	(void)signal;
	told_to_stop = 1;
}

/*
 * In chunks: the stream is so far ahead before anything else is touched, so that it is what the
 * first reclaim finds oldest; and so much of it stays, so that a page is looked at about once from
 * one use of the working set to the next.
 */
#define LEAD 3
#define WINDOW 12

static int over(long streamed, unsigned long long end)
{
	if (told_to_stop)
		return 1;
	return options.duration_s ? now_ns() >= end : streamed >= stream.pages;
}

static long next_chunk(long streamed)
{
	long left = stream.pages - streamed % stream.pages;

	return left < options.chunk ? left : options.chunk;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: file_stream [--stream PAGES] [--working-set PAGES] [--shared PAGES]\n"
		"                   [--read PAGES] [--chunk PAGES] [--directory DIR] [--duration S]\n"
		"  --read PAGES    read by read(2) once, before anything else\n"
		"  --chunk PAGES   streamed, and then reclaimed, in each round\n"
		"  --duration S    the stream again and again until S seconds are over\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "stream", required_argument, NULL, 's' },
		{ "working-set", required_argument, NULL, 'w' },
		{ "shared", required_argument, NULL, 'm' },
		{ "read", required_argument, NULL, 'r' },
		{ "chunk", required_argument, NULL, 'c' },
		{ "directory", required_argument, NULL, 'd' },
		{ "duration", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's': options.stream = number(optarg, 1, usage); break;
		case 'w': options.working_set = number(optarg, 1, usage); break;
		case 'm': options.shared = number(optarg, 1, usage); break;
		case 'r': options.read = number(optarg, 1, usage); break;
		case 'c': options.chunk = number(optarg, 1, usage); break;
		case 'd': options.directory = optarg; break;
		case 't': options.duration_s = number(optarg, 1, usage); break;
		default: usage();
		}
	}
	if (optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	long streamed = 0, pages, stream_faults[2] = { 0, 0 };
	unsigned long asked = 0;
	unsigned long long end;

	parse(argc, argv);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	atexit(cleanup);
	enter_cgroup("file_stream");
	map_region(&working_set, options.working_set);
	map_region(&shared, options.shared);
	map_region(&again, options.shared);
	map_region(&stream, options.stream);
	map_region(&read_once, options.read);
	end = now_ns() + options.duration_s * 1000000000ULL;

	open_object(NULL);
	field("workload", "\"file_stream\"");
	vmstat_field("vmstat_before");
	memory_stat_field("memory_stat_before");
	read_all(&read_once);
	for (long round = 0; !over(streamed, end); round++) {
		pages = next_chunk(streamed);
		stream_faults[streamed >= stream.pages] +=
			touch(&stream, streamed % stream.pages, pages);
		streamed += pages;
		if (round >= LEAD)
			use_again();
		if (round >= WINDOW) {
			reclaim(pages * PAGE);
			asked += pages * PAGE;
		}
	}
	use_again();
	nap_ms(MEMORY_STAT_LAG_MS);
	memory_stat_field("memory_stat_after");
	vmstat_field("vmstat_after");
	stream.first_faults = stream_faults[0];
	stream.refaults = stream_faults[1];
	mapped_field(&stream);
	mapped_field(&working_set);
	mapped_field(&shared);
	read_field(&read_once);
	field("streamed", "%ld", streamed);
	field("chunk", "%ld", options.chunk);
	field("page_bytes", "%lu", PAGE);
	field("asked_bytes", "%lu", asked);
	field("trigger", "\"%s\"", trigger());
	field("cgroup", "\"%s\"", cgroup);
	field("cgroup_id", "%llu", cgroup_id());
	end_ledger();
	return 0;
}
