/* SPDX-License-Identifier: MIT
 *
 * What the agent puts in place of the program's functions. Preloaded, it has their names and is found first. Linked
 * into the program (TAT_STATIC), it has the names to which the linker's --wrap diverts calls.
 */
#ifndef TAT_AGENT_HOOK_H
#define TAT_AGENT_HOOK_H

#include "agent/symbols.h"

#define TAT_EXPORT __attribute__((visibility("default")))

#ifdef TAT_STATIC
#define HOOK(name) __wrap_##name
/* Declares `real`, the function that the hook stands for. If there is none, as in a program that only asks whether the
 * function exists, returns `otherwise`. Weak, because many programs lack some of the functions. */
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
