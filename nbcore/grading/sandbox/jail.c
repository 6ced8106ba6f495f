/* Start one untrusted program with nothing but what it is given.
 *
 *     jail [OPTION VALUE]... -- PROGRAM ARG...        run PROGRAM in the jail; the environment is the caller's
 *     LD_PRELOAD=jail.so JAIL_FD=3 PROGRAM ARG...     fork server: PROGRAM stops before main, and each message on
 *                                                     socket 3 ("OPTION\0VALUE\0...--\0ARG\0...", with stdin, stdout
 *                                                     and stderr as SCM_RIGHTS) forks a jailed copy that goes on
 *
 * The fork server saves a compiler the relocation of 350 MB of itself, 8 to 10 ms a call. Its children are made with
 * CLONE_PARENT, so that whoever started the server waits for them as for any child of its own.
 *
 * A layer that was asked for and cannot be had ends the program with status 125 and a line on stderr: never less than
 * was asked for, silently. Linux, glibc (the server); x86-64 and aarch64.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <grp.h>

extern char **environ;

static void die(const char *what) {
    dprintf(2, "jail: %s: %s\n", what, strerror(errno));
    _exit(125);
}

/* --- Landlock: what may be read, run and written; everything else is refused. The kernel's numbers, since the
 * headers of a distribution may be older than its kernel. ABI n knows the first rights of the list. */
enum { EXECUTE = 1 << 0, WRITE = 1 << 1, READ = 1 << 2, READ_DIR = 1 << 3, IOCTL_DEV = 1 << 15 };
static const uint64_t RIGHTS[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
struct ruleset { uint64_t fs, net, scoped; };
struct beneath { uint64_t access; int32_t parent; } __attribute__((packed));
static int rules = -1;
static uint64_t handled;

static void landlock_begin(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (abi < 1) die("landlock");
    struct ruleset set = {.fs = handled = RIGHTS[abi > 5 ? 5 : abi]};
    size_t size = 8;
    if (abi >= 4) set.net = 3, size = 16;    /* binding and connecting TCP */
    if (abi >= 6) set.scoped = 3, size = 24; /* abstract sockets and signals of others */
    if ((rules = syscall(SYS_landlock_create_ruleset, &set, size, 0)) < 0) die("landlock");
}

static void landlock_allow(int at, uint64_t access) {
    struct stat kind;
    if (fstat(at, &kind)) die("landlock");
    if (!S_ISDIR(kind.st_mode)) access &= EXECUTE | WRITE | READ | 1 << 14 | IOCTL_DEV; /* 14: truncate */
    struct beneath rule = {access & handled, at};
    if (syscall(SYS_landlock_add_rule, rules, 1, &rule, 0)) die("landlock rule");
}

static void landlock_path(const char *path, uint64_t access) {
    int at = open(path, O_PATH | O_CLOEXEC);
    if (at < 0) return; /* what is not there needs no permission */
    landlock_allow(at, access);
    close(at);
}

/* --- seccomp: a candidate may compute, and speak on the descriptors it has. None may be put in another's place: a
 * program that could move its stderr could read what its own tests report, and say something else. */
#define NR offsetof(struct seccomp_data, nr)
#define ARG(n) (offsetof(struct seccomp_data, args) + 8 * (n)) /* low half: both machines are little-endian */
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define REFUSE(code) RETURN(SECCOMP_RET_ERRNO | (code))
#define IF(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define IF_BITS(bits, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, then, otherwise)
#define MOST 256

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

static const int MAY[] = {
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_close, SYS_fstat, SYS_statx,
    SYS_newfstatat, SYS_openat, SYS_faccessat, SYS_faccessat2, SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_fcntl,
    SYS_pipe2, SYS_ppoll, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_futex, SYS_nanosleep,
    SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_restart_syscall, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getrandom,
    SYS_set_tid_address, SYS_set_robust_list, SYS_rseq, SYS_uname, SYS_exit, SYS_exit_group, SYS_membarrier,
#ifdef __x86_64__
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_pipe, SYS_poll, SYS_arch_prctl, SYS_time,
#endif
};
/* A compiler may do what a compiler does, but none of this. */
static const int MAY_NOT[] = {
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_bpf, SYS_perf_event_open,
    SYS_io_uring_setup, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_init_module,
    SYS_finit_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_setuid, SYS_setgid, SYS_setresuid, SYS_setresgid,
    SYS_setgroups, SYS_open_by_handle_at, SYS_memfd_create, SYS_shmget, SYS_msgget, SYS_semget,
};

static void seccomp(int strict, int moving) {
    struct sock_filter code[MOST];
    int n = 0;
#define ADD(...) do { struct sock_filter some[] = {__VA_ARGS__}; memcpy(code + n, some, sizeof some); \
                      n += sizeof some / sizeof *some; } while (0)
    ADD(LOAD(offsetof(struct seccomp_data, arch)), IF(ARCH, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(NR));
#ifdef __x86_64__
    ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), REFUSE(ENOSYS)); /* the x32 numbers */
