#include "relayd/store_sqlite.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"

/* ---- columns ---- */

static gage_slice
column_bytes(sqlite3_stmt *statement, int column)
{
    const void *p = sqlite3_column_blob(statement, column);
    int n = sqlite3_column_bytes(statement, column);
    return p != NULL && n > 0 ? gage_slice_of(p, (size_t)n) : SLICE_NONE;
}

static bool
get_name(sqlite3_stmt *statement, int column, uint8_t name[KEYED_LEN])
{
    gage_slice bytes = column_bytes(statement, column);
    if (bytes.n != KEYED_LEN)
        return false;
    memcpy(name, bytes.p, KEYED_LEN);
    return true;
}

/* Reads the columns that both kinds of SELECT begin with; the head is borrowed from `head` or, if that is NULL, the row. */
static void
get_row(sqlite3_stmt *statement, struct record *record, gage_buf *head)
{
    uint8_t tag[KEYED_LEN], create_key[KEYED_LEN];
    bool named = get_name(statement, 1, tag) && get_name(statement, 2, create_key);
    record->present = true;
    record->row = sqlite3_column_int64(statement, 0);
    record->expires = sqlite3_column_int64(statement, 3);
    record->payload_max = (uint64_t)sqlite3_column_int64(statement, 4);
    record->version = (uint64_t)sqlite3_column_int64(statement, 5);
    gage_slice bytes = column_bytes(statement, 6);
    if (head != NULL) {
        put_bytes(head, bytes);
        bytes = gage_buf_slice(head);
    }
    bool initial = sqlite3_column_type(statement, 7) != SQLITE_NULL;
    record->damaged = !named || !gage_ok(record_decode(record, bytes, initial)) || !record_plausible(record);
    if (named) {
        memcpy(record->tag, tag, KEYED_LEN);
        memcpy(record->create_key, create_key, KEYED_LEN);
    }
}

static void
bind_slice(sqlite3_stmt *statement, int parameter, gage_slice bytes)
{
    if (bytes.n >
        0) /* the bytes outlive the statement's run; failures show as an error or a NULL that the schema refuses */
        sqlite3_bind_blob64(statement, parameter, bytes.p, bytes.n, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(statement, parameter, 0);
}

/* ---- begin ---- */

/* Space that reserved bytes may take: what the files have, and what the file system has left. Asked for once a second. */
static uint64_t
capacity_of(struct sqlite_engine *s)
{
    const uint64_t slack = (uint64_t)16 << 20; /* the log */
    struct statvfs disk;
    struct stat file;
    int64_t now = clock_monotonic_ns();
    if (s->capacity_read_ns != 0 && now - s->capacity_read_ns < 1000000000)
        return s->capacity;
    s->capacity_read_ns = now;
    s->capacity = UINT64_MAX;
    if (statvfs(s->path, &disk) != 0 || stat(s->path, &file) != 0)
        return s->capacity;
    uint64_t space = (uint64_t)disk.f_bavail * disk.f_frsize + (uint64_t)file.st_size;
    s->capacity = space > slack ? space - slack : 0;
    return s->capacity;
}

static gage_rc
load(struct sqlite_engine *s, struct record *record, struct gage_err *err)
{
    sqlite3_stmt *statement = s->statement[record->by_create_key ? SQL_BY_CREATE_KEY : SQL_BY_TAG];
    const uint8_t *name = record->by_create_key ? record->create_key : record->tag;
    sqlite3_bind_blob(statement, 1, name, KEYED_LEN, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        get_row(statement, record, &record->stored);
        code = SQLITE_DONE;
    }
    int reset = sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (code == SQLITE_DONE && reset == SQLITE_OK)
        return GAGE_DONE;
    gage_rc rc = sqlite_failed(s->db, code, s->path, err);
    sqlite_recover(s, code);
    return rc;
}

gage_rc
sqlite_begin(struct engine *engine, struct batch *batch, struct gage_err *err)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    TRY(sqlite_ready(s, err));
    TRY(sqlite_run(s, SQL_BEGIN, err));
    for (size_t i = 0; i < batch->count; i++)
        TRY(load(s, &batch->records[i], err));
    batch->mailboxes = s->mailboxes;
    batch->bytes = s->bytes;
    batch->capacity = capacity_of(s);
    return GAGE_DONE;
}

void
sqlite_end(struct engine *engine)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    (void)sqlite_run(s, SQL_ROLLBACK, NULL);
}

/* ---- commit ---- */

