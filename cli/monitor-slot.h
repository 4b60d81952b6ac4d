/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor-slot.h - the place that the monitor will take */
#pragma once
#include "base/value.h"

bool monitor_slots_open(const Value *monitors, GError **err);    /* the tree's "monitors" */
