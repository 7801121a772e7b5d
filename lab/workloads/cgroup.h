/* A cgroup of the workload's own, and reclaim from it. */
#ifndef RMAPWATCH_CGROUP_H
#define RMAPWATCH_CGROUP_H

#include <sys/stat.h>

#include "ledger.h"
#include "system.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

static char cgroup[128];

static inline const char *in_cgroup(const char *name)
{
	static char path[192];

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	return path;
}

static inline void enter_cgroup(const char *workload)
{
	must_write(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	snprintf(cgroup, sizeof(cgroup), CGROUP_ROOT "/%s.%d", workload, getpid());
	if (mkdir(cgroup, 0755))
		die(cgroup);
	must_write(in_cgroup("cgroup.procs"), "0");
}

static inline void leave_cgroup(void)
{
	if (*cgroup && (write_file(CGROUP_ROOT "/cgroup.procs", "0") || rmdir(cgroup)))
		perror(cgroup);
}

/* By which number the kernel knows it. */
static inline unsigned long long cgroup_id(void)
{
	struct stat found;

	if (stat(cgroup, &found))
		die(cgroup);
	return found.st_ino;
}

static inline unsigned long cgroup_bytes(void)
{
	unsigned long bytes = 0;
	FILE *file = fopen(in_cgroup("memory.current"), "r");

	if (!file || fscanf(file, "%lu", &bytes) != 1)
		die("memory.current");
	fclose(file);
	return bytes;
}

/* Kernels before 5.19 have no memory.reclaim: there a lowered memory.high does it. */
static inline const char *trigger(void)
{
	return access(in_cgroup("memory.reclaim"), W_OK) ? "memory.high" : "memory.reclaim";
}

static inline void reclaim(unsigned long bytes)
{
	unsigned long current = cgroup_bytes();
	char text[32];

	if (!strcmp(trigger(), "memory.high")) {
		snprintf(text, sizeof(text), "%lu", current > bytes ? current - bytes : 0);
		must_write(in_cgroup("memory.high"), text);
		must_write(in_cgroup("memory.high"), "max");
		return;
	}
	snprintf(text, sizeof(text), "%lu", bytes);
	/* EAGAIN: less than that could be had. What was had stands in the ledger. */
	if (write_file(in_cgroup("memory.reclaim"), text) && errno != EAGAIN)
		die("memory.reclaim");
}

/* How long the kernel may take to bring the numbers of memory.stat up to date: 2 s, and some. */
#define MEMORY_STAT_LAG_MS 2500

/* Print the counters of memory.stat that say what reclaim did, as an object. */
static inline void memory_stat_field(const char *key)
{
	static const char *const wanted[] = { "pgscan", "pgsteal", "pgactivate", "pgrefill",
					      "workingset_", NULL };

	counters_field(key, in_cgroup("memory.stat"), wanted);
}

#endif
