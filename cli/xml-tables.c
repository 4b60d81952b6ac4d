/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-tables.c - which attribute or element is which key of which option
 *
 * Tests    tests/xml/translate.py (walks the list by "roost help xml")
 */
#include "cli/xml-tables.h"
#include <string.h>

#define SAME(word) { word, word }

/* ---- <domain> ------------------------------------------------------------------------------------------------- */

static const XmlWord irqchips[] = { { "kvm", "on" }, { "qemu", "split" }, { NULL } };
const XmlMap xml_machine_map[] = {
    { "memory@dumpCore", "dump-guest-core", MAP_SWITCH },
    { "features/vmport@state", "vmport", MAP_SWITCH },
    { "features/smm@state", "smm", MAP_SWITCH },
    { "features/ioapic@driver", "kernel-irqchip", MAP_WORD, irqchips },
    { NULL } };

static const XmlWord tick_policies[] = { { "catchup", "slew" }, { "delay", "none" }, { NULL } };
static const XmlWord tracks[] = { { "guest", "vm" }, { "wall", "host" }, { "boot", "rt" }, { NULL } };
const XmlMap xml_rtc_map[] = {
    { "@track", "clock", MAP_WORD, tracks },
    { "@tickpolicy", "driftfix", MAP_WORD, tick_policies },
    { NULL } };

static const XmlWord on_poweroff[] = { { "destroy", "poweroff" }, { "preserve", "pause" }, { NULL } };
static const XmlWord on_reboot[] = { { "restart", "reset" }, { "destroy", "shutdown" }, { NULL } };
static const XmlWord on_crash[] = { { "destroy", "shutdown" }, { "preserve", "pause" }, { NULL } };
static const XmlWord on_watchdog[] = { { "reset", "reset" }, { "shutdown", "shutdown" }, { "poweroff", "poweroff" }, { "pause", "pause" },
                                       { "none", "none" }, { "inject-nmi", "inject-nmi" }, { NULL } };
const XmlMap xml_event_map[] = {
    { "on_poweroff", "shutdown", MAP_WORD, on_poweroff },
    { "on_reboot", "reboot", MAP_WORD, on_reboot },
    { "on_crash", "panic", MAP_WORD, on_crash },
    { "devices/watchdog@action", "watchdog", MAP_WORD, on_watchdog },
    { NULL } };

const XmlMap xml_boot_map[] = {
    { "bootmenu@enable", "menu", MAP_SWITCH, .on = "yes", .off = "no" },
    { "bootmenu@timeout", "splash-time", MAP_NUMBER, .most = 65535 },
    { "bios@rebootTimeout", "reboot-timeout", MAP_TEXT },
    { NULL } };

/* ---- <disk> ----------------------------------------------------------------------------------------------------- */

static const XmlWord aio[] = { SAME("native"), SAME("threads"), SAME("io_uring"), { NULL } };
const XmlMap xml_file_map[] = { { "source@file", "filename" }, { "driver@io", "aio", MAP_WORD, aio }, { NULL } };
const XmlMap xml_block_map[] = { { "source@dev", "filename" }, { "driver@io", "aio", MAP_WORD, aio }, { NULL } };

static const XmlWord formats[] = { SAME("raw"), SAME("qcow2"), SAME("vdi"), SAME("vmdk"), SAME("vpc"), SAME("vhdx"), SAME("luks"), { NULL } };
static const XmlWord discard[] = { SAME("unmap"), SAME("ignore"), { NULL } };
static const XmlWord zeroes[] = { SAME("off"), SAME("on"), SAME("unmap"), { NULL } };
const XmlMap xml_format_map[] = {
    { "driver@type", "driver", MAP_WORD, formats },
    { "driver@discard", "discard", MAP_WORD, discard },
    { "driver@detect_zeroes", "detect-zeroes", MAP_WORD, zeroes },
    { NULL } };

static const XmlWord policies[] = { SAME("stop"), SAME("report"), SAME("ignore"), { "enospace", "enospc" }, { NULL } };
const XmlMap xml_disk_map[] = {
    { "driver@error_policy", "werror", MAP_WORD, policies },
    { "driver@rerror_policy", "rerror", MAP_WORD, policies },
    { "blockio@logical_block_size", "logical_block_size", MAP_NUMBER },
    { "blockio@physical_block_size", "physical_block_size", MAP_NUMBER },
    { "blockio@discard_granularity", "discard_granularity", MAP_NUMBER },
    { "geometry@cyls", "cyls", MAP_NUMBER },
    { "geometry@heads", "heads", MAP_NUMBER },
    { "geometry@secs", "secs", MAP_NUMBER },
    { "target@rotation_rate", "rotation_rate", MAP_NUMBER, .most = 65535 },
    { "shareable", "share-rw", MAP_PRESENT },
    { "serial", "serial" },
    { NULL } };

const XmlMap xml_virtio_blk_map[] = {
    { "driver@queues", "num-queues", MAP_NUMBER, .most = 65535 },
    { "driver@queue_size", "queue-size", MAP_NUMBER, .most = 65535 },
    { "driver@ioeventfd", "ioeventfd", MAP_SWITCH },
    { "driver@event_idx", "event_idx", MAP_SWITCH },
    { "driver@packed", "packed", MAP_SWITCH },
    { "driver@page_per_vq", "page-per-vq", MAP_SWITCH },
    { NULL } };