#endif
    if (!strict) {
        for (size_t i = 0; i < sizeof MAY_NOT / sizeof *MAY_NOT; i++) ADD(IF(MAY_NOT[i], 0, 1), REFUSE(EPERM));
        ADD(ALLOW);
    } else {
        for (size_t i = 0; i < sizeof MAY / sizeof *MAY; i++) ADD(IF(MAY[i], 0, 1), ALLOW);
        if (moving) {
            ADD(IF(SYS_dup, 0, 1), ALLOW, IF(SYS_dup3, 0, 1), ALLOW);
#ifdef __x86_64__
            ADD(IF(SYS_dup2, 0, 1), ALLOW);
#endif
        }
        /* threads, not processes; with clone3 unknown, glibc falls back to clone, whose flags can be read here */
        ADD(IF(SYS_clone3, 0, 1), REFUSE(ENOSYS));
        ADD(IF(SYS_clone, 0, 3), LOAD(ARG(0)), IF_BITS(CLONE_THREAD, 0, 1), ALLOW, LOAD(NR));
        /* the launcher's own exec, of a descriptor and not of a path */
        ADD(IF(SYS_execveat, 0, 3), LOAD(ARG(4)), IF(AT_EMPTY_PATH, 0, 1), ALLOW, LOAD(NR));
        /* abort() signals its own process */
        ADD(IF(SYS_tgkill, 0, 3), LOAD(ARG(0)), IF(getpid(), 0, 1), ALLOW, LOAD(NR));
        ADD(IF(SYS_prctl, 0, 4), LOAD(ARG(0)), IF(PR_SET_NAME, 1, 0), IF(PR_GET_NAME, 0, 1), ALLOW, LOAD(NR));
        /* reading one's own limits, not setting them: the new ones are at NULL */
        ADD(IF(SYS_prlimit64, 0, 7), LOAD(ARG(0)), IF(0, 0, 5), LOAD(ARG(2)), IF(0, 0, 3), LOAD(ARG(2) + 4),
            IF(0, 0, 1), ALLOW, LOAD(NR));
        ADD(IF(SYS_ioctl, 0, 1), REFUSE(ENOTTY), REFUSE(EPERM));
    }
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
}

static void limit(int which, const char *text, uint64_t above) {
    struct rlimit most = {strtoull(text, NULL, 10), strtoull(text, NULL, 10) + above};
    if (setrlimit(which, &most)) die("limit");
}

/* Reads OPTION VALUE pairs up to "--", goes to jail, and returns what follows. `*program` is its file, when this has
 * yet to be executed. */
static char **enter(char **arg, int *program) {
    const char *root = NULL, *home = "/", *uid = NULL, *filter = NULL;
    int keep = 0;
    char **rest = arg;
    while (*rest && strcmp(*rest, "--")) rest++;
    if (!*rest++ || !*rest) errno = EINVAL, die("usage: jail [OPTION VALUE]... -- PROGRAM ARG...");
    if (program) { /* at 3, and nothing that was inherited above it */
        int at = open(*rest, O_PATH | O_CLOEXEC);
        if (at < 0 || (at != 3 && dup3(at, 3, O_CLOEXEC) < 0)) die(*rest);
        *program = 3;
        for (char **option = arg; option != rest - 1; option++) keep |= !strcmp(*option, "keep"); /* 4 as well */
        if (syscall(SYS_close_range, 4 + keep, ~0U, 0) && errno != ENOSYS) die("close_range");
    }
    setsid();
    for (; strcmp(*arg, "--"); arg += 2) {
        const char *value = arg[1];
        if (!strcmp(*arg, "cpu")) limit(RLIMIT_CPU, value, 1); /* soft below hard: SIGXCPU then says why */
        else if (!strcmp(*arg, "as")) limit(RLIMIT_AS, value, 0);
        else if (!strcmp(*arg, "data")) limit(RLIMIT_DATA, value, 0);
        else if (!strcmp(*arg, "fsize")) limit(RLIMIT_FSIZE, value, 0);
        else if (!strcmp(*arg, "nofile")) limit(RLIMIT_NOFILE, value, 0);
        else if (!strcmp(*arg, "nproc")) limit(RLIMIT_NPROC, value, 0);
        else if (!strcmp(*arg, "stack")) limit(RLIMIT_STACK, value, 0);
        else if (!strcmp(*arg, "cwd")) { if (chdir(value)) die(value); }
        else if (!strcmp(*arg, "chroot")) root = value;
        else if (!strcmp(*arg, "home")) home = value; /* where it starts, in its root */
        else if (!strcmp(*arg, "uid")) uid = value;
        else if (!strcmp(*arg, "seccomp")) filter = value;
        else if (!strcmp(*arg, "keep")) continue;
        else if (!strcmp(*arg, "landlock")) landlock_begin();
        else if (!strcmp(*arg, "read")) landlock_path(value, READ | READ_DIR | EXECUTE);
        else if (!strcmp(*arg, "device")) landlock_path(value, READ | WRITE);
        else if (!strcmp(*arg, "write")) landlock_path(value, handled & ~(1ULL << 6 | 1ULL << 9 | 1ULL << 10 | 1ULL << 11));
        else errno = EINVAL, die(*arg);
    }
    limit(RLIMIT_CORE, "0", 0);
    if (root && (chroot(root) || chdir(home))) die("chroot");
    if (rules >= 0 && root) landlock_path("/", READ | EXECUTE);
    if (rules >= 0 && program) landlock_allow(*program, READ | EXECUTE);
    if (uid) {
        uid_t id = strtoul(uid, NULL, 10);
        if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)) die("uid");
    } else {
        for (int cap = 0; prctl(PR_CAPBSET_DROP, cap) == 0; cap++) {}
    }
    /* Capabilities of a root that stays root: empty sets. Version 3, two words each. */
    struct { uint32_t version; int pid; } head = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } none[2] = {{0}};
    if (syscall(SYS_capset, &head, none)) die("capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) die("death signal");
    if (rules >= 0) {
        if (syscall(SYS_landlock_restrict_self, rules, 0)) die("landlock");
        close(rules);
    }
    if (filter) seccomp(strcmp(filter, "compiler") != 0, !strcmp(filter, "python"));
    return rest;
}

