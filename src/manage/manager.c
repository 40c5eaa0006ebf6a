/* SPDX-License-Identifier: MIT */
#include "manage/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "agent/calm.h"
#include "agent/clock.h"
#include "agent/cold_lock.h"
#include "manage/descriptors.h"
#include "manage/experts.h"
#include "manage/known_graph.h"
#include "manage/managed_model.h"
#include "manage/managing.h"
#include "manage/question.h"
#include "manage/report.h"
#include "manage/thread.h"

enum { GRAPHS_MAX = 64, KERNEL_MEANS = 128, LOOK_NS = 20000000, ROOM_NS = 500000000, NS_PER_S = 1000000000 };

#define GROWTH_UNKNOWN UINT64_MAX

enum manager_state {
    MANAGER_WAITING, /* for a graph with weights */
    MANAGER_ACTIVE,
    MANAGER_OFF, /* for good */
};

/* The graph that is being computed. There is one at a time; others that are computed meanwhile are not waited for. */
struct call {
    struct known_graph * graph;
    struct host * host;
    struct ggml_cgraph * key;
    uint32_t calls, due, next; /* callbacks so far; when something is to be done; the next action */
    uint64_t place;            /* of the order's first piece */
    uint64_t began, waited;
    bool is_managed; /* false: only its time is taken, since managing has stopped */
};

static struct manage_options options;
static int state = MANAGER_OFF; /* enum manager_state; acquire and release */
static const char * busy;       /* acquire and release: the thread whose graph is being watched; NULL: none is */
static const struct graph_call * watched; /* that graph's; for that thread only */
static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;
static struct managing managing; /* written before the state says ACTIVE */
static struct known_graph * graphs[GRAPHS_MAX];
static uint32_t n_graphs;
static struct foresee * foresee; /* release and acquire; of all graphs of one token; NULL: nothing is foreseen */
static struct call call_now;
static struct {
    struct question question; /* its subject is the rest: a graph begins; relaxed, since an answer may be late */
    uint32_t rows;
    uint64_t growth;
    bool is_answered; /* somebody answers */
} room;
static struct {
    uint64_t tokens, ns, wait_ns, read, wanted, held, kept; /* of graphs of one token; relaxed: watched meanwhile */
    uint64_t after_tokens, after_ns;                        /* likewise, since managing stopped */
    bool said;
} totals;
static struct {
    uint64_t read, disk_ns;
    struct experts_totals experts;
} at_last_end;                    /* of a graph */
static bool is_slower;            /* than plain mmap; release and acquire: it comes after the figures */
static int threads;               /* that compute the first graph */
static struct rusage used_before; /* by the process, when it began to manage */

static enum manager_state state_now(void) {
    return (enum manager_state) __atomic_load_n(&state, __ATOMIC_ACQUIRE);
}

void manager_configure(const struct manage_options * wanted) {
    options = *wanted;
    state = MANAGER_WAITING;
}

/* ---- graphs ---- */

static void begin_to_foresee(struct known_graph * g, const struct graph_call * call) {
    if (options.foresee == FORESEE_NONE || g->uses.has_rows || !g->uses.n_routers || !managing.experts) { return; }
    struct foresee * of = foresee;
    g->foresight = foresight_new(&of, options.foresee, &managing.model, call, &g->uses, &g->schedule);
    __atomic_store_n(&foresee, of, __ATOMIC_RELEASE);
}

/* Takes over the uses. NULL: memory. */
static struct known_graph * add_graph(struct graph_uses uses, const struct graph_call * call) {
    struct known_graph * g = known_graph_new(&managing.model, uses, call->host->number);
    if (!g) { return NULL; }
    begin_to_foresee(g, call);
    graphs[n_graphs++] = g;
    return g;
}

static struct known_graph * graph_of(const struct graph_call * call) {
    for (uint32_t i = n_graphs; i-- > 0;) {
        if (graphs[i]->host == call->host->number && graph_uses_hold(&graphs[i]->uses, call->host, call->graph)) {
            return graphs[i];
        }
    }
    struct graph_uses uses;
    if (n_graphs == GRAPHS_MAX ||
        !managed_model_uses(&managing.model, call->host, call->graph, graph_rule(call->host, call->graph), &uses)) {
        return NULL;
    }
    return add_graph(uses, call);
}

