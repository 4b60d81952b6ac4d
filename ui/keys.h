/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keys.h - the names of keys in QMP and in the monitor ("ctrl", "kp_enter"), for Linux's KEY_* numbers that ui/input.h speaks */
#pragma once

typedef struct KeyName {
    const char *name;
    unsigned key;                          /* KEY_RESERVED: a name for no key */
} KeyName;
extern const KeyName key_names[];          /* ends with .name NULL */

const KeyName *key_find(const char *name); /* NULL: there is none of that name */
