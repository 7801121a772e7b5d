/*
 * soft_offline: pages that several processes map are moved away, one after the other, as if they
 * were about to fail. Each move takes one walk to migrate the page and one to restore its mappings.
 *
 * The ledger on stdout is one JSON object, with the frames before and after each move.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "poison.h"

struct options {
	long processes;
	long pages;
	long duration_s;
	const char *directory;
};

static struct options options = { .processes = 3, .pages = 31, .directory = "/tmp" };
static struct worker *workers;

static long obey(long number, char command)
{
	(void)number;
	(void)command;
	/* The file's pages are mapped by whoever looks at them. */
	for (long page = 0; page < 2 * options.pages; page++)
		*(volatile char *)(LEDGER_BASE + page * PAGE);
	return 0;
}

static void map_at(unsigned long address, int flags, int fd)
{
	size_t bytes = options.pages * PAGE;

	if (mmap((void *)address, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, fd,
		 0) != (void *)address)
		die("mmap");
	if (madvise((void *)address, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	for (long page = 0; page < options.pages; page++)
		*(volatile long *)(address + page * PAGE) = page + 1;
}

static void map_file(unsigned long address)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/pages", options.directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, options.pages * PAGE))
		die(path);
	map_at(address, MAP_SHARED, fd);
	if (fsync(fd))
		die(path);
	close(fd);
}

static void move_page(const char *kind, long page, unsigned long address)
{
	unsigned long before = pfn_of(address);
	int error = madvise((void *)address, PAGE, MADV_SOFT_OFFLINE) ? errno : 0;

	if (*(volatile long *)address != page + 1) {
		fprintf(stderr, "page %ld has lost its content\n", page);
		exit(1);
	}
	open_object(NULL);
	field("kind", "\"%s\"", kind);
	field("errno", "%d", error);
	field("before", "%lu", before);
	field("after", "%lu", pfn_of(address));
	close_object();
}

static void move_all(const char *kind, unsigned long base)
{
	for (long page = 0; page < options.pages; page++)
		move_page(kind, page, base + page * PAGE);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "processes", required_argument, NULL, 'n' },
		{ "pages", required_argument, NULL, 'p' },
		{ "directory", required_argument, NULL, 'f' },
		{ "duration", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'n': options.processes = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		case 'f': options.directory = optarg; break;
		case 'd': options.duration_s = positive(optarg); break;
		default:
			fprintf(stderr, "usage: soft_offline [--processes N] [--pages P] [--directory DIR]"
				" [--duration S]\n");
			exit(2);
		}
}

static void run_round(void)
{
	open_object(NULL);
	field("workload", "\"soft_offline\"");
	field("processes", "%ld", options.processes);
	field("pages", "%ld", options.pages);
	field("corrupted_before", "%ld", corrupted_pages());
	open_list("moves");
	move_all("anon", LEDGER_BASE);
	move_all("file", LEDGER_BASE + options.pages * PAGE);
	close_list();
	field("corrupted_after", "%ld", corrupted_pages());
	end_ledger();
}

int main(int argc, char **argv)
{
	unsigned long long end;

	parse(argc, argv);
	end = now_ns() + options.duration_s * 1000000000ULL;
	workers = calloc(options.processes, sizeof(*workers));
	if (!workers)
		die("calloc");
	map_at(LEDGER_BASE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_file(LEDGER_BASE + options.pages * PAGE);
	/* The first of the processes is this one. */
	for (long n = 1; n < options.processes; n++) {
		workers[n] = start_worker(n, obey);
		tell(&workers[n], 'l');
	}
	run_round();
	while (now_ns() < end) {
		nap_ms(1000);
		run_round();
	}
	for (long n = 1; n < options.processes; n++)
		stop_worker(&workers[n]);
	return 0;
}
