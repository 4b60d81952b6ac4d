/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmdk.h - what the two halves of the vmdk driver share: vmdk.c reads and writes, vmdk-create.c makes new ones
 */
#pragma once
#include "block/format/blocks.h"

enum { VMDK_SECTOR = 512, VMDK_HEADER = 512, VMDK_GRAIN = 65536, VMDK_GT = 512, VMDK_DESCRIPTOR_MOST = 128 * 1024 };
enum { VMDK_NEWLINES = 1, VMDK_REDUNDANT = 2, VMDK_ZEROED = 4, VMDK_COMPRESSED = 1 << 16, VMDK_MARKERS = 1 << 17 };

extern const Field vmdk_create_options[];
bool vmdk_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err);              /* co */
