/* Two NUMA nodes, and pages that are moved from one to the other. */
#ifndef RMAPWATCH_NUMA_H
#define RMAPWATCH_NUMA_H

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "system.h"

/* What a status is before the kernel stores one. */
#define NO_STATUS (-1000)

#define MOST_PAGES (1UL << 24)

/* Have this process, and those that it forks, take memory from the first node. */
static inline void stay_near(void)
{
	unsigned long nodes = 1;

	if (access("/sys/devices/system/node/node1", R_OK)) {
		fprintf(stderr, "there is no second NUMA node\n");
		exit(1);
	}
	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, sizeof(nodes) * 8))
		die("set_mempolicy");
}

/*
 * move_pages(2): move pages of a process to a node, or with node -1 ask where they are. Return what
 * the call does: pages that it could not move, or -1.
 */
static inline long move_pages(pid_t pid, unsigned long base, size_t pages, int node, int *status)
{
	void **addresses;
	int *nodes;
	long done;

	if (pages > MOST_PAGES || !(addresses = calloc(pages, sizeof(*addresses))) ||
	    !(nodes = calloc(pages, sizeof(*nodes))))
		die("calloc");
	for (size_t page = 0; page < pages; page++) {
		addresses[page] = (void *)(base + page * PAGE);
		nodes[page] = node;
		status[page] = NO_STATUS;
	}
	done = syscall(SYS_move_pages, pid, pages, addresses, node < 0 ? NULL : nodes, status,
		       MPOL_MF_MOVE_ALL);
	if (done < 0)
		die("move_pages");
	free(addresses);
	free(nodes);
	return done;
}

/* How many of the pages a status says to be on a node. */
static inline long on_node(const int *status, long pages, int node)
{
	long found = 0;

	for (long page = 0; page < pages; page++)
		found += status[page] == node;
	return found;
}

#endif
