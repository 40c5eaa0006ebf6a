/* SPDX-License-Identifier: MIT
 *
 * A host in miniature: contexts on threads of their own evaluate a prompt and generate, in the ways that programs with
 * ggml inside have. What it prints depends on nothing but its options, so a traced run can be compared with an untraced
 * one, and its counts with those of the trace.
 */
#include "fake_host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host_locks.h"
#include "toy_model.h"

enum { PROMPT = 5, CONTEXTS_MAX = 128, OWN = 0x0c0ffee5, SETTLED = 40, CANCELLED = 80 };

struct options {
    int contexts, graphs, threads, abort_every;
    bool gate, detached, fork, still, exec, early_exit, faults, cancel, cancel_within, masks, killed;
    const char * close_files;
    const char * cut;
    const char * root;
    const char * locks;
};

/* The argument of the caller's own abort callback. */
struct own {
    unsigned mark;
    int calls, abort_at;
    pthread_barrier_t * gate;
    bool kills;
    int ends_at; /* the thread, at that call */
};

struct run {
    const struct options * options;
    const struct toy_model * model;
    pthread_barrier_t * gate;
    int number;
    int done; /* relaxed */
    int aborted;
    uint64_t checksum;
    long faults;
    pthread_t handle;
};

/* Held for reading while a graph is computed; for writing where another thread must find the others between two graphs.
 */
static pthread_rwlock_t still = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static bool own_callback(void * data) {
    struct own * own = data;
    if (own->mark != OWN) { abort(); }
    if (own->kills) { raise(SIGKILL); }
    if (own->calls + 1 == own->ends_at) {
        pthread_cancel(pthread_self());
        pthread_testcancel();
    }
    if (++own->calls == 1 && own->gate) { pthread_barrier_wait(own->gate); }
    return own->calls == own->abort_at;
}

static void mix(uint64_t * checksum, const float * logits) {
    for (int i = 0; i < TOY_VOCAB; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        *checksum = (*checksum ^ bits) * 0x100000001b3u;
    }
}

static int32_t best(const float * logits) {
    int32_t token = 0;
    for (int32_t i = 1; i < TOY_VOCAB; i++) {
        if (logits[i] > logits[token]) { token = i; }
    }
    return token;
}

/* Computes one graph. If the call detaches itself from its thread, the caller has to join it. */
struct call {
    struct toy_context * context;
    const int32_t * tokens;
    int n, status;
    struct own * own;
};

static void * compute(void * data) {
    struct call * c = data;
    c->status = toy_evaluate(c->context, c->tokens, c->n, c->own ? own_callback : NULL, c->own);
    return NULL;
}

static int evaluate(const struct run * run, struct call call) {
    pthread_t thread;
    if (run->options->still) { pthread_rwlock_rdlock(&still); }
    if (!run->options->detached) {
        compute(&call);
    } else {
        if (pthread_create(&thread, NULL, compute, &call) != 0) { abort(); }
        pthread_join(thread, NULL);
    }
    if (run->options->still) { pthread_rwlock_unlock(&still); }
    return call.status;
}

/* Ends a graph early at a given place, and checks that it does end there. */
static void abort_one(struct run * run, struct call call, int graph) {
    struct own own = { .mark = OWN, .abort_at = 1 + graph * 13 % 40 };
    call.own = &own;
    if (evaluate(run, call) != GGML_STATUS_ABORTED || own.calls != own.abort_at) { abort(); }
    run->aborted++;
}

static long minor_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

static void * work(void * data) {
    struct run * run = data;
    const struct options * o = run->options;
    struct toy_context * context = toy_context_new(run->model, o->threads);
    int32_t tokens[PROMPT];
    for (int i = 0; i < PROMPT; i++) { tokens[i] = (run->number * 7 + i * 11 + 1) % TOY_VOCAB; }
    for (int g = 0; g < o->graphs; g++) {
        struct own own = { .mark = OWN, .gate = g == 0 ? run->gate : NULL, .kills = o->killed };
        struct call call = { .context = context, .tokens = tokens, .n = g == 0 ? PROMPT : 1 };
        if (o->masks) { toy_set_mask_type(context, g % 2 ? GGML_TYPE_BF16 : GGML_TYPE_F16); }
        if (o->abort_every && g % o->abort_every == o->abort_every - 1) { abort_one(run, call, g); }
        if (run->number % 2 || o->gate || o->abort_every || o->killed) { call.own = &own; }
        const long before = o->faults ? minor_faults() : 0;
        if (evaluate(run, call) != GGML_STATUS_SUCCESS) { abort(); }
        /* Only if the graph was there before. */
        if (o->faults && g > SETTLED && (g + PROMPT - 1) % TOY_KV_STEP) { run->faults += minor_faults() - before; }
        mix(&run->checksum, toy_logits(context));
        tokens[0] = best(toy_logits(context));
        __atomic_fetch_add(&run->done, 1, __ATOMIC_RELAXED);
    }
    toy_context_free(context);
    return NULL;
}