/* ---- beginning ---- */

static void decline(const char * why) {
    manage_report(options.report, why);
    __atomic_store_n(&state, MANAGER_OFF, __ATOMIC_RELEASE);
}

/* That pieces are in the page cache, and what brings them there; nothing if they are in place. */
static const char * kernel_means(char text[static KERNEL_MEANS], uint64_t locked) {
    static const char * const names[] = {
        [READ_POPULATE] = "populate", [READ_WILLNEED] = "willneed", [READ_THROUGH] = "pread"
    };
    *text = '\0';
    if (options.ahead == READ_INTO) { return text; }
    snprintf(text, KERNEL_MEANS, " ahead=%s locks=%d lockable=%" PRIu64 " locked=%" PRIu64, names[options.ahead],
             options.locks, resident_lockable(managing.resident), locked);
    return text;
}

enum { PLACEMENT_WORDS = 192 };

static const char * placement_words(char text[static PLACEMENT_WORDS]) {
    const struct placement * p = &managing.placement;
    snprintf(text, PLACEMENT_WORDS,
             " pinned=%" PRIu64 " streamed=%" PRIu64 " ring=%" PRIu64 " cached=%" PRIu64 " cache=%" PRIu64
             " left=%" PRIu64,
             p->pinned, p->streamed, p->ring, p->cached, p->cache, p->left);
    return text;
}

static void say_begin(void) {
    char line[512], placement[PLACEMENT_WORDS], means[KERNEL_MEANS];
    snprintf(line, sizeof line,
             "begin%s limit=%" PRIu64 " pool=%" PRIu64 " reader=%s direct=%d predicted=%" PRIu64 "%s",
             placement_words(placement), managing.budget.limit, managing.budget.pool,
             resident_reader(managing.resident) == READER_URING ? "uring" : "threads",
             resident_is_direct(managing.resident), options.predicted, kernel_means(means, 0));
    manage_report(options.report, line);
}

static uint64_t now(const uint64_t * figure) {
    return __atomic_load_n(figure, __ATOMIC_RELAXED);
}

static int64_t ns_of(const struct timeval * time) {
    return (int64_t) time->tv_sec * NS_PER_S + (int64_t) time->tv_usec * 1000;
}

enum { USED_WORDS = 128 };

/* What the process has used since it began to manage: what others did, `tat run` sees from outside. */
static const char * used_words(char text[static USED_WORDS]) {
    enum { BLOCK = 512 };
    struct rusage u;
    *text = '\0';
    if (getrusage(RUSAGE_SELF, &u) != 0) { return text; }
    const struct rusage * b = &used_before;
    snprintf(text, USED_WORDS, " majflt=%ld threads=%d cpu_ns=%" PRId64 " disk_bytes=%ld", u.ru_majflt - b->ru_majflt,
             threads, ns_of(&u.ru_utime) + ns_of(&u.ru_stime) - ns_of(&b->ru_utime) - ns_of(&b->ru_stime),
             BLOCK * (u.ru_inblock + u.ru_oublock - b->ru_inblock - b->ru_oublock));
    return text;
}

static struct experts_totals experts_so_far(void) {
    return managing.experts ? experts_totals(managing.experts) : (struct experts_totals){ 0 };
}

static bool was_handed_back(void) {
    return __atomic_load_n(&managing.was_handed_back, __ATOMIC_RELAXED) || resident_why_broken(managing.resident);
}