#ifndef SERVER
int main(int count, char **arg) {
    int program;
    (void)count;
    char **rest = enter(arg + 1, &program);
    syscall(SYS_execveat, program, "", rest, environ, AT_EMPTY_PATH);
    die("exec");
}
#else
#include <dlfcn.h>

typedef int (*main_t)(int, char **, char **);
typedef int (*start_t)(main_t, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

/* Move the program's code and constants from their files into memory of 2 MB pages: a fork copies the map of such
 * memory and not of files, so that a child does not fault its way through 150 MB of compiler again. */
static void hugify(void) {
    enum { HUGE = 2 << 20 };
    char line[4096], mode[8];
    unsigned long from, to;
    FILE *maps = fopen("/proc/self/maps", "r");
    static struct { unsigned long from, to; int run; } found[64];
    int n = 0;
    while (maps && fgets(line, sizeof line, maps) && n < 64) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] == 'w' || mode[0] != 'r' || !strchr(line, '/')) continue;
        from = (from + HUGE - 1) / HUGE * HUGE, to = to / HUGE * HUGE;
        if (from < to) found[n].from = from, found[n].to = to, found[n++].run = mode[2] == 'x';
    }
    if (maps) fclose(maps);
    for (int i = 0; i < n; i++) {
        size_t size = found[i].to - found[i].from;
        char *at = (char *)found[i].from, *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (copy == MAP_FAILED) return;
        memcpy(copy, at, size);
        if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at) _exit(125);
        madvise(at, size, MADV_HUGEPAGE);
        memcpy(at, copy, size);
        mprotect(at, size, PROT_READ | (found[i].run ? PROT_EXEC : 0));
        munmap(copy, size);
    }
}

/* Serves until the socket closes; returns only in a child, with its arguments. */
static char **serve(int at, char *name) {
    static char text[1 << 16];
    static char *arg[4096];
    for (;;) {
        char control[CMSG_SPACE(3 * sizeof(int))];
        struct iovec part = {text, sizeof text - 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t size = recvmsg(at, &message, MSG_CMSG_CLOEXEC);
        if (size <= 0) _exit(0);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        if (!rights || rights->cmsg_len != CMSG_LEN(3 * sizeof(int))) _exit(125);
        int fds[3];
        memcpy(fds, CMSG_DATA(rights), sizeof fds);
        pid_t child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            int n = 0;
            text[size] = 0;
            for (char *at_ = text; at_ < text + size && n < 4095; at_ += strlen(at_) + 1) arg[n++] = at_;
            arg[n] = NULL;
            for (int i = 0; i < 3; i++) dup2(fds[i], i); /* those received lie above 2: the server has 0 to 3 open */
            syscall(SYS_close_range, 3, ~0U, 0);
            char **rest = enter(arg, NULL) - 1;
            *rest = name; /* in place of the "--" */
            return rest;
        }
        for (int i = 0; i < 3; i++) close(fds[i]);
        int32_t answer = child < 0 ? -errno : child;
        if (write(at, &answer, sizeof answer) != sizeof answer) _exit(125);
    }
}

int __libc_start_main(main_t main_, int count, char **arg, void (*init)(void), void (*fini)(void),
                      void (*rtld)(void), void *stack) {
    start_t real = (start_t)dlsym(RTLD_NEXT, "__libc_start_main");
    const char *socket = getenv("JAIL_FD");
    if (socket) {
        int at = atoi(socket);
        if (getenv("JAIL_HUGE")) hugify();
        unsetenv("JAIL_FD"), unsetenv("JAIL_HUGE"); /* nothing of it reaches the linker, or `env!` */
        unsetenv("LD_PRELOAD"), unsetenv("LD_BIND_NOW");
        arg = serve(at, arg[0]);
        for (count = 0; arg[count]; count++) {}
    }
    return real(main_, count, arg, init, fini, rtld, stack);
}
#endif
