/*
 * ping_pong: P pages that many mappings share go to another NUMA node and back, when told to.
 *
 * The mappings are those of L processes, by fork, or with --mappings those of one process that maps
 * the same memory V times. All but this process sleep. Each line on stdin is a number of rounds; the
 * answer is a line: what each move to the other node took, in ns of CLOCK_MONOTONIC. A round is one
 * call of move_pages(2), and so 2 P walks; the way back is not measured. Rounds begin at the same
 * moment between two ticks of the clock, so that as many of these fall into one as into the next.
 */
#define _GNU_SOURCE
#include <getopt.h>

#include "numa.h"

#define TICK_NS 4000000ULL

static struct {
	long processes;
	long mappings;
	long pages;
} options = { .processes = 1, .mappings = 1, .pages = 64 };

static void **addresses;
static int *nodes[2];
static int *status;

static void share_by_fork(void)
{
	char ready;
	int ends[2];

	if (pipe(ends))
		die("pipe");
	for (long n = 1; n < options.processes; n++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ends[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	for (long n = 1; n < options.processes; n++)
		if (read(ends[0], &ready, 1) != 1)
			die("read");
}

static void *map(int flags, int fd)
{
	size_t bytes = options.pages * PAGE;
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (base == MAP_FAILED)
		die("mmap");
	if (madvise(base, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		die("madvise");
	for (long page = 0; page < options.pages; page++)
		*(volatile long *)((char *)base + page * PAGE) = page + 1;
	return base;
}

static void *set_up(void)
{
	void *base;
	int fd;

	if (options.mappings == 1) {
		base = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
		share_by_fork();
		return base;
	}
	fd = memfd_create("ping_pong", 0);
	if (fd < 0 || ftruncate(fd, options.pages * PAGE))
		die("memfd_create");
	base = map(MAP_SHARED, fd);
	for (long n = 1; n < options.mappings; n++)
		map(MAP_SHARED, fd);
	return base;
}

static void allocate(void)
{
	addresses = calloc(options.pages, sizeof(*addresses));
	status = calloc(options.pages, sizeof(*status));
	for (int node = 0; node < 2; node++)
		nodes[node] = calloc(options.pages, sizeof(*nodes[node]));
	if (!addresses || !status || !nodes[0] || !nodes[1])
		die("calloc");
	for (long page = 0; page < options.pages; page++)
		nodes[1][page] = 1;
}

/* Move all pages to a node and return what it took; a page that is left behind is a failure. */
static unsigned long long move(int node)
{
	unsigned long long begin = now_ns(), end;
	long left = syscall(SYS_move_pages, 0, options.pages, addresses, nodes[node], status,
			    MPOL_MF_MOVE_ALL);

	end = now_ns();
	if (left || on_node(status, options.pages, node) != options.pages) {
		fprintf(stderr, "move_pages left pages behind\n");
		exit(1);
	}
	return end - begin;
}

static void wait_for_tick(void)
{
	unsigned long long ns = (now_ns() / TICK_NS + 2) * TICK_NS;
	struct timespec ts = { ns / 1000000000ULL, ns % 1000000000ULL };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

static void run(long rounds)
{
	move(1);
	move(0);
	for (long n = 0; n < rounds; n++) {
		wait_for_tick();
		printf("%s%llu", n ? " " : "", move(1));
		move(0);
	}
	printf("\n");
	fflush(stdout);
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "processes", required_argument, NULL, 'n' },
		{ "mappings", required_argument, NULL, 'm' },
		{ "pages", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
		switch (option) {
		case 'n': options.processes = positive(optarg); break;
		case 'm': options.mappings = positive(optarg); break;
		case 'p': options.pages = positive(optarg); break;
		default:
			fprintf(stderr, "usage: ping_pong [--processes L | --mappings V]"
				" [--pages P]\n");
			exit(2);
		}
}

int main(int argc, char **argv)
{
	char line[32];
	char *base;

	parse(argc, argv);
	stay_near();
	allocate();
	base = set_up();
	for (long page = 0; page < options.pages; page++)
		addresses[page] = base + page * PAGE;
	move(1);
	move(0);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		run(positive(line));
	}
	return 0;
}
