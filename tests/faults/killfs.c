/* Preloaded into a process: counts what changes files under $KILLFS_ROOT, and ends the process at the chosen one.

   Every write, fsync, rename, unlink, truncation and creation is a point, whoever makes it: Python, Rust's safetensors
   or torch's C++ archive writer. A write that is chosen is done by half first, as a torn page would be.
   $KILLFS_TRACE names a file that gets one line for each point: what was done to which path. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long seen, chosen;
static int trace = -1;

void killfs_arm(long point) { seen = 0; chosen = point; }
long killfs_seen(void) { return seen; }

static int inside(const char *path) {
    static const char *root;
    if (!root && !(root = getenv("KILLFS_ROOT"))) root = "/nowhere";
    return strncmp(path, root, strlen(root)) == 0;
}

static void absolute(int folder, const char *path, char *out) {
    char base[PATH_MAX] = "", link[64];
    if (path[0] != '/') {
        if (folder == AT_FDCWD) { if (!getcwd(base, sizeof base)) base[0] = 0; }
        else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t n = readlink(link, base, sizeof base - 1);
            base[n < 0 ? 0 : n] = 0;
        }
        strncat(strncat(strcpy(out, base), "/", 2), path, PATH_MAX - strlen(base) - 2);
    } else
        snprintf(out, PATH_MAX, "%s", path);
}

static void named(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n < 0 ? 0 : n] = 0;
}

/* One more point; true where it is the chosen one. */
static int point(const char *what, const char *path, const char *other) {
    static const char *name;
    if (!name && !(name = getenv("KILLFS_TRACE"))) name = "";
    if (*name) {
        char line[3 * PATH_MAX];
        int n = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, other);
        if (trace < 0) trace = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        syscall(SYS_write, trace, line, n);
    }
    return ++seen == chosen;
}
static void end(void) { kill(getpid(), SIGKILL); }

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, #name)

#define WRITER(name, offset_in_signature, offset_in_call) \
    ssize_t name(int fd, const void *data, size_t size offset_in_signature) { \
        REAL(ssize_t, name, int, const void *, size_t offset_in_signature); \
        char path[PATH_MAX]; \
        named(fd, path); \
        if (inside(path) && point("write", path, "")) { real(fd, data, size / 2 offset_in_call); end(); } \
        return real(fd, data, size offset_in_call); \
    }
#define NOTHING
#define COMMA ,
WRITER(write, NOTHING, NOTHING)
WRITER(pwrite, COMMA off_t offset, COMMA offset)
WRITER(pwrite64, COMMA off64_t offset, COMMA offset)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    char path[PATH_MAX];
    named(fd, path);
    if (inside(path) && point("write", path, "")) { real(fd, parts, count / 2); end(); }
    return real(fd, parts, count);
}

#define ON_FILE(name, what, more_in_signature, more_in_call) \
    int name(int fd more_in_signature) { \
        REAL(int, name, int more_in_signature); \
        char path[PATH_MAX]; \
        named(fd, path); \
        if (inside(path) && point(what, path, "")) end(); \
        return real(fd more_in_call); \
    }
ON_FILE(fsync, "fsync", NOTHING, NOTHING)
ON_FILE(fdatasync, "fsync", NOTHING, NOTHING)
ON_FILE(ftruncate, "truncate", COMMA off_t size, COMMA size)
ON_FILE(ftruncate64, "truncate", COMMA off64_t size, COMMA size)

#define ON_PATH(name, what, more_in_signature, more_in_call) \
    int name(const char *given more_in_signature) { \
        REAL(int, name, const char * more_in_signature); \
        char path[PATH_MAX]; \
        absolute(AT_FDCWD, given, path); \
        if (inside(path) && point(what, path, "")) end(); \
        return real(given more_in_call); \
    }
ON_PATH(unlink, "unlink", NOTHING, NOTHING)
ON_PATH(rmdir, "unlink", NOTHING, NOTHING)
ON_PATH(mkdir, "create", COMMA mode_t mode, COMMA mode)
ON_PATH(truncate, "truncate", COMMA off_t size, COMMA size)
ON_PATH(truncate64, "truncate", COMMA off64_t size, COMMA size)

int unlinkat(int folder, const char *given, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char path[PATH_MAX];
    absolute(folder, given, path);
    if (inside(path) && point("unlink", path, "")) end();
    return real(folder, given, flags);
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char path[PATH_MAX], other[PATH_MAX];
    absolute(AT_FDCWD, from, path);
    absolute(AT_FDCWD, to, other);
    if (inside(other) && point("rename", path, other)) end();
    return real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    char path[PATH_MAX], other[PATH_MAX];
    absolute(a, from, path);
    absolute(b, to, other);
    if (inside(other) && point("rename", path, other)) end();
    return real(a, from, b, to);
}

#define OPENER(name, folder_in_signature, folder, folder_in_call, folder_in_types) \
    int name(folder_in_signature const char *given, int flags, ...) { \
        REAL(int, name, folder_in_types const char *, int, ...); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        char path[PATH_MAX]; \
        absolute(folder, given, path); \
        if (flags & (O_CREAT | O_TRUNC) && inside(path) && point("create", path, "")) end(); \
        return real(folder_in_call given, flags, mode); \
    }
OPENER(open, NOTHING, AT_FDCWD, NOTHING, NOTHING)
OPENER(open64, NOTHING, AT_FDCWD, NOTHING, NOTHING)
OPENER(openat, int at COMMA, at, at COMMA, int COMMA)
OPENER(openat64, int at COMMA, at, at COMMA, int COMMA)

#define STREAM(name) \
    FILE *name(const char *given, const char *mode) { \
        REAL(FILE *, name, const char *, const char *); \
        char path[PATH_MAX]; \
        absolute(AT_FDCWD, given, path); \
        if (strpbrk(mode, "wa") && inside(path) && point("create", path, "")) end(); \
        return real(given, mode); \
    }
STREAM(fopen)
STREAM(fopen64)