/* `more`: further figures, which begin with a space. */
static void say_totals(const char * kind, const char * more) {
    const struct resident_totals r = resident_totals(managing.resident);
    const struct experts_totals x = experts_so_far();
    const struct foresee * of = __atomic_load_n(&foresee, __ATOMIC_ACQUIRE);
    const struct foresee_totals f = of ? foresee_totals(of) : (struct foresee_totals){ 0 };
    char line[2048], means[KERNEL_MEANS], used[USED_WORDS];
    snprintf(
        line, sizeof line,
        "%s tokens=%" PRIu64 " ns=%" PRIu64 " wait_ns=%" PRIu64 " read=%" PRIu64 " reads=%" PRIu64 " disk_ns=%" PRIu64
        " wanted=%" PRIu64 " held=%" PRIu64 " loads=%" PRIu64 " drops=%" PRIu64 " map_ns=%" PRIu64 " errors=%" PRIu64
        " given_up=%" PRIu64 " checked=%" PRIu64 " wrong=%" PRIu64 " handed_back=%d predicted=%" PRIu64
        " token_read=%" PRIu64 " token_wanted=%" PRIu64 " token_held=%" PRIu64 " token_kept=%" PRIu64
        " after_tokens=%" PRIu64 " after_ns=%" PRIu64 " foreseen=%" PRIu64 " foreseen_right=%" PRIu64
        " foreseen_first=%" PRIu64 " foreseen_first_right=%" PRIu64 " foresee_ns=%" PRIu64 " ahead_read=%" PRIu64
        " ahead_used=%" PRIu64 " ahead_wasted=%" PRIu64 " spared=%" PRIu64 " foreseen_not_to_read=%" PRIu64 "%s%s%s",
        kind, now(&totals.tokens), now(&totals.ns), now(&totals.wait_ns), r.read_bytes, r.reads, r.disk_ns, x.wanted,
        x.held, r.loads, r.drops, r.map_ns, r.errors, r.given_up, r.checked, r.wrong, was_handed_back(),
        options.predicted, now(&totals.read), now(&totals.wanted), now(&totals.held), now(&totals.kept),
        now(&totals.after_tokens), now(&totals.after_ns), f.guesses, f.right, f.first, f.first_right, f.ns,
        r.ahead_read, r.ahead_used, r.ahead_wasted, r.spared, f.not_to_read, used_words(used),
        kernel_means(means, r.locked), more);
    manage_report(options.report, line);
}

/* With the placement, which only the thread that watches memory changes: this one. */
static void say_so_far(void) {
    char placement[PLACEMENT_WORDS];
    say_totals("so_far", placement_words(placement));
}

/* Memory can become less in the middle of a graph: a long prompt fills the buffers for computing. */
static bool look(void) {
    enum { LOOKS_A_SECOND = NS_PER_S / LOOK_NS };
    static unsigned looks;
    const char * why;
    char text[160];
    if (state_now() != MANAGER_ACTIVE) { return false; }
    if (resident_is_broken(managing.resident)) {
        why = resident_why_broken(managing.resident);
        snprintf(text, sizeof text, "note stopped managing; the kernel's page cache takes over: %s", why ? why : "");
        if (why) { manage_report(options.report, text); }
        return false;
    }
    if (!was_handed_back() && __atomic_load_n(&is_slower, __ATOMIC_ACQUIRE)) {
        managing_give_up(&managing, &why);
    } else {
        managing_look(&managing, &why);
    }
    if (why) { manage_report(options.report, why); }
    if (++looks % LOOKS_A_SECOND == 0) { say_so_far(); }
    return true;
}

static void answer_room(void) {
    const char * why;
    const uint32_t rows = __atomic_load_n(&room.rows, __ATOMIC_RELAXED);
    managing_prepare(&managing, rows, now(&room.growth), &why);
    if (why) { manage_report(options.report, why); }
    question_answer(&room.question);
}

/* In a table of descriptors of its own: it opens and closes files all the time, whose numbers the program could close,
 * and open files of its own under. */
static void * keep_looking(void * unused) {
    (void) unused;
    descriptors_leave();
    do {
        if (question_wait(&room.question, LOOK_NS)) { answer_room(); }
    } while (look());
    __atomic_store_n(&room.is_answered, false, __ATOMIC_RELAXED);
    question_answer(&room.question);
    return NULL;
}

static void start_looking(void) {
    pthread_t thread;
    struct calm calm;
    calm_begin(&calm);
    room.is_answered = thread_start(&thread, keep_looking, NULL) == 0;
    if (room.is_answered) { pthread_detach(thread); }
    calm_end(&calm);
}

