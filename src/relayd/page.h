/* page.h - the preview page: what a person sees who opens a link in a browser (R31, A10, A11). */
#ifndef GAGE_RELAYD_PAGE_H
#define GAGE_RELAYD_PAGE_H

#include "base/bytes.h"

#define PAGE_MAX ((size_t)64 * 1024)
#define POLICY_MAX 1024

struct page {
    gage_slice title, description; /* as the creator gave them; never markup */
    const char *image;             /* https URL, or NULL for none */
    const char *url;               /* of the mailbox, without a fragment */
    int64_t now, expires;          /* seconds since 1970 */
};

/* Appends the page. It holds no script and reads nothing of the address it is opened under. */
void page_print(const struct page *page, gage_buf *out);
/* Appends the Content-Security-Policy: nothing but the page's own style, by hash, and pictures from the image's origin. GAGE_E_INTERNAL
 * where OpenSSL fails. */
gage_rc page_policy(const char *image, gage_buf *out);

#endif
