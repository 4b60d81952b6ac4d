/* SPDX-License-Identifier: GPL-2.0-or-later */
/* models.h - the device models and boards, declared where hw/models.c and hw/machine list them */
#pragma once
#include "hw/core/machine.h"

enum { PC_BOARDS = 11 };                  /* pc-i440fx-7.2 down to 4.1 */
extern const BoardModel none_board, pc_boards[PC_BOARDS];

extern const DeviceModel isa_debug_exit_model, isa_debugcon_model, isa_serial_model, stdvga_model;
extern const DeviceModel i440fx_pcihost_model, i440fx_model, cpu_hotplug_model, pci_hotplug_model, piix3_model, piix4_pm_model;
extern const DeviceModel fw_cfg_model, ide_cd_model, ide_hd_model, piix_ide_model;
extern const DeviceModel floppy_model, i8257_model, isa_fdc_model;
extern const DeviceModel i8042_model, pc_testdev_model, port92_model, post_port_model, pvpanic_model;
extern const DeviceModel apic_model, ioapic_model, isa_i8259_model;
extern const DeviceModel scsi_cd_model, scsi_hd_model;
extern const DeviceModel hpet_model, isa_pit_model, mc146818rtc_model;
/* X-pci, X-pci-transitional, X-pci-non-transitional (hw/virtio/virtio-pci.h). */
extern const DeviceModel virtio_balloon_models[3], virtio_blk_models[3], virtio_net_models[3], virtio_rng_models[3], virtio_scsi_models[3],
                         virtio_serial_models[3];
extern const DeviceModel virtconsole_model, virtserialport_model;
