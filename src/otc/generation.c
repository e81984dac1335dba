#include "otc/generation.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* The page reads 0 after a fork (MADV_WIPEONFORK), whichever system call made the child; the counter beside it is copied, so the
 * child's number is one that its parent never had. */
static _Atomic uint64_t *page;
static _Atomic uint64_t last;
static pthread_once_t page_once = PTHREAD_ONCE_INIT;

static void
make_page(void)
{
    long size = sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return;
    if (madvise(p, (size_t)size, MADV_WIPEONFORK) != 0) {
        munmap(p, (size_t)size);
        return;
    }
    page = p;
}

uint64_t
otc_generation(void)
{
    pthread_once(&page_once, make_page);
    if (page == NULL)
        return (uint64_t)getpid() | (uint64_t)1 << 63;
    uint64_t now = atomic_load_explicit(page, memory_order_acquire);
    if (now != 0)
        return now;
    uint64_t fresh = atomic_fetch_add(&last, 1) + 1, expected = 0;
    return atomic_compare_exchange_strong(page, &expected, fresh) ? fresh : expected;
}
