/* json_wipe.h - JSON that may hold a secret. */
#ifndef GAGE_CLI_JSON_WIPE_H
#define GAGE_CLI_JSON_WIPE_H

/* From now on what jansson releases is wiped first. Before its first use. */
void json_wipes_always(void);

#endif