const XmlMap xml_scsi_disk_map[] = {
    { "vendor", "vendor" },
    { "product", "product" },
    { NULL } };

#define LIMIT(name, key) { "iotune/" name, key, MAP_NUMBER, .most = INT64_MAX }
const XmlMap xml_throttle_map[] = {
    LIMIT("total_bytes_sec", "bps-total"), LIMIT("read_bytes_sec", "bps-read"), LIMIT("write_bytes_sec", "bps-write"),
    LIMIT("total_iops_sec", "iops-total"), LIMIT("read_iops_sec", "iops-read"), LIMIT("write_iops_sec", "iops-write"),
    LIMIT("total_bytes_sec_max", "bps-total-max"), LIMIT("read_bytes_sec_max", "bps-read-max"), LIMIT("write_bytes_sec_max", "bps-write-max"),
    LIMIT("total_iops_sec_max", "iops-total-max"), LIMIT("read_iops_sec_max", "iops-read-max"), LIMIT("write_iops_sec_max", "iops-write-max"),
    LIMIT("total_bytes_sec_max_length", "bps-total-max-length"), LIMIT("read_bytes_sec_max_length", "bps-read-max-length"),
    LIMIT("write_bytes_sec_max_length", "bps-write-max-length"), LIMIT("total_iops_sec_max_length", "iops-total-max-length"),
    LIMIT("read_iops_sec_max_length", "iops-read-max-length"), LIMIT("write_iops_sec_max_length", "iops-write-max-length"),
    LIMIT("size_iops_sec", "iops-size"),
    { NULL } };

/* ---- other devices ----------------------------------------------------------------------------------------------- */

const XmlMap xml_netdev_map[] = {
    { "target@dev", "ifname" },
    { NULL } };

const XmlMap xml_card_map[] = {
    { "mac@address", "mac" },
    { "mtu@size", "host_mtu", MAP_NUMBER, .most = 65535 },
    { "rom@file", "romfile" },
    { NULL } };

const XmlMap xml_balloon_map[] = {
    { "@autodeflate", "deflate-on-oom", MAP_SWITCH },
    { "@freePageReporting", "free-page-reporting", MAP_SWITCH },
    { "stats@period", "guest-stats-polling-interval", MAP_NUMBER },
    { NULL } };

const XmlMap xml_rng_map[] = {
    { "rate@bytes", "max-bytes", MAP_NUMBER, .most = INT64_MAX },
    { "rate@period", "period", MAP_NUMBER },
    { NULL } };

const XmlMap xml_panic_map[] = { { "address@iobase", "ioport" }, { NULL } };

const XmlMap xml_scsi_controller_map[] = {
    { "driver@queues", "num_queues", MAP_NUMBER, .most = 65535 },
    { "driver@cmd_per_lun", "cmd_per_lun", MAP_NUMBER },
    { "driver@max_sectors", "max_sectors", MAP_NUMBER },
    { "driver@ioeventfd", "ioeventfd", MAP_SWITCH },
    { "driver@event_idx", "event_idx", MAP_SWITCH },
    { NULL } };

const XmlMapPlace xml_map_places[] = {
    { "domain", "-machine", xml_machine_map }, { "domain/clock/timer[name=rtc]", "-rtc", xml_rtc_map }, { "domain", "-action", xml_event_map },
    { "domain/os", "-boot", xml_boot_map },
    { "disk[type=file]", "-blockdev (storage)", xml_file_map }, { "disk[type=block]", "-blockdev (storage)", xml_block_map },
    { "disk", "-blockdev (format)", xml_format_map }, { "disk", "-object throttle-group", xml_throttle_map },
    { "disk", "-device (any disk)", xml_disk_map }, { "disk[bus=virtio]", "-device virtio-blk-pci", xml_virtio_blk_map },
    { "disk[bus=scsi]", "-device scsi-hd, scsi-cd", xml_scsi_disk_map },
    { "controller[type=scsi]", "-device virtio-scsi-pci", xml_scsi_controller_map },
    { "interface[type=ethernet]", "-netdev tap", xml_netdev_map }, { "interface", "-device (any card)", xml_card_map },
    { "memballoon", "-device virtio-balloon-pci", xml_balloon_map }, { "rng", "-device virtio-rng-pci", xml_rng_map },
    { "panic[model=isa]", "-device pvpanic", xml_panic_map },
    { NULL } };

bool xml_option_has_argument(const char *name)
{
    static const char *const alone[] = {
        "S", "daemonize", "enable-kvm", "full-screen", "help", "h", "mem-prealloc", "no-acpi", "no-fd-bootchk", "no-hpet", "no-quit", "no-reboot",
        "no-shutdown", "no-user-config", "nodefaults", "nographic", "only-migratable", "preconfig", "print-config", "s", "snapshot", "usb", "version",
        "win2k-hack", "enable-sync-profile", "enable-fips", "async-teardown", NULL };

    return !g_strv_contains(alone, name);
}
