/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-tables.h - which attribute or element is which key of which option
 */
#pragma once
#include "cli/xml-work.h"

extern const XmlMap xml_machine_map[], xml_rtc_map[], xml_event_map[], xml_boot_map[];
extern const XmlMap xml_file_map[], xml_block_map[], xml_format_map[], xml_disk_map[], xml_virtio_blk_map[], xml_scsi_disk_map[], xml_throttle_map[];
extern const XmlMap xml_netdev_map[], xml_card_map[];
extern const XmlMap xml_balloon_map[], xml_rng_map[], xml_panic_map[], xml_scsi_controller_map[];

/* All of them, for help and tests: where the table begins, which option it fills. */
typedef struct XmlMapPlace { const char *element, *option; const XmlMap *map; } XmlMapPlace;
extern const XmlMapPlace xml_map_places[];

/* Whether an option, by its name without dashes, is followed by an argument. */
bool xml_option_has_argument(const char *name);
