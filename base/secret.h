/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret.h - passwords and keys under a name: -object secret,id=...,data=...|file=...
 *
 * What a user of a password gets is a copy in memory of its own, wiped by secret_free(). Lookups: any thread; adding and
 * removing: main thread.
 */
#pragma once
#include "base/field.h"

extern const Field secret_fields[];        /* the keys of -object secret beside qom-type; for help */

/* {"qom-type":"secret","id":"sec0","data":"..."}: "file" instead of "data", "format" raw or base64; "keyid" names the secret that
 * holds the AES-256 key with which the data is encrypted (CBC, PKCS #7), "iv" is base64. */
bool secret_add(const Value *object, GError **err);
bool secret_remove(const char *id, GError **err);
bool secret_exists(const char *id);

typedef struct Secret { uint8_t *bytes; size_t length; } Secret;       /* a zero byte follows the bytes */
bool secret_get(const char *id, Secret *out, GError **err);            /* whole, as it is */
bool secret_get_text(const char *id, Secret *out, GError **err);       /* a password: refused unless it is UTF-8 */
void secret_free(Secret *secret);          /* wipes; one that is all zero is ignored */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Secret, secret_free)