static gage_slice
encoded(struct batch *batch, const struct record *record)
{
    buf_reset(&batch->scratch);
    record_encode(record, &batch->scratch);
    return gage_buf_slice(&batch->scratch);
}

static enum sqlite_statement
bind_insert(struct sqlite_engine *s, struct batch *batch, const struct record *record)
{
    sqlite3_stmt *statement = s->statement[SQL_INSERT];
    sqlite3_bind_blob(statement, 1, record->tag, KEYED_LEN, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 2, record->create_key, KEYED_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, record->expires);
    sqlite3_bind_int64(statement, 4, (int64_t)record->payload_max);
    sqlite3_bind_int64(statement, 5, (int64_t)record->version);
    bind_slice(statement, 6, encoded(batch, record));
    bind_slice(statement, 7, record->current.data);
    if (record->initial.source == BODY_IN_REQUEST)
        bind_slice(statement, 8, record->initial.data);
    else
        sqlite3_bind_null(statement, 8);
    return SQL_INSERT;
}

static enum sqlite_statement
bind_update(struct sqlite_engine *s, struct batch *batch, const struct record *record)
{
    enum sqlite_statement which = record->body_changed ? SQL_UPDATE_BODY : SQL_UPDATE_HEAD;
    sqlite3_stmt *statement = s->statement[which];
    sqlite3_bind_int64(statement, 1, record->row);
    bind_slice(statement, 2, encoded(batch, record));
    if (which == SQL_UPDATE_HEAD)
        return which;
    sqlite3_bind_int64(statement, 3, (int64_t)record->version);
    sqlite3_bind_int(statement, 4, (int)record->current.source);
    bind_slice(statement, 5, record->current.data);
    sqlite3_bind_int(statement, 6, (int)record->initial.source);
    bind_slice(statement, 7, record->initial.data);
    return which;
}

static enum sqlite_statement
bind_delete(struct sqlite_engine *s, const struct record *record)
{
    sqlite3_bind_int64(s->statement[SQL_DELETE], 1, record->row);
    return SQL_DELETE;
}

/* Writes one record; the statement forgets the borrowed bytes. */
static gage_rc
save(struct sqlite_engine *s, struct batch *batch, const struct record *record, struct gage_err *err)
{
    enum sqlite_statement which = record->removed    ? bind_delete(s, record)
                                  : record->row == 0 ? bind_insert(s, batch, record)
                                                     : bind_update(s, batch, record);
    gage_rc rc = batch->scratch.bad ? gage_fail(err, GAGE_E_NOMEM, "memory is short") : sqlite_run(s, which, err);
    if (s->db != NULL)
        sqlite3_clear_bindings(s->statement[which]);
    return rc;
}

static bool
is_dirty(const struct record *record)
{
    return record->removed ? record->row != 0 : record->head_changed || record->body_changed;
}

/* Removals first: a mailbox that takes an expired one's place has its create key. */
static gage_rc
save_all(struct sqlite_engine *s, struct batch *batch, struct gage_err *err)
{
    for (int removals = 1; removals >= 0; removals--)
        for (size_t i = 0; i < batch->count; i++) {
            const struct record *record = &batch->records[i];
            if (is_dirty(record) && record->removed == (removals == 1))
                TRY(save(s, batch, record, err));
        }
    return GAGE_DONE;
}

static void
count_usage(struct sqlite_engine *s, int64_t mailboxes, int64_t bytes)
{
    __atomic_fetch_add(&s->mailboxes, (uint64_t)mailboxes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
}

gage_rc
sqlite_commit(struct engine *engine, struct batch *batch, struct gage_err *err)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    gage_rc rc = save_all(s, batch, err);
    if (gage_ok(rc))
        rc = sqlite_run(s, SQL_COMMIT, err);
    if (gage_ok(rc))
        count_usage(s, batch->mailboxes_delta, batch->bytes_delta);
    else
        sqlite_recover(s, SQLITE_OK);
    return rc;
}

/* ---- sweep ---- */

static int
remove_expired(struct sqlite_engine *s, int64_t now, struct swept *swept, uint64_t *bytes)
{
    sqlite3_stmt *statement = s->statement[SQL_SWEEP];
    int code;
    sqlite3_bind_int64(statement, 1, now);
    sqlite3_bind_int(statement, 2, SWEEP_STEP);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && swept->count < SWEEP_STEP) {
        memset(swept->tag[swept->count], 0, KEYED_LEN);
        get_name(statement, 0, swept->tag[swept->count++]);
        *bytes += store_reserve_of((uint64_t)sqlite3_column_int64(statement, 1));
    }
    int reset = sqlite3_reset(statement);
    return code == SQLITE_DONE ? reset : code == SQLITE_ROW ? SQLITE_MISUSE : code;
}

