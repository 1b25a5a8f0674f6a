/* Loaded before nginx (LD_PRELOAD): a slow disk, and a clock that somebody sets. Both are told by a file of two
   numbers that TOLLGATE_CHAOS_FAULTS names: the milliseconds that fsync(2) takes longer, and the seconds by which
   the time of day is off. The monotonic clocks are left alone, as setting the time leaves them alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *faults;

__attribute__((constructor)) static void map(void)
{
	const char *name = getenv("TOLLGATE_CHAOS_FAULTS");
	int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0) {
		return;
	}
	void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (page != MAP_FAILED) {
		faults = page;
	}
}

static int64_t fault(int number)
{
	return faults ? faults[number] : 0;
}

static int slow(int file, const char *name)
{
	int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
	struct timespec pause = { 0, 10000000 };
	/* Looked at again and again, so that a pause can be ended. */
	for (int64_t waited = 0; waited < fault(0); waited += 10) {
		nanosleep(&pause, NULL);
	}
	return real(file);
}

int fsync(int file)
{
	return slow(file, "fsync");
}

int fdatasync(int file)
{
	return slow(file, "fdatasync");
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real) {
		real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	}
	int outcome = real(clock, now);
	if (outcome == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		now->tv_sec += fault(1);
	}
	return outcome;
}

int gettimeofday(struct timeval *now, void *zone)
{
	struct timespec precise;
	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0) {
		return -1;
	}
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *where)
{
	struct timespec precise;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0) {
		return -1;
	}
	if (where) {
		*where = precise.tv_sec;
	}
	return precise.tv_sec;
}