/* Forks in the middle of everything. The child computes, and reports through a pipe. */
static int start_child(const struct run * like, pid_t * child) {
    int ends[2];
    if (pipe(ends) != 0) { abort(); }
    if (like->options->still) { pthread_rwlock_wrlock(&still); }
    *child = fork();
    if (*child != 0) {
        if (like->options->still) { pthread_rwlock_unlock(&still); }
        close(ends[1]);
        return ends[0];
    }
    pthread_rwlock_init(&still, NULL); /* whoever waits for it is in the parent */
    struct run run = { .options = like->options, .model = like->model, .number = 1 };
    const uint64_t before = fakeggml_callbacks();
    work(&run);
    dprintf(ends[1], "child checksum %016llx graphs %d callbacks %llu\n", (unsigned long long) run.checksum,
            run.done + run.aborted, (unsigned long long) (fakeggml_callbacks() - before));
    exit(0);
}

static void end_child(int pipe_end, pid_t child) {
    char line[256];
    ssize_t length;
    int status;
    while ((length = read(pipe_end, line, sizeof line)) > 0) { fwrite(line, 1, (size_t) length, stdout); }
    close(pipe_end);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) { abort(); }
}

static void wait_for(const struct run * run, int graphs) {
    while (__atomic_load_n(&run->done, __ATOMIC_RELAXED) < graphs) { usleep(50); }
}

/* Closes descriptors that it did not open, as daemons do, and from then on has a file of its own at their numbers. */
static void close_files(const char * path) {
    FILE * own = fopen(path, "w+");
    if (!own || fputs("own", own) < 0 || fflush(own) != 0) { abort(); }
    for (int fd = STDERR_FILENO + 1; fd < sysconf(_SC_OPEN_MAX); fd++) {
        if (fd != fileno(own) && fcntl(fd, F_GETFD) >= 0 && dup2(fileno(own), fd) < 0) { abort(); }
    }
}

/* Empties the traces below a folder, as somebody may who needs the space. */
static void cut_traces(const char * folder) {
    DIR * dir = opendir(folder);
    for (struct dirent * run; dir && (run = readdir(dir));) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s/tensor_access.bin", folder, run->d_name);
        if (truncate(path, 0) != 0 && errno != ENOENT) { abort(); }
    }
    if (dir) { closedir(dir); }
}

/* Computes a graph in a thread that is cancelled and ends as soon as it may: after the graph, unless the program's own
 * callback lets it end before. */
static void * compute_cancelled(void * data) {
    const struct call * call = data;
    if (!call->own) { pthread_cancel(pthread_self()); }
    compute(data);
    pthread_testcancel();
    abort();
}

static void cancel_one(const struct toy_model * model, bool within) {
    const int32_t tokens[PROMPT] = { 0 };
    struct toy_context * context = toy_context_new(model, 1);
    struct own own = { .mark = OWN, .ends_at = 20 };
    struct call call = { .context = context, .tokens = tokens, .n = PROMPT, .status = -1, .own = within ? &own : NULL };
    pthread_t thread;
    void * result;
    if (pthread_create(&thread, NULL, compute_cancelled, &call) != 0) { abort(); }
    pthread_join(thread, &result);
    printf("cancelled after status %d\n", result == PTHREAD_CANCELED ? call.status : -2);
    fflush(stdout);
    if (within && own.calls + 1 != own.ends_at) { abort(); }
    toy_context_free(context);
}

static void run_all(const struct options * o, const struct toy_model * model) {
    static struct run runs[CONTEXTS_MAX];
    pthread_barrier_t gate;
    int pipe_end = -1, graphs = 0, aborted = 0;
    pid_t child = 0;
    uint64_t checksum = 0;
    long faults = 0;
    if (o->cancel) { cancel_one(model, false); }
    for (int i = 0; o->cancel_within && i < CANCELLED; i++) { cancel_one(model, true); }
    if (o->gate) { pthread_barrier_init(&gate, NULL, (unsigned) o->contexts); }
    for (int i = 0; i < o->contexts; i++) {
        runs[i] = (struct run){ .options = o, .model = model, .gate = o->gate ? &gate : NULL, .number = i };
        if (pthread_create(&runs[i].handle, NULL, work, &runs[i]) != 0) { abort(); }
    }
    if (o->close_files || o->cut) {
        wait_for(&runs[0], o->graphs / 2);
        if (o->still) { pthread_rwlock_wrlock(&still); }
        if (o->close_files) { close_files(o->close_files); }
        if (o->cut) { cut_traces(o->cut); }
        if (o->still) { pthread_rwlock_unlock(&still); }
    }
    if (o->early_exit) {
        wait_for(&runs[0], o->graphs / 2);
        exit(0);
    }
    if (o->fork) {
        wait_for(&runs[0], o->graphs / 2);
        pipe_end = start_child(&runs[0], &child);
    }
    for (int i = 0; i < o->contexts; i++) {
        pthread_join(runs[i].handle, NULL);
        checksum = checksum * 31 + runs[i].checksum;
        graphs += runs[i].done;
        aborted += runs[i].aborted;
        faults += runs[i].faults;
    }
    if (o->fork) { end_child(pipe_end, child); }
    printf("checksum %016llx graphs %d aborted %d callbacks %llu\n", (unsigned long long) checksum, graphs + aborted,
           aborted, (unsigned long long) fakeggml_callbacks());
    if (o->faults) { fprintf(stderr, "faults %ld\n", faults); }
    if (o->gate) { pthread_barrier_destroy(&gate); }
}

