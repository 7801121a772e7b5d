/* What every workload of the lab shares: the ledger it prints, and how it fails. */
#ifndef RMAPWATCH_LEDGER_H
#define RMAPWATCH_LEDGER_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Where the memory of a workload lies. Programs and libraries lie elsewhere, so the index of a
 * page (address >> 12) tells whether it is the workload's.
 */
#define LEDGER_BASE 0x600000000000UL

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* CLOCK_MONOTONIC in ns: the clock of the kernel's own events. */
static inline unsigned long long now_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts))
		die("clock_gettime");
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int ledger_fresh = 1;

static inline void open_with(const char *key, const char *bracket)
{
	printf("%s", ledger_fresh ? "" : ", ");
	if (key)
		printf("\"%s\": ", key);
	printf("%s", bracket);
	ledger_fresh = 1;
}

static inline void close_with(const char *bracket)
{
	printf("%s", bracket);
	ledger_fresh = 0;
}

/* Key is NULL for an element of a list, and for the ledger itself. */
static inline void open_object(const char *key)
{
	open_with(key, "{");
}

static inline void close_object(void)
{
	close_with("}");
}

static inline void open_list(const char *key)
{
	open_with(key, "[");
}

static inline void close_list(void)
{
	close_with("]");
}

/* The end of one ledger: another may follow. */
static inline void end_ledger(void)
{
	close_object();
	printf("\n");
	fflush(stdout);
	ledger_fresh = 1;
}

/* Print "key": value, with a comma before all but the first of an object. */
__attribute__((format(printf, 2, 3)))
static inline void field(const char *key, const char *format, ...)
{
	va_list values;

	printf("%s\"%s\": ", ledger_fresh ? "" : ", ", key);
	va_start(values, format);
	vprintf(format, values);
	va_end(values);
	ledger_fresh = 0;
}

/* Print the "name value" lines of a file whose names begin as one of `wanted`, as an object. */
static inline void counters_field(const char *key, const char *path, const char *const *wanted)
{
	char name[64];
	long long value;
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	open_object(key);
	while (fscanf(file, "%63s %lld", name, &value) == 2)
		for (const char *const *start = wanted; *start; start++)
			if (!strncmp(name, *start, strlen(*start)))
				field(name, "%lld", value);
	close_object();
	fclose(file);
}

/* Return the value of a "name value" line of a file; -1 where there is none. */
static inline long long counter_of(const char *path, const char *wanted)
{
	char name[64];
	long long value, found = -1;
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	while (found < 0 && fscanf(file, "%63s %lld", name, &value) == 2)
		if (!strcmp(name, wanted))
			found = value;
	fclose(file);
	return found;
}

/* Print the counters of /proc/vmstat that say what reclaim and KSM did, as an object. */
static inline void vmstat_field(const char *key)
{
	static const char *const wanted[] = {
		"pgscan_", "pgsteal_", "pswpout", "pswpin", "ksm_swpin_copy", "cow_ksm", NULL,
	};

	counters_field(key, "/proc/vmstat", wanted);
}

#endif