/* Once. */
static void say_nothing_yet(const char * why) {
    static bool said;
    if (said || !*why) { return; }
    said = true;
    manage_report(options.report, why);
}

/* A graph without weights in a mapping is passed over: the model's may come later. */
static void begin(const struct graph_call * call, uint64_t * growth) {
    struct graph_uses uses;
    const char * why;
    switch (managing_begin(&managing, &options, call->host, call->graph, &uses, &why)) {
        case MANAGING_NOTHING: say_nothing_yet(why); return;
        case MANAGING_DECLINED: decline(why); return;
        case MANAGING_ACTIVE: break;
    }
    *growth = managing.growth;
    add_graph(uses, call);
    say_begin();
    threads = call->n_threads;
    getrusage(RUSAGE_SELF, &used_before);
    __atomic_store_n(&state, MANAGER_ACTIVE, __ATOMIC_RELEASE);
    start_looking();
}

/* ---- actions ---- */

static uint8_t class_of(uint32_t piece) {
    return __atomic_load_n(&managing.class[piece], __ATOMIC_RELAXED);
}

struct choice {
    uint8_t * chosen;
    uint32_t experts;
};

static void note_chosen(int32_t id, void * user) {
    const struct choice * c = user;
    if (id >= 0 && (uint32_t) id < c->experts) { c->chosen[id] = EXPERT_CHOSEN; }
}

/* Adds the chosen experts' slices of a stack. */
static uint32_t add_slices(const struct schedule_stack * stack, const uint8_t * chosen, uint32_t * pieces, uint32_t n) {
    for (uint32_t e = 0; e < stack->experts; e++) {
        if (chosen[e]) { pieces[n++] = stack->piece + e; }
    }
    return n;
}

static struct pieces_asked let_experts_go(struct known_graph * g, uint32_t router) {
    bool * stay = g->stay;
    const struct schedule_stack * stack = schedule_first_stack(&g->schedule, router);
    if (!managing.experts || !stack) { return (struct pieces_asked){ 0 }; }
    const uint32_t n = add_slices(stack, g->chosen[router], g->pieces, 0);
    const struct pieces_asked gone = experts_choose(managing.experts, g->pieces, n, managing.resident, stay);
    for (uint32_t i = 0; i < n; i++) {
        if (stay[i]) { g->chosen[router][g->pieces[i] - stack->piece] |= EXPERT_STAYS; }
    }
    return gone;
}

/* The first stack's pieces are asked for first, since they are needed first. */
static void choose(struct call * c, uint32_t router) {
    struct known_graph * g = c->graph;
    const struct schedule * s = &g->schedule;
    struct choice choice = { g->chosen[router], schedule_experts(s, router) };
    memset(choice.chosen, 0, choice.experts);
    graph_router_ids(c->host, c->key, &g->uses.router[router], note_chosen, &choice);
    const struct pieces_asked gone = let_experts_go(g, router);
    uint32_t n = 0, wanted = 0;
    for (uint32_t i = 0; i < s->n_stacks; i++) {
        if (s->stack[i].router == router) { n = add_slices(&s->stack[i], choice.chosen, g->pieces, n); }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (class_of(g->pieces[i]) != PLACE_LEAVE) { g->pieces[wanted++] = g->pieces[i]; }
    }
    struct pieces_asked expected = { 0 };
    if (g->foresight) {
        expected = foresight_chosen(g->foresight, c->host, c->key, router, choice.chosen, managing.resident);
    }
    resident_exchange(managing.resident, &gone, &(struct pieces_asked){ g->pieces, wanted },
                      g->foresight ? &expected : NULL);
}

static void wait_chosen(struct call * c, const struct schedule_stack * stack) {
    const uint8_t * chosen = c->graph->chosen[stack->router];
    for (uint32_t e = 0; e < stack->experts; e++) {
        if (!chosen[e]) { continue; }
        plain_run_touch(managing.plain, stack->piece + e);
        c->waited += resident_wait(managing.resident, stack->piece + e, UINT64_MAX);
    }
}

