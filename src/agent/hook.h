/* SPDX-License-Identifier: MIT
 *
 * What the agent puts in the place of the program's functions. Preloaded, it has their names and is found first; linked
 * into the program, it has the names that the linker's --wrap gives to those it diverts (TAT_STATIC).
 */
#ifndef TAT_AGENT_HOOK_H
#define TAT_AGENT_HOOK_H

#include "agent/symbols.h"

#define TAT_EXPORT __attribute__((visibility("default")))

#ifdef TAT_STATIC
#define HOOK(name) __wrap_##name
/* Declares `real`, the function that the hook stands for; returns `otherwise` where there is none, as for a program
 * that only asks whether there is. Weak: many a program lacks some. */
#define HOOK_REAL(name, otherwise)                                                                                     \
    extern __typeof__(HOOK(name)) __real_##name __attribute__((weak));                                                 \
    __typeof__(&HOOK(name)) real = __real_##name;                                                                      \
    if (!real) { return otherwise; }
#else
#define HOOK(name) name
#define HOOK_REAL(name, otherwise)                                                                                     \
    __typeof__(&name) real;                                                                                            \
    void * symbol = symbol_hooked(__builtin_return_address(0), #name, (const void *) name);                            \
    __builtin_memcpy(&real, &symbol, sizeof real);                                                                     \
    if (!real) { return otherwise; }
#endif

#endif
