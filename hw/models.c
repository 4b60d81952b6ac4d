/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * models.c - the one list of device models, a line each
 *
 * "roost help devices", qom-list-types, the generic device tests and the fuzzers walk it. Adding a device: one file, one line, one test.
 */
#include "hw/models.h"

const DeviceModel *const device_models[] = {
    &apic_model,
    &cpu_hotplug_model,
    &floppy_model,
    &fw_cfg_model,
    &hpet_model,
    &i440fx_pcihost_model,
    &i440fx_model,
    &i8042_model,
    &i8257_model,
    &ide_cd_model,
    &ide_hd_model,
    &isa_debug_exit_model,
    &isa_debugcon_model,
    &isa_fdc_model,
    &isa_i8259_model,
    &isa_pit_model,
    &isa_serial_model,
    &stdvga_model,
    &ioapic_model,
    &mc146818rtc_model,
    &pc_testdev_model,
    &pci_hotplug_model,
    &piix3_model,
    &piix_ide_model,
    &piix4_pm_model,
    &port92_model,
    &post_port_model,
    &pvpanic_model,
    &scsi_cd_model,
    &scsi_hd_model,
    &virtio_balloon_models[0], &virtio_balloon_models[1], &virtio_balloon_models[2],
    &virtio_blk_models[0], &virtio_blk_models[1], &virtio_blk_models[2],
    &virtio_net_models[0], &virtio_net_models[1], &virtio_net_models[2],
    &virtio_rng_models[0], &virtio_rng_models[1], &virtio_rng_models[2],
    &virtio_scsi_models[0], &virtio_scsi_models[1], &virtio_scsi_models[2],
    &virtio_serial_models[0], &virtio_serial_models[1], &virtio_serial_models[2],
    &virtconsole_model,
    &virtserialport_model,
    NULL,
};
