/* Preloaded into the program: makes the FAULT_AT'th write to a file of the archive fail, as a dying disk would.
   FAULT_KIND: "eio" and "enospc" fail every write from then on, "once" fails one, "short" writes half of it and then
   fails, "sync" fails every fsync from the FAULT_AT'th on. "read" fails every read of an archive between the bytes
   FAULT_FROM and FAULT_TO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/types.h>

static long count;

/* Only files whose name holds ".sqlite", or pipes and terminals would fail too. */
static int is_ours(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, ".sqlite") != NULL && strstr(path, ".lock") == NULL;
}

static int is_due(const char *kind, int once) {
    const char *at = getenv("FAULT_AT"), *wanted = getenv("FAULT_KIND");
    if (!at || !wanted || strcmp(wanted, kind) != 0) return 0;
    long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    return once ? now == atol(at) : now >= atol(at);
}

static int fault(int fd, size_t *size) {
    if (!is_ours(fd)) return 0;
    if (is_due("eio", 0) || is_due("once", 1)) return EIO;
    if (is_due("enospc", 0)) return ENOSPC;
    const char *at = getenv("FAULT_AT"), *wanted = getenv("FAULT_KIND");
    if (at && wanted && strcmp(wanted, "short") == 0) {
        long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
        if (now == atol(at) && *size > 1) *size /= 2;
        else if (now > atol(at)) return ENOSPC;
    }
    return 0;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    int error = fault(fd, &size);
    if (error) { errno = error; return -1; }
    return real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    int error = fault(fd, &size);
    if (error) { errno = error; return -1; }
    return real(fd, data, size);
}

static int sync_fault(int fd) { return is_ours(fd) && is_due("sync", 0); }

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (sync_fault(fd)) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (sync_fault(fd)) { errno = EIO; return -1; }
    return real(fd);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread64");
    const char *from = getenv("FAULT_FROM"), *to = getenv("FAULT_TO"), *wanted = getenv("FAULT_KIND");
    int is_wanted = from && to && wanted && strcmp(wanted, "read") == 0 && is_ours(fd);
    if (is_wanted && offset < atol(to) && offset + (off64_t)size > atol(from)) { errno = EIO; return -1; }
    return real(fd, data, size, offset);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset) { return pread64(fd, data, size, offset); }
