#include "relayd/fault_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int write_code, sync_code, waiting;
static bool gate_closed;
static char synced_folder[256];

/* Our file, followed in memory by the real one. */
struct fault_file {
    sqlite3_file base;
    char *path;
};

static sqlite3_vfs vfs, *real_vfs;

static sqlite3_file *
real(sqlite3_file *file)
{
    return (sqlite3_file *)((struct fault_file *)file + 1);
}

static int
read_code(const int *code)
{
    pthread_mutex_lock(&lock);
    int now = *code;
    pthread_mutex_unlock(&lock);
    return now;
}

static int
x_close(sqlite3_file *file)
{
    struct fault_file *f = (struct fault_file *)file;
    int code = real(file)->pMethods != NULL ? real(file)->pMethods->xClose(real(file)) : SQLITE_OK;
    free(f->path);
    f->path = NULL;
    return code;
}

static int
x_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    return real(file)->pMethods->xRead(real(file), to, n, at);
}

static int
x_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    int code = read_code(&write_code);
    return code != 0 ? code : real(file)->pMethods->xWrite(real(file), from, n, at);
}

static int
x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real(file)->pMethods->xTruncate(real(file), size);
}

static void
keep(const char *path)
{
    char kept[600];
    const char *name = strrchr(path, '/');
    struct stat st;
    snprintf(kept, sizeof kept, "%s%s", synced_folder, name);
    int from = open(path, O_RDONLY | O_CLOEXEC), to = open(kept, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t at = 0;
    if (from < 0 || to < 0 || fstat(from, &st) != 0)
        abort();
    while (at < st.st_size)
        if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
            abort();
    close(from);
    close(to);
}

static int
x_sync(sqlite3_file *file, int flags)
{
    struct fault_file *f = (struct fault_file *)file;
    pthread_mutex_lock(&lock);
    waiting++;
    pthread_cond_broadcast(&moved);
    while (gate_closed)
        pthread_cond_wait(&moved, &lock);
    waiting--;
    int code = sync_code;
    if (code == 0 && synced_folder[0] != '\0' && f->path != NULL)
        keep(f->path);
    pthread_mutex_unlock(&lock);
    return code != 0 ? code : real(file)->pMethods->xSync(real(file), flags);
}

static int
x_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real(file)->pMethods->xFileSize(real(file), size);
}

static int
x_lock(sqlite3_file *file, int how)
{
    return real(file)->pMethods->xLock(real(file), how);
}

static int
x_unlock(sqlite3_file *file, int how)
{
    return real(file)->pMethods->xUnlock(real(file), how);
}

static int
x_check_reserved_lock(sqlite3_file *file, int *out)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), out);
}

static int
x_file_control(sqlite3_file *file, int op, void *argument)
{
    return real(file)->pMethods->xFileControl(real(file), op, argument);
}

static int
x_sector_size(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int
x_device_characteristics(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int
x_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, out);
}

static int
x_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}

static void
x_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int
x_shm_unmap(sqlite3_file *file, int delete)
{
    return real(file)->pMethods->xShmUnmap(real(file), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_reserved_lock,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_device_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static int
x_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    struct fault_file *f = (struct fault_file *)file;
    f->path = name != NULL ? strdup(name) : NULL;
    int code = real_vfs->xOpen(real_vfs, name, real(file), flags, out_flags);
    f->base.pMethods = real(file)->pMethods != NULL ? &methods : NULL;
    return code;
}

void
fault_vfs_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
    vfs.xOpen = x_open;
    vfs.pNext = NULL;
    sqlite3_vfs_register(&vfs, 1);
}

static void
set(int *what, int value)
{
    pthread_mutex_lock(&lock);
    *what = value;
    pthread_mutex_unlock(&lock);
}

void
fault_writes(int code)
{
    set(&write_code, code);
}

void
fault_syncs(int code)
{
    set(&sync_code, code);
}

void
fault_gate_close(void)
{
    pthread_mutex_lock(&lock);
    gate_closed = true;
    pthread_mutex_unlock(&lock);
}

void
fault_gate_wait(void)
{
    pthread_mutex_lock(&lock);
    while (waiting == 0)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

void
fault_gate_open(void)
{
    pthread_mutex_lock(&lock);
    gate_closed = false;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

void
fault_keep_synced(const char *folder)
{
    pthread_mutex_lock(&lock);
    snprintf(synced_folder, sizeof synced_folder, "%s", folder != NULL ? folder : "");
    pthread_mutex_unlock(&lock);
}
