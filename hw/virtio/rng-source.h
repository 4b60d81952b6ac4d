/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng-source.h - where random bytes for guests come from: -object rng-builtin,id= and -object rng-random,id=,filename=
 *
 * Main thread, machine lock held.
 */
#pragma once
#include "base/field.h"
#include <stddef.h>

typedef struct RngSource RngSource;

/* options: id, and for rng-random filename (/dev/urandom). random: which of the two types. */
bool rng_source_add(const Value *options, bool random, GError **err);
bool rng_source_remove(const char *id, GError **err);      /* refused while a device uses it */
void rng_source_remove_all(void);
/* The one of that id, or one of its own (rng-builtin) for id NULL; the caller owns a reference. */
RngSource *rng_source_for_device(const char *id, const char *device, GError **err);
void rng_source_unref(RngSource *source);
/* Up to length bytes, never waiting long: 0 when there are none now. */
size_t rng_source_read(RngSource *source, void *bytes, size_t length);
extern const Field rng_builtin_keys[], rng_random_keys[];
