#include "relayd/store_pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/encode.h"

#define SLOTS 64 /* rows of gage_usage, so that relays seldom wait for each other's */

/* ---- reads ---- */

static bool
send_reads(struct pg_link *link, struct store_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_request *q = &ops[i]->request;
        uint64_t after = q->verb == STORE_DISPLAY || q->after > INT64_MAX ? INT64_MAX : q->after;
        struct pg_args args = {0};
        arg_bytes(&args, SLICE_OF(ops[i]->result.tag));
        arg_int64(&args, (int64_t)after);
        if (!pg_send(link, PG_READ, &args))
            return false;
    }
    return pg_sync(link);
}

static gage_rc
receive_reads(struct pg_link *link, struct store_op **ops, enum read_need *need, size_t count, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    for (size_t i = 0; i < count; i++) {
        PGresult *result = pg_next(link, &rc, err);
        if (result == NULL)
            return rc;
        struct record record;
        record_init(&record);
        bool there = PQntuples(result) == 1;
        if (there)
            pg_get_row(result, 0, &record, NULL);
        need[i] = answer_read(ops[i], &record, there ? pg_bytes(result, 0, 7) : SLICE_NONE);
        PQclear(result);
    }
    return pg_finish(link, err);
}

gage_rc
pg_read(struct engine *engine, struct store_op **ops, enum read_need *need, size_t count, bool writer,
        struct gage_err *err)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    gage_rc rc = gage_rc_of(GAGE_E_STATE);
    for (int run = 0; run < 2 && rc.code == GAGE_E_STATE; run++) {
        for (size_t i = 0; i < count; i++)
            result_fail(&ops[i]->result, STORE_UNAVAILABLE);
        TRY(pg_link_ready(s, &s->reader, err));
        rc = send_reads(&s->reader, ops, count) ? receive_reads(&s->reader, ops, need, count, err)
                                                : pg_lost(&s->reader, err);
    }
    return rc;
}

/* ---- the rest of the engine ---- */

/* PostgreSQL's vacuum reuses the space; it has no means to overwrite it. */
static gage_rc
pg_scrub(struct engine *engine, struct gage_err *err)
{
    return GAGE_DONE;
}

static gage_rc
pg_probe(struct engine *engine, struct gage_err *err)
{
    struct batch nothing = {.count = 0};
    TRY(pg_begin(engine, &nothing, err));
    pg_end(engine);
    return GAGE_DONE;
}

static void
pg_usage(struct engine *engine, uint64_t *mailboxes, uint64_t *bytes)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    *mailboxes = __atomic_load_n(&s->mailboxes, __ATOMIC_RELAXED);
    *bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
}

static void
pg_interrupt(struct engine *engine)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    pg_link_interrupt(&s->writer);
    pg_link_interrupt(&s->reader);
}

static void
pg_close(struct engine *engine)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    pg_listen_stop(s);
    pg_link_cleanup(&s->writer);
    pg_link_cleanup(&s->reader);
    gage_buf_free(&s->told);
    free(s->url);
    free(s);
}

static const struct engine_ops pg_ops = {
    .shared = true,
    .close = pg_close,
    .begin = pg_begin,
    .commit = pg_commit,
    .end = pg_end,
    .read = pg_read,
    .sweep = pg_sweep,
    .scrub = pg_scrub,
    .probe = pg_probe,
    .usage = pg_usage,
    .interrupt = pg_interrupt,
};

/* Says what the server's settings take away from "durable". */
static void
warn_of_durability(struct pg_engine *s, PGconn *conn)
{
    PGresult *result = PQexec(conn, "SELECT current_setting('fsync'), current_setting('synchronous_standby_names')");
    struct gage_err warning;
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        if (strcmp(PQgetvalue(result, 0, 0), "on") != 0) {
            gage_fail(&warning, GAGE_E_CONFIG,
                      "PostgreSQL runs with fsync = off: a crash of its machine loses "
                      "acknowledged writes; turn it on");
            s->hooks.warn(s->hooks.context, &warning);
        }
        if (PQgetvalue(result, 0, 1)[0] == '\0') {
            gage_fail(&warning, GAGE_E_CONFIG,
                      "durable on one node only: the loss of PostgreSQL's machine loses "
                      "mailboxes; name a standby in synchronous_standby_names");
            s->hooks.warn(s->hooks.context, &warning);
        }
    }
    PQclear(result);
}

static gage_rc
name_instance(struct pg_engine *s)
{
    uint8_t random[9];
    AUTO(gage_buf) text = GAGE_BUF(16);
    TRY(rng_fill(&gage_system_rng, random, sizeof random));
    put_hex(&text, gage_slice_of(random, 8));
    TRY(buf_check(&text, NULL));
    memcpy(s->instance, text.p, 16);
    s->slot = random[8] % SLOTS;
    return GAGE_DONE;
}

/* The schema is made over a connection of its own, then the lanes' connections check it. */
static gage_rc
set_up(struct pg_engine *s, struct gage_err *err)
{
    PGconn *conn = NULL;
    TRY(name_instance(s));
    TRY(pg_connect(s, &conn, err));
    gage_rc rc = pg_make_schema(s, conn, err);
    if (gage_ok(rc))
        warn_of_durability(s, conn);
    PQfinish(conn);
    TRY(rc);
    TRY(pg_link_ready(s, &s->writer, err));
    TRY(pg_probe(&s->engine, err)); /* learns the usage */
    return pg_listen_start(s, err);
}

gage_rc
postgres_engine_open(const char *url, const uint8_t check[KEYED_LEN], const struct engine_hooks *hooks,
                     struct engine **out, struct gage_err *err)
{
    struct pg_engine *s = calloc(1, sizeof *s);
    REQUIRE(s != NULL && (s->url = strdup(url)) != NULL, err, GAGE_E_NOMEM, "no memory for the store");
    s->engine.ops = &pg_ops;
    s->hooks = *hooks;
    s->stop_fd = -1;
    s->told = GAGE_BUF((size_t)8 << 20);
    memcpy(s->check, check, KEYED_LEN);
    pg_link_init(&s->writer);
    pg_link_init(&s->reader);
    gage_rc rc = set_up(s, err);
    if (!gage_ok(rc)) {
        pg_close(&s->engine);
        return rc;
    }
    *out = &s->engine;
    return GAGE_DONE;
}
