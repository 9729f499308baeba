/* In front of the C library: lets writes to files, or syncs, of the data folder fail after so many, as OAST_FAULT says: `write:N` for
   a full disk, `sync:N` for one that fails. Only the crash test loads it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long writes, syncs;

static long limit(const char *what) {
    const char *fault = getenv("OAST_FAULT");
    size_t length = strlen(what);
    return fault && !strncmp(fault, what, length) && fault[length] == ':' ? atol(fault + length + 1) : -1;
}

static int is_file(int descriptor) {
    struct stat status;
    return !fstat(descriptor, &status) && S_ISREG(status.st_mode);
}

static int fails(const char *what, atomic_long *count, int descriptor) {
    long after = limit(what);
    return after >= 0 && is_file(descriptor) && atomic_fetch_add(count, 1) >= after;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (fails("write", &writes, descriptor)) {
        /* A full disk takes what still fits. */
        if (length > 1 && atomic_load(&writes) == limit("write") + 1) return real(descriptor, bytes, length / 2);
        errno = ENOSPC;
        return -1;
    }
    return real(descriptor, bytes, length);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (fails("write", &writes, descriptor)) {
        errno = ENOSPC;
        return -1;
    }
    return real(descriptor, bytes, length, at);
}

int fsync(int descriptor) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (fails("sync", &syncs, descriptor)) {
        errno = EIO;
        return -1;
    }
    return real(descriptor);
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (fails("sync", &syncs, descriptor)) {
        errno = EIO;
        return -1;
    }
    return real(descriptor);
}