/* One statement, so one transaction of its own. */
gage_rc
sqlite_sweep(struct engine *engine, int64_t now, struct swept *swept, struct gage_err *err)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    uint64_t bytes = 0;
    TRY(sqlite_ready(s, err));
    int code = remove_expired(s, now, swept, &bytes);
    if (code != SQLITE_OK) {
        swept->count = 0;
        gage_rc rc = sqlite_failed(s->db, code, s->path, err);
        sqlite_recover(s, code);
        return rc;
    }
    count_usage(s, -(int64_t)swept->count, -(int64_t)bytes);
    return GAGE_DONE;
}

/* ---- reads ---- */

static struct sqlite_reader *
borrow_reader(struct sqlite_engine *s)
{
    unsigned first = __atomic_fetch_add(&s->next_reader, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SQLITE_READERS; i++) {
        struct sqlite_reader *reader = &s->reader[(first + i) % SQLITE_READERS];
        if (pthread_mutex_trylock(&reader->lock) == 0)
            return reader;
    }
    struct sqlite_reader *reader = &s->reader[first % SQLITE_READERS];
    pthread_mutex_lock(&reader->lock);
    return reader;
}

static void
close_reader(struct sqlite_reader *reader)
{
    sqlite3_finalize(reader->read);
    sqlite3_close(reader->db);
    reader->read = NULL;
    reader->db = NULL;
}

static gage_rc
ready_reader(struct sqlite_engine *s, struct sqlite_reader *reader, struct gage_err *err)
{
    if (reader->db != NULL)
        return GAGE_DONE;
    TRY(sqlite_connect(s->path, true, &reader->db, err));
    int code = sqlite3_prepare_v3(reader->db, sqlite_read_sql, -1, SQLITE_PREPARE_PERSISTENT, &reader->read, NULL);
    if (code == SQLITE_OK)
        return GAGE_DONE;
    gage_rc rc = sqlite_failed(reader->db, code, s->path, err);
    close_reader(reader);
    return rc;
}

/* Runs the statement for one operation; returns SQLite's code. */
static int
read_row(sqlite3_stmt *statement, struct store_op *op, enum read_need *need)
{
    struct record record;
    record_init(&record);
    uint64_t after = op->request.verb == STORE_DISPLAY || op->request.after > INT64_MAX ? INT64_MAX : op->request.after;
    sqlite3_bind_blob(statement, 1, op->result.tag, KEYED_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, (int64_t)after);
    int code = sqlite3_step(statement);
    gage_slice payload = SLICE_NONE;
    if (code == SQLITE_ROW) {
        get_row(statement, &record, NULL);
        payload = column_bytes(statement, 8);
        code = SQLITE_DONE;
    }
    if (code == SQLITE_DONE)
        *need = answer_read(op, &record, payload);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code;
}

static gage_rc
read_one(struct sqlite_engine *s, struct sqlite_reader *reader, struct store_op *op, enum read_need *need,
         struct gage_err *err)
{
    TRY(ready_reader(s, reader, err));
    int code = read_row(reader->read, op, need);
    if (code == SQLITE_DONE)
        return GAGE_DONE;
    gage_rc rc = sqlite_failed(reader->db, code, s->path, err);
    if (code != SQLITE_BUSY)
        close_reader(reader);
    return rc;
}

/* On the writing connection, whose pages are in memory: no other process changes the file. */
static gage_rc
read_as_writer(struct sqlite_engine *s, struct store_op **ops, enum read_need *need, size_t count, struct gage_err *err)
{
    for (size_t i = 0; i < count; i++) {
        int code = read_row(s->statement[SQL_READ], ops[i], &need[i]);
        if (code == SQLITE_DONE)
            continue;
        gage_rc rc = sqlite_failed(s->db, code, s->path, err);
        sqlite_recover(s, code);
        return rc;
    }
    return GAGE_DONE;
}

gage_rc
sqlite_read(struct engine *engine, struct store_op **ops, enum read_need *need, size_t count, bool writer,
            struct gage_err *err)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    if (writer && s->db != NULL)
        return read_as_writer(s, ops, need, count, err);
    gage_rc rc = GAGE_DONE;
    struct sqlite_reader *reader = borrow_reader(s);
    for (size_t i = 0; i < count && gage_ok(rc); i++)
        rc = read_one(s, reader, ops[i], &need[i], err);
    pthread_mutex_unlock(&reader->lock);
    return rc;
}
