/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpuid-names.h - inside accel/x86: a feature by its name; the other way round is in cpuid.h */
#pragma once
#include "accel/x86/cpuid.h"

int cpuid_feature_find(const char *name);                /* FEATURE_* number, or -1 */
