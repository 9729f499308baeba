/* In front of the C library: lets writes to files, or syncs, of the data folder fail after so many, as OAST_FAULT says: `write:N` for
   a full disk, `sync:N` for one that fails. With OAST_FAULT_ARMED, calls are counted once that file is there, those that sync folders
   among them, and a single one fails. Only tests load it. */
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

static int is_of(int descriptor, mode_t type) {
    struct stat status;
    return !fstat(descriptor, &status) && (status.st_mode & S_IFMT) == type;
}

static int fails(const char *what, atomic_long *count, int descriptor) {
    const char *armed = getenv("OAST_FAULT_ARMED");
    long after = limit(what);
    if (after < 0) return 0;
    if (!armed) return is_of(descriptor, S_IFREG) && atomic_fetch_add(count, 1) >= after;
    if (!is_of(descriptor, S_IFREG) && !is_of(descriptor, S_IFDIR)) return 0;
    return !access(armed, F_OK) && atomic_fetch_add(count, 1) == after;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (fails("write", &writes, descriptor)) {
        /* A full disk takes what still fits, and refuses the rest. A call that fails alone does both. */
        int alone = getenv("OAST_FAULT_ARMED") != NULL;
        if (length > 1 && (alone || atomic_load(&writes) == limit("write") + 1)) {
            ssize_t written = real(descriptor, bytes, length / 2);
            if (!alone || written < 0) return written;
        }
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
