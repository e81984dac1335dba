#include "app/output.h"

#include <stdio.h>
#include <unistd.h>

#include "app/lines.h"

#define ROOM (256u * 1024)

static struct lines *standard_error; /* NULL: not begun; set before there are threads that use it */

static void
hand_in(gage_slice line)
{
    (void)lines_put(standard_error, line);
}

gage_rc
output_begin(const struct log_event *lost, struct gage_err *err)
{
    TRY(lines_begin(STDERR_FILENO, LINES_MAY_BE_LOST, ROOM, lost, &standard_error, err));
    log_set_writer(hand_in);
    return GAGE_DONE;
}

static void
put_out(const gage_buf *line)
{
    if (standard_error != NULL)
        hand_in(gage_buf_slice(line));
    else
        (void)!write(STDERR_FILENO, line->p, line->n);
}

void
output_say(const char *text)
{
    AUTO(gage_buf) line = GAGE_BUF(256);
    put_bytes(&line, slice_str(text));
    put_u8(&line, '\n');
    put_out(&line);
}

void
output_event(const struct log_event *event, const struct log_field *fields, size_t count)
{
    AUTO(gage_buf) line = GAGE_BUF(1056);
    log_line(event, fields, count, 0, &line);
    put_out(&line);
}

uint64_t
output_lost(void)
{
    return standard_error != NULL ? lines_lost(standard_error) : 0;
}

void
output_finish(void)
{
    lines_finish(standard_error);
}
