/* SPDX-License-Identifier: MIT
 *
 * Kills a traced host at random moments and reads what is left: everything that was committed must be there and whole.
 * usage: kill_host AGENT HOST MODEL FOLDER TIMES
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trace_facts.h"

/* A trace opens after some 5 ms and a graph takes 0.2 ms, so kills come before, during and after everything. Where so
 * many come before, as on a busy machine, later ones do too. */
enum { LATEST_US = 40000, LATEST_MOST_US = 900000, MANY = 20, TORN_MAX = 8 << 10 };

static void start_host(char ** argv, const char * run) {
    setenv("LD_PRELOAD", argv[1], 1);
    setenv("TAT_RUN_DIR", run, 1);
    if (!freopen("/dev/null", "w", stdout)) { _exit(1); }
    execl(argv[2], argv[2], "-c", "2", "-g", "1000000", argv[3], (char *) NULL);
    _exit(1);
}

/* False: the host ended by itself, which must not happen. */
static bool run_and_kill(char ** argv, const char * run, long latest_us) {
    const long after = random() % latest_us;
    const struct timespec pause = { .tv_nsec = after * 1000 };
    int status;
    const pid_t host = fork();
    if (host == 0) { start_host(argv, run); }
    nanosleep(&pause, NULL);
    kill(host, SIGKILL);
    return host > 0 && waitpid(host, &status, 0) == host && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* 1: read, 0: there is none yet, -1: something is wrong with it. */
static int read_trace(const char * run, struct trace_facts * facts) {
    char path[4200];
    struct stat file;
    struct tat_error error = { 0 };
    const uint64_t before = facts->damaged_bytes;
    snprintf(path, sizeof path, "%s/tensor_access.bin", run);
    /* Before its header is there, the file is not a trace. */
    if (stat(path, &file) != 0 || file.st_size == 0) { return 0; }
    const int result = trace_facts_add(facts, path, true, &error);
    if (result == 0 && facts->damaged_bytes - before <= TORN_MAX) { return 1; }
    fprintf(stderr, "%s: %s (%" PRIu64 " bytes torn)\n", path, error.message, facts->damaged_bytes - before);
    return -1;
}

int main(int argc, char ** argv) {
    if (argc != 6) { return 2; }
    struct trace_facts facts = { 0 };
    int read = 0, wrong = 0;
    long latest_us = LATEST_US;
    srandom(1);
    for (int i = 0; i < atoi(argv[5]); i++) {
        char run[4096], path[4200];
        snprintf(run, sizeof run, "%s/run_%d", argv[4], i);
        if (mkdir(run, 0700) != 0 || !run_and_kill(argv, run, latest_us)) {
            perror(run);
            return 1;
        }
        const int result = read_trace(run, &facts);
        read += result == 1;
        wrong += result == -1;
        if (read == 0 && i % MANY == MANY - 1 && latest_us < LATEST_MOST_US / 2) { latest_us *= 2; }
        snprintf(path, sizeof path, "%s/tensor_access.bin", run);
        if (result != -1) {
            unlink(path);
            rmdir(run);
        }
    }
    printf("traces %d wrong %d evaluations %" PRIu64 " damaged_bytes %" PRIu64 "\n", read, wrong, facts.evaluations,
           facts.damaged_bytes);
    return wrong == 0 && read > 0 && facts.evaluations > 0 ? 0 : 1;
}
