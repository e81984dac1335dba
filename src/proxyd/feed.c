#include "proxyd/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2001

struct feed {
    FILE *from;
    void (*take)(char *line);
};

static void *
read_lines(void *context)
{
    struct feed *feed = context;
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, feed->from) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0')
            feed->take(line);
    }
    fclose(feed->from);
    free(feed);
    return NULL;
}

static bool
start_thread(struct feed *feed)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_lines, feed) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

gage_rc
feed_begin(void (*take)(char *line), int *fd, struct gage_err *err)
{
    int pipes[2];
    struct feed *feed = calloc(1, sizeof *feed);
    REQUIRE(feed != NULL, err, GAGE_E_NOMEM, "out of memory");
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        free(feed);
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot make a pipe");
    }
    *feed = (struct feed){fdopen(pipes[0], "r"), take};
    if (feed->from == NULL || !start_thread(feed)) {
        close(pipes[0]); /* the stream too has no more than that */
        close(pipes[1]);
        free(feed);
        return gage_fail(err, GAGE_E_INTERNAL, "cannot start a thread that reads a pipe");
    }
    *fd = pipes[1];
    return GAGE_DONE;
}
