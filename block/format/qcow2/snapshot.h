/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot.h - between snapshot-table.c and snapshot.c */
#pragma once
#include "block/format/qcow2/parts.h"

/* Writes the table of qcow2->snapshots to a new place and makes the header name it, in one sector; the old place is freed. On failure
 * the header is as it was, and the caller restores qcow2->snapshots. co, lock held, gate exclusive. */
int qcow2_snapshots_store(Qcow2 *qcow2);
void qcow2_snapshot_clear(Qcow2Snapshot *snapshot);
