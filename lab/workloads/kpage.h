/* What the kernel tells of frames: how often each is mapped, and what it is. */
#ifndef RMAPWATCH_KPAGE_H
#define RMAPWATCH_KPAGE_H

#include <linux/kernel-page-flags.h>
#include <stdint.h>

#include "system.h"

/* Frames that were looked at, and sums over them. */
struct census {
	long pages;
	long mappings;
	long mapped_as_expected;
	long anon;
	long ksm;
};

/* A part of /proc/kpagecount or /proc/kpageflags: a word for each frame. */
struct words {
	int fd;
	long count;
	unsigned long first;
	uint64_t word[512];
};

static inline uint64_t of_frame(struct words *words, unsigned long pfn)
{
	if (pfn - words->first >= (unsigned long)words->count) {
		words->first = pfn;
		words->count = pread(words->fd, words->word, sizeof(words->word), pfn * 8) / 8;
		if (words->count < 1)
			die("/proc/kpage*");
	}
	return words->word[pfn - words->first];
}

/* Add frames, each of which should be mapped so often. */
static inline void take_census(struct census *census, const unsigned long *pfns, long pages,
			       uint64_t expected)
{
	struct words counts = { .fd = open("/proc/kpagecount", O_RDONLY) };
	struct words flags = { .fd = open("/proc/kpageflags", O_RDONLY) };

	if (counts.fd < 0 || flags.fd < 0)
		die("/proc/kpage*");
	for (long page = 0; page < pages; page++) {
		uint64_t count = of_frame(&counts, pfns[page]), flag = of_frame(&flags, pfns[page]);

		census->pages++;
		census->mappings += count;
		census->mapped_as_expected += count == expected;
		census->anon += flag >> KPF_ANON & 1;
		census->ksm += flag >> KPF_KSM & 1;
	}
	close(counts.fd);
	close(flags.fd);
}

static inline void census_field(const char *key, const struct census *census)
{
	open_object(key);
	field("pages", "%ld", census->pages);
	field("mappings", "%ld", census->mappings);
	field("mapped_as_expected", "%ld", census->mapped_as_expected);
	field("anon", "%ld", census->anon);
	field("ksm", "%ld", census->ksm);
	close_object();
}

/* Read the frames that a process has at an address; 0 where it has none. */
static inline void frames_of(pid_t pid, unsigned long base, long pages, unsigned long *pfns)
{
	ssize_t bytes = pages * sizeof(*pfns);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, pfns, bytes, base / PAGE * sizeof(*pfns)) != bytes)
		die(path);
	for (long page = 0; page < pages; page++)
		pfns[page] = pfns[page] >> 63 ? pfns[page] & ((1UL << 55) - 1) : 0;
	close(fd);
}

#endif
