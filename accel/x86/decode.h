/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decode.h - questions about a decoded instruction (decode() itself is in insn.h)
 */
#pragma once
#include "accel/x86/optab.h"

static inline const char *insn_name(const Insn *insn) { return optab_row(insn->row)->name; }
/* A listing line: mnemonic and operands, AT&T's order, for logs. Caller's buffer; never overflows it. */
void insn_print(const Insn *insn, uint64_t rip, char *text, size_t size);
