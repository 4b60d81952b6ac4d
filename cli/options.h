/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - the one option table, and the configuration it fills
 *
 * An option is a row: how it is written, where it lands in the tree, its help. A row without apply sets the tree's
 * member by itself: to its argument, or to true when it takes none. Sentences of apply() speak of the argument only:
 * "-NAME ARGUMENT: " is put before them.
 */
#pragma once
#include "base/error.h"
#include "base/field.h"

typedef struct Config {
    Value *tree;
    bool shown;                            /* help, or a list, was printed: there is nothing to run */
    bool print_config;
    char *const *arguments;                /* the command line, NULL-terminated */
    char *saying;                          /* the option being applied, as it was written: origin of what it adds */
    const char *origin;                    /* what says it, where that is not the command line: "srv.xml:12: <disk>" */
    const char *domain;                    /* the domain file among the words */
    bool domain_open;                      /* it was applied, and options beside it may replace what it said */
    bool accel_given, smp_given;           /* beside it */
    GPtrArray *pools, *networks;           /* "NAME=VALUE", NULL at the end; NULL when there are none */
    unsigned old_cards, old_backends;      /* -net nic, and -net with a backend */
    bool nographic, display_given, serial_given, monitor_given, snapshot;
} Config;

typedef struct Option Option;
struct Option {
    const char *name;                      /* without dashes; NULL: .help is a heading */
    const char *path;                      /* in the tree; NULL: acts on the program alone */
    const char *argument;                  /* NULL: it takes none */
    const char *help;                      /* lines */
    bool (*apply)(Config *config, const Option *option, const char *text, GError **err);
    const Field *keys;                     /* of the argument, listed when it asks for help; NULL: it has none, or apply() lists them */
    bool lists;                            /* "help" alone lists what can be named, by apply(); "NAME,help" the keys */
    bool early;                            /* applied before a domain file is read */
};

extern const Option run_options[];         /* ends with .name and .help NULL */
const Option *option_find(const char *name);               /* without dashes */
bool option_apply(Config *config, const Option *option, const char *text, GError **err);
/* Why a name is not an option here: known elsewhere and not supported yet, or a typing mistake with a suggestion. */
void option_unknown(const char *name, GError **err);
void options_print_help(void);             /* -help */
Value *options_describe(void);             /* query-command-line-options; the caller owns it */
void options_print_table(void);            /* "help options": a line per option, for programs */

/* Command line to tree. False and *err when something is wrong; config->shown when there is nothing left to do. */
bool config_read(Config *config, int argc, char **argv, GError **err);
bool config_finish(Config *config, GError **err);          /* what follows from several options together */
void config_clear(Config *config);

/* Helpers for the opt-*.c files. */
Value *config_object(Config *config, const char *name);    /* the top-level object, made when missing */
Value *config_list(Config *config, const char *name);
bool config_show(Config *config);                          /* marks that something was printed; true */
/* Adds a chardev written as -serial writes them; *id gets its id or NULL for "none". */
bool chardev_from_text(Config *config, const char *text, const char *id, char **out, GError **err);

typedef bool OptionApply(Config *config, const Option *option, const char *text, GError **err);
extern const Field machine_keys[], accel_keys[], smp_keys[], memory_keys[], boot_keys[], fw_cfg_keys[], global_keys[], blockdev_keys[],
                   name_keys[], rtc_keys[], action_keys[], sandbox_keys[], msg_keys[], overcommit_keys[], trace_keys[], run_with_keys[],
                   mon_keys[], add_fd_keys[];
const Field *smbios_keys(uint64_t type);   /* NULL: fields of that type cannot be given */

/* opt-machine.c */ OptionApply opt_machine, opt_accel, opt_enable_kvm, opt_cpu;
/* opt-smp.c */     OptionApply opt_smp;
bool smp_complete(Config *config, GError **err);
/* opt-memory.c */  OptionApply opt_memory;
bool memory_check(const Config *config, GError **err);
/* opt-boot.c */    OptionApply opt_boot, opt_fw_cfg, opt_smbios;
/* opt-chardev.c */ OptionApply opt_chardev, opt_serial, opt_parallel, opt_monitor, opt_qmp, opt_mon, opt_add_fd, opt_debugcon, opt_qtest, opt_echr;
bool chardev_defaults(Config *config, GError **err);
/* opt-device.c */  OptionApply opt_device, opt_global;
/* opt-drive.c */   OptionApply opt_drive, opt_drive_at, opt_snapshot;
bool drives_finish(Config *config, GError **err);
/* opt-vnc.c */ OptionApply opt_vnc, opt_display;
extern const Field vnc_keys[];
/* opt-netdev.c */ OptionApply opt_netdev, opt_nic, opt_net;
bool finish_networks(Config *config, GError **err);
/* opt-blockdev.c */ OptionApply opt_blockdev, opt_object;
void options_print_devices(void);
bool drive_image(Config *config, const char *path, GError **err);      /* the bare word on the command line */
/* opt-run.c */     OptionApply opt_name, opt_uuid, opt_rtc, opt_action, opt_sandbox, opt_msg, opt_overcommit, opt_runas,
                                opt_log, opt_trace, opt_firmware_path, opt_nographic, opt_vga, opt_only_none,
                                opt_run_timeout, opt_run_with, opt_list_as, opt_readconfig, opt_help, opt_version, opt_print_config, opt_nothing;
