/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pc.c - the board: what its firmware is told of the configuration, and when */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/chipset/fw_cfg.h"
#include "tests/rig/rig.h"
#include <string.h>

static bool tables_have(Rig *rig, const char *name)
{
    const GByteArray *tables = fw_cfg_file((FwCfg *)rig_device(rig, "fw_cfg_io"), "etc/acpi/tables");

    return memmem(tables->data, tables->len, name, 4) != NULL;
}

static void plain_tables(Rig *rig)
{
    check(tables_have(rig, "_S3_") && tables_have(rig, "_S4_") && tables_have(rig, "_S5_"));
    check(!tables_have(rig, "PEVT"));
}

static Value *no_sleep(void)
{
    return json_parse("{'globals':[{'driver':'PIIX4_PM','property':'disable_s3','value':'1'},"
                      "{'driver':'PIIX4_PM','property':'disable_s4','value':'1'}]}", NULL);
}

static void sleep_states_that_are_not_there(Rig *rig)
{
    check(!tables_have(rig, "_S3_") && !tables_have(rig, "_S4_") && tables_have(rig, "_S5_"));
}

static Value *panic_port(void)
{
    return json_parse("{'devices':[{'driver':'pvpanic'}],'globals':[{'driver':'pvpanic','property':'ioport','value':'0x606'}]}", NULL);
}

static void tables_name_the_panic_port(Rig *rig)
{
    const GByteArray *tables = fw_cfg_file((FwCfg *)rig_device(rig, "fw_cfg_io"), "etc/acpi/tables");
    static const uint8_t io[] = { 0x47, 0x01, 0x06, 0x06, 0x06, 0x06, 0x01, 0x01 };      /* 606h, one port */

    check(tables_have(rig, "PEVT"));
    check(memmem(tables->data, tables->len, io, sizeof io) != NULL);
    check_eq(rig_inb(rig, 0x606), 3);
}

static uint8_t boot_order(Rig *rig)
{
    rig_outb(rig, 0x70, 0x3d);
    return rig_inb(rig, 0x71);
}

static void once_is_once(Rig *rig)
{
    check_eq(boot_order(rig), 3);
    machine_reset_now(rig_machine(rig), CAUSE_HOST_QMP_SYSTEM_RESET);      /* nothing has run yet */
    check_eq(boot_order(rig), 3);
    machine_start(rig_machine(rig));
    check_eq(boot_order(rig), 3);
    machine_reset_now(rig_machine(rig), CAUSE_GUEST_RESET);
    check_eq(boot_order(rig), 2);
    machine_reset_now(rig_machine(rig), CAUSE_GUEST_RESET);
    check_eq(boot_order(rig), 2);
}

const Test pc_tests[] = {
    { "sleep states, and no panic port, in the tables", plain_tables, .board = "pc", .runs = FRESH },
    { "sleep states that are not there", sleep_states_that_are_not_there, .board = "pc", .runs = FRESH, .settings = no_sleep },
    { "a panic port in the tables", tables_name_the_panic_port, .board = "pc", .runs = FRESH | RESTORED, .settings = panic_port },
    { "-boot once= is for the first boot", once_is_once, .board = "pc", .runs = FRESH, .config = "boot.once=d boot.order=c" },
    { NULL }
};