static void drop_chosen(const struct call * c, const struct schedule_stack * stack) {
    const uint8_t * chosen = c->graph->chosen[stack->router];
    for (uint32_t e = 0; e < stack->experts; e++) {
        const uint32_t piece = stack->piece + e;
        if (chosen[e] == EXPERT_CHOSEN && class_of(piece) == PLACE_CACHE) {
            resident_drop(managing.resident, &piece, 1);
        }
    }
}

static void wait_places(struct call * c, uint32_t first, uint32_t end) {
    const struct resident_order * order = &c->graph->schedule.order;
    for (uint32_t i = first; i < end; i++) {
        plain_run_touch(managing.plain, order->piece[i]);
        if (class_of(order->piece[i]) == PLACE_LEAVE) { continue; }
        c->waited += resident_wait(managing.resident, order->piece[i], c->place + i);
    }
}

static void act(struct call * c, const struct schedule_action * a) {
    const struct schedule * s = &c->graph->schedule;
    switch (a->kind) {
        case SCHEDULE_PASS: resident_passed(managing.resident, c->place + a->first); return;
        case SCHEDULE_DROP: drop_chosen(c, &s->stack[a->first]); return;
        case SCHEDULE_CHOOSE: choose(c, a->first); return;
        case SCHEDULE_WAIT: wait_places(c, a->first, a->end); return;
        case SCHEDULE_WAIT_CHOSEN: wait_chosen(c, &s->stack[a->first]); return;
    }
}

static void act_until(struct call * c, uint32_t calls) {
    const struct schedule * s = &c->graph->schedule;
    while (c->next < s->n_actions && s->action[c->next].when <= calls) { act(c, &s->action[c->next++]); }
    c->due = c->next < s->n_actions ? s->action[c->next].when : UINT32_MAX;
}

/* What is left at the end: of the last nodes, or of all that an aborted graph has not come to. */
static void let_go(struct call * c) {
    const struct schedule * s = &c->graph->schedule;
    for (; c->next < s->n_actions; c->next++) {
        if (s->action[c->next].kind == SCHEDULE_DROP) { act(c, &s->action[c->next]); }
    }
    resident_passed(managing.resident, c->place + s->order.count);
}

/* ---- the observer ---- */

static void node_done(void * user) {
    struct call * c = user;
    if (__builtin_expect(++c->calls < c->due, 1)) { return; }
    const int error = errno;
    act_until(c, c->calls);
    errno = error;
}

/* Results of one row lie where they did for the last one. */
static void prepare(struct known_graph * g, const struct graph_call * call, uint64_t growth) {
    const uint32_t rows = graph_rows(&g->uses, call->host, call->graph);
    const void * results = graph_results(call->host, call->graph);
    const bool is_like_last = rows == 1 && room.rows == 1 && results == g->results;
    if (is_like_last || !__atomic_load_n(&room.is_answered, __ATOMIC_RELAXED)) { return; }
    g->results = results;
    __atomic_store_n(&room.rows, rows, __ATOMIC_RELAXED);
    if (growth == GROWTH_UNKNOWN) { growth = graph_growth(call->host, call->graph); }
    __atomic_store_n(&room.growth, growth, __ATOMIC_RELAXED);
    question_ask(&room.question, ROOM_NS);
}

static bool watch_graph(const struct graph_call * call, uint64_t growth, struct watch * watch) {
    struct known_graph * g = graph_of(call);
    if (!g || !g->schedule.n_actions) { return false; }
    call_now = (struct call){ .graph = g,
                              .host = call->host,
                              .key = call->graph,
                              .due = UINT32_MAX,
                              .began = clock_monotonic_ns(),
                              .is_managed = !resident_is_broken(managing.resident) };
    *watch = (struct watch){ node_done, &call_now };
    if (!call_now.is_managed) { return true; }
    prepare(g, call, growth);
    call_now.waited = clock_monotonic_ns() - call_now.began;
    call_now.place = resident_begin(managing.resident, &g->schedule.order);
    act_until(&call_now, 0);
    return true;
}

