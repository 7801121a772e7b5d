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

/* Return what a file of the kernel that has a word per frame says of one. */
static inline uint64_t word_of_frame(const char *path, unsigned long pfn)
{
	uint64_t word;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || pread(fd, &word, 8, pfn * 8) != 8)
		die(path);
	close(fd);
	return word;
}

/* Return how many page-table entries map the frame. */
static inline long mapcount(unsigned long pfn)
{
	return word_of_frame("/proc/kpagecount", pfn);
}

/* Return what kind of page the frame holds: the bits of kernel-page-flags.h. */
static inline const char *kind_of_frame(unsigned long pfn)
{
	uint64_t flags = word_of_frame("/proc/kpageflags", pfn);

	if (flags >> 24 & 1)
		return "special";
	return flags >> 12 & 1 ? "anon" : "file";
}

static inline int is_swapped(unsigned long address)
{
	return pagemap(address) >> 62 & 1;
}

#endif
