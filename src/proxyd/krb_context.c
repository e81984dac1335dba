#include "proxyd/krb_context.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

#include "base/clock.h"

#define KEPT 16

struct kept {
    krb5_context context;
    int64_t made; /* seconds since 1970 */
};

static struct kept *kept[KEPT]; /* atomic; each context in one call's hands at a time */
static uint64_t count;          /* atomic */
static _Thread_local enum krb_context_phase phase_now;
static _Thread_local struct kept *lent; /* the last one made while accepting */

static krb5_error_code (*own_init)(krb5_context *);
static void (*own_free)(krb5_context);
static pthread_once_t started = PTHREAD_ONCE_INIT;

static void
start(void)
{
    *(void **)&own_init = dlsym(RTLD_NEXT, "krb5_init_context");
    *(void **)&own_free = dlsym(RTLD_NEXT, "krb5_free_context");
}

static struct kept *
take(size_t i)
{
    return __atomic_exchange_n(&kept[i], NULL, __ATOMIC_ACQ_REL);
}

static void
end(struct kept *k)
{
    own_free(k->context);
    free(k);
}

static void
keep(struct kept *k)
{
    krb5_clear_error_message(k->context);
    for (size_t i = 0; i < KEPT; i++) {
        struct kept *none = NULL;
        if (__atomic_compare_exchange_n(&kept[i], &none, k, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
    }
    end(k);
}

/* What was lent and not given back stays its user's. */
static void
forget_lent(void)
{
    free(lent);
    lent = NULL;
}

void
krb_context_phase(enum krb_context_phase phase)
{
    phase_now = phase;
    if (phase != KRB_CONTEXT_ENDING)
        forget_lent();
}

void
krb_context_forget(int64_t before)
{
    for (size_t i = 0; i < KEPT; i++) {
        struct kept *k = take(i);
        if (k != NULL && k->made < before)
            end(k);
        else if (k != NULL)
            keep(k);
    }
}

uint64_t
krb_context_count(void)
{
    return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

static struct kept *
take_any(void)
{
    struct kept *k = NULL;
    for (size_t i = 0; i < KEPT && k == NULL; i++)
        k = take(i);
    return k;
}

/* ---- what the libraries call ---- */

#define EXPORTED __attribute__((visibility("default")))

EXPORTED krb5_error_code KRB5_CALLCONV
krb5_init_context(krb5_context *context)
{
    pthread_once(&started, start);
    if (phase_now != KRB_CONTEXT_ACCEPTING)
        return own_init(context);
    forget_lent();
    lent = take_any();
    if (lent != NULL) {
        __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
        *context = lent->context;
        return 0;
    }
    krb5_error_code error = own_init(context);
    lent = error == 0 ? calloc(1, sizeof *lent) : NULL;
    if (lent != NULL)
        *lent = (struct kept){*context, clock_now()};
    return error;
}

EXPORTED void KRB5_CALLCONV
krb5_free_context(krb5_context context)
{
    struct kept *k = lent;
    pthread_once(&started, start);
    if (k == NULL || k->context != context) {
        own_free(context);
        return;
    }
    lent = NULL;
    if (phase_now == KRB_CONTEXT_ENDING)
        keep(k);
    else
        end(k);
}