static void free_turn(void) {
    __atomic_store_n(&busy, NULL, __ATOMIC_RELEASE);
}

/* A call lies deeper in the stack than that of the graph in which it is made. If it does not, the thread has jumped out
 * of that graph (longjmp), which is then over. */
static bool take_turn(const struct graph_call * call) {
    const char * before = NULL;
    if (!__atomic_compare_exchange_n(&busy, &before, call->thread, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        if (before != call->thread || (uintptr_t) call < (uintptr_t) watched) { return false; }
        if (call_now.is_managed) { let_go(&call_now); }
    }
    watched = call;
    return true;
}

static bool graph_begins(const struct graph_call * call, struct watch * watch) {
    uint64_t growth = GROWTH_UNKNOWN;
    if (state_now() == MANAGER_OFF || call->hands_off) { return false; }
    if (state_now() == MANAGER_WAITING) {
        const int cancelling = cold_lock(&beginning);
        if (state_now() == MANAGER_WAITING) { begin(call, &growth); }
        cold_unlock(&beginning, cancelling);
    }
    if (state_now() != MANAGER_ACTIVE || !take_turn(call)) { return false; }
    if (watch_graph(call, growth, watch)) { return true; }
    free_turn();
    return false;
}

/* One thread at a time. */
static void add_to(uint64_t * figure, uint64_t more) {
    __atomic_store_n(figure, *figure + more, __ATOMIC_RELAXED);
}

/* What was read ahead after the last graph is this one's. */
static void count_graph(const struct call * c, bool is_token) {
    const struct resident_totals resident = resident_totals(managing.resident);
    const uint64_t read = resident.read_bytes, ns = clock_monotonic_ns() - c->began;
    const struct experts_totals experts = experts_so_far();
    const struct plain_run_graph graph = { is_token, ns, c->waited, read - at_last_end.read,
                                           resident.disk_ns - at_last_end.disk_ns };
    if (is_token) {
        add_to(&totals.tokens, 1);
        add_to(&totals.ns, ns);
        add_to(&totals.wait_ns, c->waited);
        add_to(&totals.read, read - at_last_end.read);
        add_to(&totals.wanted, experts.wanted - at_last_end.experts.wanted);
        add_to(&totals.held, experts.held - at_last_end.experts.held);
        add_to(&totals.kept, experts.kept - at_last_end.experts.kept);
    }
    if (plain_run_is_faster(managing.plain, &graph, options.plain)) {
        __atomic_store_n(&is_slower, true, __ATOMIC_RELEASE);
    }
    at_last_end.read = read;
    at_last_end.disk_ns = resident.disk_ns;
    at_last_end.experts = experts;
}

static void graph_ends(void * user, const struct graph_call * call) {
    struct call * c = user;
    if (call != watched) { return; } /* the thread had jumped out of it, and then back to it, on another stack */
    const bool is_token = graph_rows(&c->graph->uses, call->host, call->graph) == 1;
    if (c->is_managed) {
        let_go(c);
        count_graph(c, is_token);
    } else if (is_token) {
        add_to(&totals.after_tokens, 1);
        add_to(&totals.after_ns, clock_monotonic_ns() - c->began);
    }
    free_turn();
}

static void program_ends(void) {
    if (state_now() != MANAGER_ACTIVE || totals.said) { return; }
    totals.said = true;
    say_totals("end", "");
}

void manager_unmaps(const void * at, uint64_t bytes) {
    if (state_now() != MANAGER_ACTIVE || resident_is_this_thread()) { return; }
    if (resident_forget(managing.resident, at, bytes)) { managing_undeclare(&managing, at, bytes); }
}

/* The child computes with the file. */
static void after_fork(void) {
    const bool was_active = state_now() == MANAGER_ACTIVE;
    state = MANAGER_OFF;
    pthread_mutex_init(&beginning, NULL);
    if (was_active) { resident_after_fork(managing.resident); }
}

const struct observer manager = {
    .graph_begins = graph_begins,
    .graph_ends = graph_ends,
    .program_ends = program_ends,
    .after_fork = after_fork,
};
