/* Try one thing that the jail promises to prevent: status 0 when it worked, 1 when it was refused.
 *
 * In C, because it must not be held back by what safe Rust cannot say. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int can_read(const char *path) {
    char byte;
    int at = open(path, O_RDONLY);
    return at >= 0 && read(at, &byte, 1) == 1;
}

static int can_write(const char *path) {
    int at = open(path, O_WRONLY | O_CREAT, 0600);
    return at >= 0 && write(at, "x", 1) == 1;
}

static int can_make(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/canary-%d", folder, getpid());
    return can_write(path);
}

static int can_connect(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int at = socket(AF_INET, SOCK_STREAM, 0);
    return at >= 0 && connect(at, (struct sockaddr *)&to, sizeof to) == 0;
}

static int can_send(int port) { /* a datagram: no connection that somebody could refuse */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int at = socket(AF_INET, SOCK_DGRAM, 0);
    return at >= 0 && sendto(at, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1;
}

static int can_call(const char *name) { /* an abstract unix socket: no file guards it */
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
    int at = socket(AF_UNIX, SOCK_STREAM, 0);
    return at >= 0 && connect(at, (struct sockaddr *)&to, sizeof(sa_family_t) + 1 + strlen(name)) == 0;
}

static int can_fork(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0;
}

static int can_exec(void) {
    execl("/bin/true", "true", (char *)NULL);
    return 0;
}

static int can_allocate(size_t bytes) {
    char *block = malloc(bytes);
    if (!block) return 0;
    for (size_t at = 0; at < bytes; at += 4096) ((volatile char *)block)[at] = 1;
    return 1;
}

int main(int count, char **arg) {
    const char *what = count > 1 ? arg[1] : "";
    const char *value = count > 2 ? arg[2] : "";
    if (!strcmp(what, "run")) return 0;
    if (!strcmp(what, "read")) return !can_read(value);
    if (!strcmp(what, "write")) return !can_write(value);
    if (!strcmp(what, "make")) return !can_make(value);
    if (!strcmp(what, "connect")) return !can_connect(atoi(value));
    if (!strcmp(what, "send")) return !can_send(atoi(value));
    if (!strcmp(what, "call")) return !can_call(value);
    if (!strcmp(what, "fork")) return !can_fork();
    if (!strcmp(what, "exec")) return !can_exec();
    if (!strcmp(what, "signal")) return kill(atoi(value), 0) != 0;
    if (!strcmp(what, "allocate")) return !can_allocate(strtoull(value, NULL, 10));
    if (!strcmp(what, "root")) return !(geteuid() == 0 || setuid(0) == 0 || seteuid(0) == 0);
    if (!strcmp(what, "flood")) for (;;) if (write(1, what, 5) < 0) return 1;
    return 2;
}
