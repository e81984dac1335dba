/* relax.h - what to do between two looks at something that another processor is about to change. */
#ifndef GAGE_PROXYD_RELAX_H
#define GAGE_PROXYD_RELAX_H

/* relax: a microsecond or so in which the other half of a core gets on. */
#if defined(__x86_64__) || defined(__i386__)
#define CPU_RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define CPU_RELAX() __asm__ volatile("yield")
#else
#define CPU_RELAX() ((void)0)
#endif
static inline void
relax(void)
{
    for (int i = 0; i < 40; i++)
        CPU_RELAX();
}

#endif
