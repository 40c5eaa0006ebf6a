/* SPDX-License-Identifier: MIT
 *
 * The two loops that roofs.c times.
 */
#ifndef TAT_DOCTOR_KERNELS_H
#define TAT_DOCTOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Reads all bytes once, in their order. */
void kernel_read(const uint8_t * bytes, size_t size);

/* F32 multiply-adds in registers, with the widest vectors that this processor has: so many times KERNEL_STEP of them in
 * a lane. Returns the lanes. */
enum { KERNEL_STEP = 12 };
unsigned kernel_multiply(uint64_t times);

#endif
