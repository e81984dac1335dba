/* replay.c - runs a fuzz target over the files of its corpus: one TAP case a file. usage: fuzz_NAME FOLDER */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly the right size, so that a sanitizer sees one byte too many. */
static void
run(gage_slice input)
{
    AUTO(gage_buf) exact = GAGE_BUF(input.n + 1);
    put_bytes(&exact, input);
    LLVMFuzzerTestOneInput(exact.p, exact.n);
}

int
main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    int count = 0;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    run(SLICE_NONE);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[4096];
        AUTO(gage_buf) input = GAGE_BUF(16 << 20);
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (!gage_ok(file_read(path, &input, NULL))) {
            printf("not ok %d - %s cannot be read\n", ++count, entry->d_name);
            continue;
        }
        run(gage_buf_slice(&input));
        printf("ok %d - survives %s\n", ++count, entry->d_name);
    }
    closedir(folder);
    printf("1..%d\n", count);
    return count > 0 ? 0 : 1;
}