/* One model after the other, and with each one context after the other, all at the same addresses. */
static int reload(const struct options * o, char ** paths) {
    toy_reuse_addresses();
    for (; *paths; paths++) {
        struct toy_model model;
        if (toy_load(&model, *paths) != 0) {
            perror(*paths);
            return 1;
        }
        for (int i = 0; i < o->contexts; i++) {
            struct run run = { .options = o, .model = &model, .number = i };
            const uint64_t before = fakeggml_callbacks();
            work(&run);
            printf("%s: checksum %016llx graphs %d callbacks %llu\n", *paths, (unsigned long long) run.checksum,
                   run.done, (unsigned long long) (fakeggml_callbacks() - before));
        }
        toy_unload(&model);
    }
    return 0;
}

static int usage(void) {
    fputs("usage: fake_host --write FILE [SEED]\n"
          "       fake_host [-c contexts] [-g graphs] [-t threads] [--abort-every N] [--gate] [--detached]\n"
          "                 [--still] [--fork] [--exec] [--early-exit] [--faults] [--close-files OWN]\n"
          "                 [--cut FOLDER] [--cancel] [--cancel-within] [--killed] [--masks] [--root FOLDER]\n"
          "                 [--locks OTHER] [--no-own-descriptors] FILE\n"
          "       fake_host --reload [-c contexts] [-g graphs] [-t threads] FILE...\n",
          stderr);
    return 2;
}

int fake_host_main(int argc, char ** argv) {
    struct options o = { .contexts = 1, .graphs = 20, .threads = 1 };
    bool writes = false, reloads = false;
    const struct option names[] = {
        { "write", no_argument, NULL, 'w' },
        { "abort-every", required_argument, NULL, 'a' },
        { "gate", no_argument, NULL, 'G' },
        { "detached", no_argument, NULL, 'd' },
        { "fork", no_argument, NULL, 'f' },
        { "still", no_argument, NULL, 's' },
        { "exec", no_argument, NULL, 'e' },
        { "faults", no_argument, NULL, 'F' },
        { "early-exit", no_argument, NULL, 'x' },
        { "close-files", required_argument, NULL, 'C' },
        { "cut", required_argument, NULL, 'U' },
        { "cancel", no_argument, NULL, 'K' },
        { "cancel-within", no_argument, NULL, 'W' },
        { "killed", no_argument, NULL, 'k' },
        { "masks", no_argument, NULL, 'M' },
        { "reload", no_argument, NULL, 'r' },
        { "root", required_argument, NULL, 'R' },
        { "locks", required_argument, NULL, 'L' },
        { "no-own-descriptors", no_argument, NULL, 'D' },
        { 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "c:g:t:", names, NULL)) != -1;) {
        switch (c) {
            case 'c': o.contexts = atoi(optarg); break;
            case 'g': o.graphs = atoi(optarg); break;
            case 't': o.threads = atoi(optarg); break;
            case 'a': o.abort_every = atoi(optarg); break;
            case 'G': o.gate = true; break;
            case 'd': o.detached = true; break;
            case 'f': o.fork = true; break;
            case 's': o.still = true; break;
            case 'e': o.exec = true; break;
            case 'F': o.faults = true; break;
            case 'x': o.early_exit = true; break;
            case 'C': o.close_files = optarg; break;
            case 'U': o.cut = optarg; break;
            case 'K': o.cancel = true; break;
            case 'W': o.cancel_within = true; break;
            case 'k': o.killed = true; break;
            case 'R': o.root = optarg; break;
            case 'L': o.locks = optarg; break;
            case 'D': refuse_own_descriptors(); break;
            case 'M': o.masks = true; break;
            case 'r': reloads = true; break;
            case 'w': writes = true; break;
            default: return usage();
        }
    }
    const bool several = reloads || writes;
    if (optind >= argc || (!several && optind + 1 < argc) || o.contexts < 1 || o.contexts > CONTEXTS_MAX) {
        return usage();
    }
    if (reloads) { return reload(&o, argv + optind); }
    struct toy_model model;
    const int seed = writes && argv[optind + 1] ? atoi(argv[optind + 1]) : 0;
    if (writes ? toy_write_model(argv[optind], seed) : toy_load(&model, argv[optind])) {
        perror(argv[optind]);
        return 1;
    }
    if (writes) { return 0; }
    if (o.root && (chroot(o.root) != 0 || chdir("/") != 0)) { abort(); }
    if (o.locks) { locks_take(argv[optind], o.locks); }
    run_all(&o, &model);
    locks_print();
    toy_unload(&model);
    if (!o.exec) { return 0; }
    fflush(stdout);
    execl("/proc/self/exe", argv[0], argv[optind], (char *) NULL);
    perror("exec");
    return 1;
}
