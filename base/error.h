/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.h - the sentence for the person who typed the command
 *
 * Three listeners, three kinds of error (HOUSE.md 8): a person reads a GError,
 * calling code reads 0 or -errno, and the guest gets guest_fault() (hw/core/device.h).
 * A sentence names the object, the value and the limit or the fix, in one line,
 * without a trailing full stop or newline.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define ROOST_ERROR (roost_error_quark())
GQuark roost_error_quark(void);

/* Sets *err (which may be NULL) to domain ROOST_ERROR, code errnum (an errno value), and the
 * sentence. Always returns false, so that a caller can write "return fail(err, ...)". */
bool fail(GError **err, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Lets the compiler see the constant, so that "return fail(...)" does not look like a way on with unset variables. */
#define fail(err, errnum, ...) __extension__({ (fail)((err), (errnum), __VA_ARGS__); false; })
