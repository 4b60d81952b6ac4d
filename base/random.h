/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.h - the one door through which the host's random bytes come in
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t length);               /* any thread */
uint64_t random_u64(void);
