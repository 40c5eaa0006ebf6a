/* SPDX-License-Identifier: MIT
 *
 * Backends of ggml by the names of their libraries.
 */
#ifndef TAT_DOCTOR_BACKENDS_H
#define TAT_DOCTOR_BACKENDS_H

#include <stdbool.h>
#include <stddef.h>

/* "blas" of ".../libggml-blas.so.1" in `name`, for backends that compute elsewhere than the CPU's; false for others. */
bool backend_elsewhere(const char * path, char * name, size_t size);

/* ".../libggml-cpu-haswell.so" and the like, which are loaded at run time. */
bool backend_is_cpu(const char * path);

/* Calls `each` with the path of every ggml library in the folder of `file`. */
void backends_beside(const char * file, void (*each)(const char * path, void * state), void * state);

#endif
