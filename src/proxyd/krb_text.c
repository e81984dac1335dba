#include "proxyd/krb_text.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <krb5.h>

#define REMEMBERED 16 /* the last ones of a call that tries that often */

static _Thread_local uint64_t hashes[REMEMBERED];
static _Thread_local size_t told;

static const char *(*own_message)(krb5_context, krb5_error_code);
static pthread_once_t started = PTHREAD_ONCE_INIT;

static void
start(void)
{
    *(void **)&own_message = dlsym(RTLD_NEXT, "krb5_get_error_message");
}

/* FNV-1a. Who makes a text with the hash of another's has to know that one already. */
static uint64_t
hash_of(gage_slice text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ text.p[i]) * 0x100000001b3;
    return hash;
}

void
krb_text_begin(void)
{
    told = 0;
}

bool
krb_text_is_new(gage_slice text)
{
    uint64_t hash = hash_of(text);
    for (size_t i = 0; i < told && i < REMEMBERED; i++)
        if (hashes[i] == hash)
            return true;
    return false;
}

/* ---- what the libraries call ---- */

#define EXPORTED __attribute__((visibility("default")))

EXPORTED const char *KRB5_CALLCONV
krb5_get_error_message(krb5_context context, krb5_error_code code)
{
    pthread_once(&started, start);
    const char *text = own_message(context, code);
    if (text != NULL)
        hashes[told++ % REMEMBERED] = hash_of(gage_slice_of(text, strlen(text)));
    return text;
}
