/* fault_vfs.h - a SQLite file system for tests, over the real one: fails on command, holds a sync up, and remembers what was synced,
 * which is all that is left after a power cut. */
#ifndef GAGE_TEST_FAULT_VFS_H
#define GAGE_TEST_FAULT_VFS_H

#include <stdbool.h>

/* Makes it the default. Before any database is opened. */
void fault_vfs_install(void);

/* From now on writes, or syncs, fail with this SQLite result code; 0: work. */
void fault_writes(int code);
void fault_syncs(int code);

/* The next syncs wait until the gate is opened again; fault_gate_wait returns once one waits. */
void fault_gate_close(void);
void fault_gate_wait(void);
void fault_gate_open(void);

/* From now on every sync copies the synced file into this folder (NULL: no more): what a power cut leaves behind. */
void fault_keep_synced(const char *folder);

#endif
