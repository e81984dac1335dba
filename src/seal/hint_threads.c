/* The search among many keys, shared between threads: each takes the next share until there are none. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "seal/hint.h"

#define SHARE ((size_t)8192) /* keys that a thread takes at a time: some 50 microseconds' work */
#define SHARES_A_THREAD 4    /* fewer are not worth its start */
#define HELPERS_MAX 3
#define HELPER_STACK ((size_t)128 * 1024) /* bytes */

struct search {
    const uint8_t *keys, *nonce, *hint;
    size_t count;
    atomic_size_t next;   /* the first key that nobody has taken */
    pthread_mutex_t lock; /* of what follows, and of the helpers' `ended` */
    size_t *found, matches;
    cpu_set_t processors; /* that this process may use */
};

struct helper {
    struct search *search;
    pthread_t thread;
    bool ended;
};

static void
note(struct search *s, size_t from, const size_t *found, size_t n)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n && i < HINT_MATCHES_MAX && s->matches + i < HINT_MATCHES_MAX; i++)
        s->found[s->matches + i] = from + found[i];
    s->matches += n;
    pthread_mutex_unlock(&s->lock);
}

static void *
search_shares(void *argument)
{
    struct search *s = argument;
    size_t found[HINT_MATCHES_MAX], from;
    while ((from = atomic_fetch_add(&s->next, SHARE)) < s->count) {
        size_t n = s->count - from < SHARE ? s->count - from : SHARE;
        size_t matches = hint_search(s->keys + from * HINT_KEY_LEN, n, s->nonce, s->hint, found, HINT_MATCHES_MAX);
        if (matches > 0)
            note(s, from, found, matches);
    }
    return NULL;
}

/* A helper begins on a processor of its own: left to the scheduler, it often waits for milliseconds behind the thread that started it. Once it
 * runs it may be moved like any other. */
static void *
help(void *argument)
{
    struct helper *helper = argument;
    struct search *s = helper->search;
    sched_setaffinity(0, sizeof s->processors, &s->processors);
    search_shares(s);
    pthread_mutex_lock(&s->lock);
    helper->ended = true;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Threads that would help: none on a single processor. */
static size_t
helpers_for(struct search *s)
{
    size_t worth = s->count / (SHARE * SHARES_A_THREAD), most = worth < HELPERS_MAX + 1 ? worth : HELPERS_MAX + 1;
    if (most < 2 || sched_getaffinity(0, sizeof s->processors, &s->processors) != 0)
        return 0;
    size_t processors = (size_t)CPU_COUNT(&s->processors);
    return (processors < most ? processors : most) - 1;
}

/* The next of our processors after this one, round. */
static int
next_processor(const struct search *s, int from)
{
    do
        from = (from + 1) % CPU_SETSIZE;
    while (!CPU_ISSET((size_t)from, &s->processors));
    return from;
}

/* Returns how many were started. The program's signals are for its own threads. */
static size_t
start_helpers(struct search *s, struct helper *helpers, size_t wanted)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    size_t n = 0;
    int processor = sched_getcpu();
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, HELPER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; n < wanted && processor >= 0; n++) {
        cpu_set_t one;
        processor = next_processor(s, processor);
        CPU_ZERO(&one);
        CPU_SET((size_t)processor, &one);
        pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
        helpers[n] = (struct helper){.search = s};
        if (pthread_create(&helpers[n].thread, &attributes, help, &helpers[n]) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return n;
}

/* One that has not begun yet may now begin here. Of a thread that has ended the C library's call would set the caller's own processors. */
static void
join_helpers(struct search *s, const struct helper *helpers, size_t n)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++)
        if (!helpers[i].ended)
            pthread_setaffinity_np(helpers[i].thread, sizeof s->processors, &s->processors);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++)
        pthread_join(helpers[i].thread, NULL);
}

size_t
hint_search_threads(const uint8_t *keys, size_t count, const uint8_t nonce[SEAL_NONCE_LEN],
                    const uint8_t hint[HINT_LEN], size_t found[HINT_MATCHES_MAX])
{
    struct search s = {.keys = keys, .nonce = nonce, .hint = hint, .count = count, .found = found};
    struct helper helpers[HELPERS_MAX];
    size_t wanted = helpers_for(&s);
    if (wanted == 0)
        return hint_search(keys, count, nonce, hint, found, HINT_MATCHES_MAX);
    pthread_mutex_init(&s.lock, NULL);
    size_t n = start_helpers(&s, helpers, wanted);
    search_shares(&s);
    join_helpers(&s, helpers, n);
    pthread_mutex_destroy(&s.lock);
    return s.matches;
}
