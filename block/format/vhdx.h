/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx.h - what the parts of the vhdx driver share: vhdx.c reads and writes, vhdx-log.c replays, vhdx-create.c makes new ones
 */
#pragma once
#include "block/format/blocks.h"

enum { VHDX_MIB = 1 << 20, VHDX_HEADER = 4096, VHDX_REGIONS = 65536, VHDX_HEADER_1 = 65536, VHDX_HEADER_2 = 131072, VHDX_REGION_1 = 196608, VHDX_REGION_2 = 262144,
       VHDX_LOG_MOST = 64 << 20, VHDX_ZERO = 2, VHDX_PRESENT = 6 };

extern const uint8_t vhdx_bat_guid[16], vhdx_metadata_guid[16];
extern const uint8_t vhdx_parameters_guid[16], vhdx_size_guid[16], vhdx_page83_guid[16], vhdx_logical_guid[16], vhdx_physical_guid[16], vhdx_parent_guid[16];

uint32_t vhdx_crc(uint8_t *bytes, size_t length, size_t field);                /* CRC-32C, the field (4 bytes) as zeroes */
/* co. Brings what the log holds to its places; the file must be writable. */
bool vhdx_replay(Node *file, const uint8_t log_guid[16], uint64_t at, uint32_t length, GError **err);
extern const Field vhdx_create_options[];
bool vhdx_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err);              /* co */
