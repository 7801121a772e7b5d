/* Where the pages of this process are. */
#ifndef RMAPWATCH_PAGEMAP_H
#define RMAPWATCH_PAGEMAP_H

#include <stdint.h>

#include "system.h"

/* Return the entry of an address in /proc/self/pagemap. */
static inline uint64_t pagemap(unsigned long address)
{
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &entry, 8, address / PAGE * 8) != 8)
		die("/proc/self/pagemap");
	close(fd);
	return entry;
}

/* Return the frame that an address is mapped to; 0 where it is to none. */
static inline unsigned long pfn_of(unsigned long address)
{
	uint64_t entry = pagemap(address);

	return entry >> 63 ? entry & ((1UL << 55) - 1) : 0;
}

static inline int is_swapped(unsigned long address)
{
	return pagemap(address) >> 62 & 1;
}

#endif
