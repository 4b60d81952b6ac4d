/* SPDX-License-Identifier: GPL-2.0-or-later */
/* error.c - a sentence into a GError; see error.h */
#include "base/error.h"

G_DEFINE_QUARK(roost-error-quark, roost_error)

bool (fail)(GError **err, int errnum, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        g_propagate_error(err, g_error_new_valist(ROOST_ERROR, errnum, format, args));
        va_end(args);
    }
    return false;
}
