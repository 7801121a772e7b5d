/* What workloads ask of the kernel beside memory: control files, and processes that obey. */
#ifndef RMAPWATCH_SYSTEM_H
#define RMAPWATCH_SYSTEM_H

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger.h"

#define PAGE 4096UL

static inline void nap_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Return 0, or -1 with errno as write(2) left it. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return done < 0 ? -1 : 0;
}

static inline void must_write(const char *path, const char *text)
{
	if (write_file(path, text))
		die(path);
}

static inline void must_write_number(const char *path, unsigned long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", value);
	must_write(path, text);
}

/* Return the number that a file begins with; -1 where there is no such file. */
static inline long read_number(const char *path)
{
	long value = -1;
	FILE *file = fopen(path, "r");

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		die(path);
	fclose(file);
	return value;
}

/*
 * Have the processor forget where these pages lie, so that the next touch marks them as accessed.
 * The kernel clears that mark without a flush, and an emulated processor never forgets by itself.
 */
static inline void forget_translations(unsigned long base, unsigned long bytes, int protection)
{
	if (mprotect((void *)base, bytes, PROT_NONE) ||
	    mprotect((void *)base, bytes, protection))
		die("mprotect");
}

/*
 * Have every CPU put the pages that it keeps to itself on their lists: a page's references are then
 * those of its mappings. Asking for a page to be where it is does that, and moves nothing.
 */
static inline void drain_lru(unsigned long address)
{
	void *page = (void *)address;
	int node = 0, status = 0;

	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, 1 << 1) || status)
		die("move_pages");
}

/* Pages that this process mapped without waiting for a disk, so far. */
static inline long minor_faults(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used))
		die("getrusage");
	return used.ru_minflt;
}

/* ---- processes that do one thing at a time, when they are told to ------------------------- */

struct worker {
	pid_t pid;
	int commands;
};

/* Fork a process that calls obey(number, command) for every command, until its parent is gone. */
static inline struct worker start_worker(long number, long (*obey)(long number, char command))
{
	struct worker worker;
	int ends[2];
	char command;
	long answer;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
		die("socketpair");
	fflush(stdout);
	worker.pid = fork();
	if (worker.pid < 0)
		die("fork");
	if (worker.pid) {
		close(ends[1]);
		worker.commands = ends[0];
		return worker;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ends[0]);
	while (read(ends[1], &command, 1) == 1) {
		answer = obey(number, command);
		if (write(ends[1], &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

/* Return what the worker answers; a worker that has died has failed. */
static inline long tell(const struct worker *worker, char command)
{
	long answer;

	if (write(worker->commands, &command, 1) != 1 ||
	    read(worker->commands, &answer, sizeof(answer)) != sizeof(answer)) {
		fprintf(stderr, "worker %d did not obey '%c'\n", worker->pid, command);
		exit(1);
	}
	return answer;
}

static inline void stop_worker(const struct worker *worker)
{
	close(worker->commands);
	kill(worker->pid, SIGKILL);
	if (waitpid(worker->pid, NULL, 0) < 0 && errno != ECHILD)
		die("waitpid");
}

/* ---- options ------------------------------------------------------------------------------ */

/* The number that an argument is; the workload has its own usage(). */
static inline long number(const char *text, long least, void (*usage)(void))
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < least)
		usage();
	return value;
}

static inline long positive(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < 1) {
		fprintf(stderr, "usage: %s is no number above 0\n", text);
		exit(2);
	}
	return value;
}

#endif
