#include "otc/layout.h"

#include <stdlib.h>

#include "otc/status.h"

static gage_rc
reserve(struct otc_layout *layout, size_t count)
{
    layout->message.span = layout->few_spans;
    layout->message.associated = layout->few_associated;
    if (count <= OTC_LAYOUT_FEW)
        return GAGE_DONE;
    layout->many_spans = calloc(count, sizeof *layout->many_spans);
    layout->many_associated = calloc(count, sizeof *layout->many_associated);
    layout->message.span = layout->many_spans;
    layout->message.associated = layout->many_associated;
    return gage_rc_of(layout->many_spans != NULL && layout->many_associated != NULL ? GAGE_OK : GAGE_E_NOMEM);
}

void
otc_layout_cleanup(struct otc_layout *layout)
{
    free(layout->many_spans);
    free(layout->many_associated);
}

static void
add_span(struct otc_layout *layout, const gss_iov_buffer_desc *buffer, bool signing)
{
    struct otc_span *spans = layout->many_spans != NULL ? layout->many_spans : layout->few_spans;
    uint8_t *p = buffer->buffer.value;
    spans[layout->message.span_count++] = (struct otc_span){p, signing ? NULL : p, buffer->buffer.length};
}

static void
add_associated(struct otc_layout *layout, const gss_iov_buffer_desc *buffer)
{
    gage_slice *slices = layout->many_associated != NULL ? layout->many_associated : layout->few_associated;
    slices[layout->message.associated_count++] = gage_slice_of(buffer->buffer.value, buffer->buffer.length);
}

static bool
set_once(gss_iov_buffer_desc **to, gss_iov_buffer_desc *buffer)
{
    bool first = *to == NULL;
    *to = buffer;
    return first;
}

static bool
sort(struct otc_layout *layout, gss_iov_buffer_desc *buffer, bool signing)
{
    bool filled = buffer->buffer.length == 0 || buffer->buffer.value != NULL;
    switch (GSS_IOV_BUFFER_TYPE(buffer->type)) {
    case GSS_IOV_BUFFER_TYPE_DATA:
        if (layout->data_count++ == 0)
            layout->data = buffer;
        layout->unfilled |= !filled;
        if (filled)
            add_span(layout, buffer, signing);
        return true;
    case GSS_IOV_BUFFER_TYPE_SIGN_ONLY:
        if (signing)
            add_span(layout, buffer, true);
        else
            add_associated(layout, buffer);
        return filled;
    case GSS_IOV_BUFFER_TYPE_HEADER:
        return set_once(&layout->header, buffer);
    case GSS_IOV_BUFFER_TYPE_STREAM:
        return filled && set_once(&layout->stream, buffer);
    case GSS_IOV_BUFFER_TYPE_MIC_TOKEN:
        return set_once(&layout->mic, buffer);
    case GSS_IOV_BUFFER_TYPE_EMPTY:
    case GSS_IOV_BUFFER_TYPE_PADDING:
    case GSS_IOV_BUFFER_TYPE_TRAILER:
        return true;
    default:
        return false;
    }
}

gage_rc
otc_layout_read(struct otc_layout *layout, gss_iov_buffer_desc *iov, int count, bool signing, struct gage_err *err)
{
    if (count < 0 || (count > 0 && iov == NULL))
        return otc_fail(err, OTC_S_BAD_IOV);
    TRY(reserve(layout, (size_t)count));
    for (int i = 0; i < count; i++) {
        if (!sort(layout, &iov[i], signing))
            return otc_fail(err, OTC_S_BAD_IOV);
    }
    return GAGE_DONE;
}

void
otc_layout_wipe(const struct otc_layout *layout)
{
    bool in_stream = layout->stream != NULL; /* then DATA is only written to */
    for (size_t i = 0; !in_stream && i < layout->message.span_count; i++) {
        const struct otc_span *span = &layout->message.span[i];
        if (span->out != NULL && span->n > 0)
            gage_wipe(span->out, span->n);
    }
    if (in_stream && layout->stream->buffer.length > 0)
        gage_wipe(layout->stream->buffer.value, layout->stream->buffer.length);
}

void
otc_layout_no_trailer(gss_iov_buffer_desc *iov, int count)
{
    for (int i = 0; i < count; i++) {
        OM_uint32 type = GSS_IOV_BUFFER_TYPE(iov[i].type);
        if (type == GSS_IOV_BUFFER_TYPE_PADDING || type == GSS_IOV_BUFFER_TYPE_TRAILER)
            iov[i].buffer.length = 0;
    }
}

gage_rc
otc_layout_room(gss_iov_buffer_desc *buffer, struct gage_err *err)
{
    if (buffer == NULL)
        return otc_fail(err, OTC_S_BAD_IOV);
    if ((buffer->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) != 0) {
        void *p = malloc(OTC_TOKEN_LEN);
        if (p == NULL)
            return gage_rc_of(GAGE_E_NOMEM);
        buffer->buffer.value = p;
        buffer->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
    } else if (buffer->buffer.value == NULL || buffer->buffer.length < OTC_TOKEN_LEN)
        return otc_fail(err, OTC_S_BAD_IOV);
    buffer->buffer.length = OTC_TOKEN_LEN;
    return GAGE_DONE;
}
