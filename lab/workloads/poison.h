/* Pages that fail: where they are, and what a process is told. */
#ifndef RMAPWATCH_POISON_H
#define RMAPWATCH_POISON_H

#include <setjmp.h>
#include <sys/mman.h>

#include "pagemap.h"

/* The C library names neither of the two to everybody. */
#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define HUGE_PAGE (2UL << 20)
#define SIGNALS 4

struct told {
	int code;
	int lsb;
	int touching;
	unsigned long address;
};

/* What one process was told, in memory that the parent shares. */
struct report {
	int signals;
	struct told told[SIGNALS];
};

static struct report *mine;
static volatile sig_atomic_t touching;
static sigjmp_buf untouched;

static inline void on_sigbus(int signal, siginfo_t *info, void *context)
{
	struct told *told = &mine->told[mine->signals % SIGNALS];

	(void)signal;
	(void)context;
	told->code = info->si_code;
	told->lsb = info->si_addr_lsb;
	told->touching = touching;
	told->address = (unsigned long)info->si_addr;
	mine->signals++;
	if (touching)
		siglongjmp(untouched, 1);
}

static inline void listen_for_sigbus(struct report *report)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART };

	mine = report;
	if (sigaction(SIGBUS, &action, NULL))
		die("sigaction");
}

/* Read a byte; 1 where that was answered with a signal. */
static inline long touch(void *address)
{
	int failed = sigsetjmp(untouched, 1);

	if (!failed) {
		touching = 1;
		*(volatile char *)address;
	}
	touching = 0;
	return failed;
}

/* Return HardwareCorrupted in pages. */
static inline long corrupted_pages(void)
{
	char name[64];
	long value;
	FILE *file = fopen("/proc/meminfo", "r");

	if (!file)
		die("/proc/meminfo");
	while (fscanf(file, "%63s %ld%*[^\n]", name, &value) == 2)
		if (!strcmp(name, "HardwareCorrupted:")) {
			fclose(file);
			return value * 1024 / PAGE;
		}
	die("HardwareCorrupted");
	return 0;
}

/* Print the node's own counts of failures; nothing where the kernel keeps none. */
static inline void node_field(const char *key)
{
	static const char *const wanted[] = { "total", "ignored", "failed", "delayed", "recovered" };
	char path[96];

	open_object(key);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node0/memory_failure/%s",
			 wanted[i]);
		if (!access(path, R_OK))
			field(wanted[i], "%ld", read_number(path));
	}
	close_object();
}

#endif
