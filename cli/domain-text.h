/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain-text.h - what a running VM is, as a domain file
 */
#pragma once
#include "base/value.h"

/* words: its command line. *from_file (may be NULL): whether a domain file had a part in it. The caller frees; NULL and *err. */
char *domain_text(const Value *words, bool *from_file, GError **err);
