#include "otc/status.h"

#include <stddef.h>

struct row {
    OM_uint32 major;
    const char *text;
};

static const struct row rows[] = {
#define ROW(name, number, major, text) [number] = {(major), (text)},
    OTC_STATUSES(ROW)
#undef ROW
};

static const struct row *
row_of(enum otc_status status)
{
    size_t n = (size_t)status;
    return n < sizeof rows / sizeof rows[0] ? &rows[n] : &rows[OTC_S_INTERNAL];
}

OM_uint32
otc_status_major(enum otc_status status)
{
    return row_of(status)->major;
}

const char *
otc_status_text(enum otc_status status)
{
    return row_of(status)->text;
}

gage_rc
otc_fail(struct gage_err *err, enum otc_status status)
{
    gage_rc rc = gage_fail(err, GAGE_E_GSS, "%s", otc_status_text(status));
    if (err != NULL) {
        err->gss_major = otc_status_major(status);
        err->gss_minor = OTC_MINOR_BASE + (OM_uint32)status;
    }
    return rc;
}

OM_uint32
otc_end(OM_uint32 *minor, enum otc_status status)
{
    if (minor != NULL)
        *minor = status == OTC_S_OK ? 0 : OTC_MINOR_BASE + (OM_uint32)status;
    return otc_status_major(status);
}

OM_uint32
otc_result(OM_uint32 *minor, gage_rc rc, const struct gage_err *err)
{
    if (gage_ok(rc))
        return otc_end(minor, OTC_S_OK);
    if (rc.code == GAGE_E_GSS && err != NULL && err->gss_minor != 0)
        return otc_end(minor, (enum otc_status)(err->gss_minor - OTC_MINOR_BASE));
    return otc_end(minor, rc.code == GAGE_E_NOMEM ? OTC_S_NOMEM : OTC_S_INTERNAL);
}
