/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - the one option table: every spelling, where it lands in the tree, and its help
 *
 * -help, "roost help options" and the tests walk this table. What other programs take and this one does not yet is in
 * unknown.c.
 *
 * Tests    tests/cli/options.py (walks the table)
 */
#include "block/drive.h"
#include "cli/keyval.h"
#include "cli/verb.h"
#include "cli/xml.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SAYING_MOST = 300 };

#define HEADING(text) { .help = (text) }

const Option run_options[] = {
    HEADING("Standard options"),
    { "h", NULL, NULL, "the same as -help", opt_help },
    { "help", NULL, NULL, "print this list", opt_help },
    { "version", NULL, NULL, "print the version", opt_version },
    { "machine", "machine", "[type=]NAME[,KEY=VALUE,...]",
      "the machine to be; '-machine help' lists them (default: pc)\n"
      "accel=A[:B...] accelerators in order of preference\n"
      "kernel-irqchip=on|off|split where interrupt controllers live under KVM\n"
      "acpi, hpet, graphics, dump-guest-core, mem-merge, ... =on|off; '-machine NAME,help' lists all", opt_machine, machine_keys, .lists = true },
    { "M", "machine", "[type=]NAME[,KEY=VALUE,...]", "the same as -machine", opt_machine, machine_keys, .lists = true },
    { "accel", "accel[]", "[accel=]NAME[,KEY=VALUE,...]",
      "what runs the processors: kvm, tcg (the software CPU) or qtest; given several times, the first that works\n"
      "(default: kvm where it is usable and the processor has vmx or svm, else tcg)", opt_accel, accel_keys, .lists = true },
    { "enable-kvm", "accel[]", NULL, "the same as -accel kvm", opt_enable_kvm },
    { "cpu", "cpu", "MODEL[,FEATURE=on|off|,+FEATURE|,-FEATURE,...]", "processor model; '-cpu help' lists them", opt_cpu },
    { "smp", "smp", "[[cpus=]N][,maxcpus=N][,sockets=N][,dies=N][,cores=N][,threads=N]",
      "number of processors and how they are arranged (default: 1); what is left out follows from the rest", opt_smp, smp_keys },
    { "m", "memory", "[size=]SIZE[,slots=N,maxmem=SIZE]", "guest memory; a bare number is in MiB (default: 128)", opt_memory, memory_keys },
    { "boot", "boot", "[order=LETTERS][,once=LETTERS][,menu=on|off][,splash=FILE][,splash-time=MS][,reboot-timeout=MS][,strict=on|off]",
      "what the firmware boots from: a and b floppies, c disk, d CD, n network", opt_boot, boot_keys },
    { "device", "devices[]", "MODEL[,KEY=VALUE,...]",
      "add a device; '-device help' lists models, '-device MODEL,help' its properties;\n"
      "a JSON object is taken as well", opt_device },
    { "global", "globals[]", "MODEL.PROPERTY=VALUE", "set a property of every device of a model; also driver=,property=,value=", opt_global, global_keys },
    { "name", "name", "[guest=]NAME[,process=NAME][,debug-threads=on|off]", "name of the guest, and of the process", opt_name, name_keys },
    { "uuid", "uuid", "UUID", "identity of the guest, as 8-4-4-4-12 hexadecimal digits", opt_uuid },

    HEADING("Block device options"),
    { "blockdev", "blockdevs[]", "[driver=]DRIVER,node-name=NAME[,KEY=VALUE,...]",
      "a node of the block graph: file, host_device, nbd, raw, qcow2, throttle, ...; a JSON object is taken as well;\n"
      "'-blockdev help' lists the drivers, '-blockdev DRIVER,help' the keys", opt_blockdev },
    { "drive", "drives[]", "[file=FILE][,format=FORMAT][,if=ide|virtio|floppy|none][,index=N][,media=disk|cdrom][,cache=MODE][,KEY=VALUE,...]",
      "a disk, CD or floppy image and its drive; file=FILE,format=qcow2,if=virtio is the usual disk", opt_drive, drive_keys },
    { "snapshot", "drives[*].snapshot=on", NULL, "keep what is written to disks in temporary files", opt_snapshot },
    { "cdrom", "drives[]", "FILE", "FILE as the CD in the third IDE drive", opt_drive_at },
    { "fda", "drives[]", "FILE", "FILE as the first floppy disk; so does -fdb for the second", opt_drive_at },
    { "fdb", "drives[]", "FILE", "the second floppy disk", opt_drive_at },
    { "hda", "drives[]", "FILE", "FILE as the first IDE disk; so do -hdb, -hdc and -hdd for the other three", opt_drive_at },
    { "hdb", "drives[]", "FILE", "the second IDE disk", opt_drive_at },
    { "hdc", "drives[]", "FILE", "the third IDE disk", opt_drive_at },
    { "hdd", "drives[]", "FILE", "the fourth IDE disk", opt_drive_at },

    HEADING("Display options"),
    { "nographic", NULL, NULL, "no display: serial port and monitor share the terminal; Ctrl-A h tells the keys", opt_nographic },
    { "display", "vncs[]", "none|vnc=WHERE[,KEY=VALUE,...]", "no window, or a VNC server as -vnc has it", opt_display },
    { "vga", "vga", "std|none", "the display adapter; default: std where -vnc is given, else none", opt_vga },
    { "vnc", "vncs[]", "[HOST]:DISPLAY|unix:PATH|none[,KEY=VALUE,...]", "a VNC server for the machine's screen", opt_vnc, vnc_keys },

    HEADING("Options for PCs"),
    { "no-acpi", "no-acpi", NULL, "no ACPI tables", NULL },
    { "no-hpet", "no-hpet", NULL, "no high precision event timer", NULL },
    { "smbios", "smbios[]", "file=FILE | type=N[,KEY=VALUE,...]", "SMBIOS structures or fields of them", opt_smbios },

    HEADING("Network options"),
    { "netdev", "netdevs[]", "BACKEND,id=NAME[,KEY=VALUE,...]",
      "a network for a card; '-netdev help' lists the backends, '-netdev BACKEND,help' its keys", opt_netdev },
    { "nic", "netdevs[]", "none | BACKEND[,model=MODEL][,mac=ADDRESS][,KEY=VALUE,...]", "a card and its network in one; none: no card", opt_nic },
    { "net", "netdevs[]", "none | nic[,model=MODEL][,macaddr=ADDRESS] | BACKEND[,KEY=VALUE,...]", "the old spelling: a card, and its network, apart", opt_net },

    HEADING("Character device options"),
    { "chardev", "chardevs[]", "BACKEND,id=NAME[,KEY=VALUE,...]",
      "a stream for a port or monitor; '-chardev help' lists the backends, '-chardev BACKEND,help' its keys", opt_chardev },

    HEADING("Kernel and firmware"),
    { "bios", "boot.firmware", "FILE", "firmware instead of the built-in SeaBIOS", NULL },
    { "kernel", "boot.kernel", "FILE", "a Linux, PVH or multiboot kernel to start directly", NULL },
    { "append", "boot.append", "TEXT", "the kernel's command line", NULL },
    { "initrd", "boot.initrd", "FILE", "the kernel's initial RAM disk, or its multiboot modules", NULL },
    { "L", "firmware-path[]", "DIRECTORY", "where firmware is looked for first; '-L help' lists the places", opt_firmware_path },

    HEADING("Debug and expert options"),
    { "fw_cfg", "fw_cfg[]", "[name=]NAME,file=FILE|string=TEXT", "a file for the guest, by the fw_cfg device", opt_fw_cfg, fw_cfg_keys },
    { "serial", "serials[]", "STREAM",
      "a serial port on STREAM: none, null, stdio, mon:stdio, pty, file:PATH, pipe:PATH,\n"
      "unix:PATH[,server=on][,wait=off], tcp:HOST:PORT[,server=on][,wait=off], chardev:ID; up to four times", opt_serial },
    { "parallel", NULL, "none", "no parallel port", opt_parallel },
    { "monitor", "monitors[]", "STREAM", "a monitor for people on STREAM, written as for -serial; none: no monitor", opt_monitor },
    { "qmp", "monitors[]", "STREAM", "a QMP session on STREAM, as unix:PATH,server=on,wait=off", opt_qmp },
    { "qmp-pretty", "monitors[]", "STREAM", "the same with indented replies", opt_qmp },
    { "mon", "monitors[]", "[chardev=]ID[,mode=readline|control][,pretty=on|off][,id=NAME]", "a monitor for people, or a QMP session, on a -chardev", opt_mon, mon_keys },
    { "add-fd", NULL, "fd=FD,set=N[,opaque=TEXT]", "put an inherited descriptor into set N, which /dev/fdset/N opens", opt_add_fd, add_fd_keys },
    { "debugcon", "debugcon", "STREAM", "a debug console at port e9h on STREAM, written as for -serial", opt_debugcon },
    { "pidfile", "pidfile", "FILE", "write the process id to FILE, lock it, and remove it at the end", NULL },
    { "object", "objects[]", "[qom-type=]TYPE,id=NAME[,KEY=VALUE,...]",
      "something that devices and drives name by its id: iothread, secret, ...; '-object help' lists the types, '-object TYPE,help' the keys",
      opt_object },
    { "S", "run.paused", NULL, "start with the processors stopped", NULL },
    { "overcommit", "overcommit", "[mem-lock=on|off][,cpu-pm=on|off]", "keep guest memory in RAM; let the guest idle the processor itself", opt_overcommit, overcommit_keys },
    { "d", "log", "ITEM,...", "log these items; '-d help' lists them", opt_log },
    { "D", "log-file", "FILE", "where the log goes (default: standard error)", NULL },
    { "no-reboot", "run.no-reboot", NULL, "end where the guest would reboot", NULL },
    { "no-shutdown", "run.no-shutdown", NULL, "stop where the guest would power off", NULL },
    { "action", "action", "reboot=reset|shutdown | shutdown=poweroff|pause | panic=pause|shutdown|exit-failure|none | watchdog=...",
      "what follows when the guest does that", opt_action, action_keys },
    { "daemonize", "daemonize", NULL, "go to the background once the machine is built", NULL },
    { "rtc", "rtc", "[base=utc|localtime|DATE][,clock=host|rt|vm][,driftfix=none|slew]", "the real-time clock", opt_rtc, rtc_keys },
    { "echr", NULL, "CODE", "escape key of the terminal instead of Ctrl-A: a character code", opt_echr },
    { "nodefaults", "nodefaults", NULL, "no device that was not asked for", NULL },
    { "no-user-config", NULL, NULL, "accepted: there are no configuration files that nobody asked for", opt_nothing },
    { "readconfig", NULL, "FILE", "read options from FILE: [drive], [device \"ID\"], ... with KEY = \"VALUE\" lines", opt_readconfig },
    { "runas", "runas", "USER | UID:GID", "become this user once the machine is built", opt_runas },
    { "run-with", "run-with", "[exit-with-parent=on|off][,async-teardown=on|off]", "end when the process that started this one has ended", opt_run_with, run_with_keys },
    { "sandbox", "sandbox", "on|off[,obsolete=allow|deny][,elevateprivileges=allow|deny|children][,spawn=allow|deny][,resourcecontrol=allow|deny]",
      "allow only the system calls that a running guest needs", opt_sandbox, sandbox_keys },
    { "msg", "msg", "[timestamp=on|off][,guest-name=on|off]", "what goes before messages", opt_msg, msg_keys },
    { "trace", "trace[]", "[[enable=]PATTERN][,events=FILE][,file=FILE]", "trace points to record; '-trace help' lists them", opt_trace, trace_keys, .lists = true },
    { "qtest", "qtest", "STREAM", "a test session on STREAM, written as for -serial", opt_qtest },
    { "qtest-log", "qtest-log", "FILE", "record of the test session", NULL },

    HEADING("Roost's own"),
    { "pool", NULL, "NAME=DIRECTORY", "the storage pool NAME of a domain file is this directory", opt_pool, .early = true },
    { "network", NULL, "NAME=user|none|bridge:INTERFACE", "what a card in the network NAME of a domain file is connected to", opt_network, .early = true },
    { "domain-xml", "domain-xml[]", "ELEMENT", "an element of a domain file that changes nothing and is kept: <title>, <metadata>, ...", opt_domain_xml },
    { "run-timeout", "timeout", "SECONDS", "end with status 124 when the guest still runs after that time", opt_run_timeout },
    { "list-as", "list-as", "NAME", "be in 'roost list' under NAME, as under the name that -name gives; none: not at all", opt_list_as },
    { "print-config", NULL, NULL, "print the configuration that the options make, and end", opt_print_config },
    { NULL } };

static bool is_end(const Option *option)
{
    return !option->name && !option->help;
}

const Option *option_find(const char *name)
{
    for (const Option *option = run_options; !is_end(option); option++) {
        if (option->name && strcmp(option->name, name) == 0) {
            return option;
        }
    }
    return NULL;
}

bool option_apply(Config *config, const Option *option, const char *text, GError **err)
{
    if (!option->apply) {
        Value *value = text ? value_new_string(text) : value_new_bool(true);
        return value_path_set(config->tree, option->path, value, err);
    }
    if (option->keys && option_wants_help(text) && (!option->lists || strchr(text, ','))) {
        printf("%s options:\n", option->name);
        keyval_print_keys(option->keys);
        return config_show(config);
    }
    char *outer = config->saying;          /* -readconfig applies others */
    config->saying = config->origin ? g_strdup(config->origin) :
                     g_strdup_printf("-%s%s%.*s%s", option->name, text ? " " : "", SAYING_MOST, text ? text : "",
                                     text && strlen(text) > SAYING_MOST ? "..." : "");
    bool done = option->apply(config, option, text, err);
    if (!done && err && *err && !g_str_has_prefix((*err)->message, config->saying)) {
        g_prefix_error(err, "%s: ", config->saying);
    }
    g_free(config->saying);
    config->saying = outer;
    return done;
}

void options_print_help(void)
{
    printf("usage: roost [run] [options] [disk image | libvirt domain FILE.xml]\n"
           "       roost xml2argv FILE         the options that a domain file means\n"
           "       roost argv2xml OPTIONS...   the domain file that options mean\n"
           "       roost img COMMAND ...       disk images; roost img --help\n"
           "       roost io [options] [image]  requests to one; roost io --help\n"
           "       roost VERB [DOMAIN] ...     running VMs: list, suspend, destroy, ...; roost help verbs\n"
           "       roost help [options|devices|machines|chardevs|cpus|qmp|verbs|xml|manual]\n\n"
           "One or two dashes may begin an option. ',,' stands for a comma inside a value.\n");
    for (const Option *option = run_options; !is_end(option); option++) {
        if (!option->name) {
            printf("\n%s:\n", option->help);
            continue;
        }
        g_auto(GStrv) lines = g_strsplit(option->help, "\n", -1);
        g_autofree char *spelling = g_strdup_printf("-%s %s", option->name, option->argument ? option->argument : "");
        bool fits = strlen(spelling) < 16;
        printf("%-15s%s%s\n", spelling, fits ? " " : "\n                ", lines[0]);
        for (char **line = lines + 1; *line; line++) {
            printf("                %s\n", *line);
        }
    }
    printf("\nThe exit status says how it ended: 0 the guest powered off, 1 the command line could not be carried out; "
           "docs/exit-status.md lists all.\n");
}

void options_print_table(void)
{
    for (const Option *option = run_options; !is_end(option); option++) {
        if (option->name) {
            printf("-%s\t%s\t%s\n", option->name, option->argument ? option->argument : "", option->path ? option->path : "");
        }
    }
}

Value *config_object(Config *config, const char *name)
{
    if (!value_get(config->tree, name)) {
        value_set(config->tree, name, value_new_object());
    }
    return value_get(config->tree, name);
}

Value *config_list(Config *config, const char *name)
{
    if (!value_get(config->tree, name)) {
        value_set(config->tree, name, value_new_list());
    }
    return value_get(config->tree, name);
}

bool config_show(Config *config)
{
    config->shown = true;
    return true;
}

void config_clear(Config *config)
{
    g_clear_pointer(&config->pools, g_ptr_array_unref);
    g_clear_pointer(&config->networks, g_ptr_array_unref);
    value_unref(config->tree);
    config->tree = NULL;
}

static const char *option_name(const char *word)
{
    return word[0] != '-' || word[1] == '\0' ? NULL : word + (word[1] == '-' ? 2 : 1);
}

/* The file is the ground that all other options stand on, wherever it is among them. */
static bool read_domain(Config *config, int argc, char **argv, GError **err)
{
    for (int at = 0; at < argc; at++) {
        const char *name = option_name(argv[at]);
        const Option *option = name ? option_find(name) : NULL;
        if (!name && xml_is_domain_file(argv[at])) {
            if (config->domain) {
                return fail(err, EINVAL, "%s and %s: a run has one domain file", config->domain, argv[at]);
            }
            config->domain = argv[at];
        }
        if (option && option->argument && ++at < argc && option->early && !option_apply(config, option, argv[at], err)) {
            return false;
        }
    }
    if (!config->domain) {
        return (!config->pools && !config->networks) || fail(err, EINVAL, "-pool and -network tell about a domain file: roost run FILE.xml");
    }
    return xml_apply(config, config->domain, err);
}

/* Lists to which an option would only add: the domain's are dropped when the command line says it. */
static void replace_domain(Config *config, const Option *option, const char *text)
{
    bool accel = option->path && (strcmp(option->path, "accel[]") == 0 || (strcmp(option->path, "machine") == 0 && text && strstr(text, "accel=")));

    if (config->domain_open && accel && !config->accel_given) {
        value_remove(config->tree, "accel");
        config->accel_given = true;
    }
    if (config->domain_open && option->path && strcmp(option->path, "smp") == 0 && !config->smp_given) {
        value_remove(config->tree, "smp");
        config->smp_given = true;
    }
}

/* "-m", "--m" or a bare word. */
static bool read_one(Config *config, char **argv, int *at, GError **err)
{
    const char *word = argv[*at], *name = option_name(word);

    if (!name) {
        return xml_is_domain_file(word) || drive_image(config, word, err);
    }
    const Option *option = option_find(name);
    if (!option) {
        option_unknown(name, err);
        return false;
    }
    const char *text = NULL;
    if (option->argument) {
        text = argv[*at + 1];
        if (!text) {
            return fail(err, EINVAL, "-%s: an argument is missing: %s", name, option->argument);
        }
        ++*at;
    }
    replace_domain(config, option, text);
    return option->early || option_apply(config, option, text, err);
}

bool config_read(Config *config, int argc, char **argv, GError **err)
{
    config->tree = value_new_object();
    if (!read_domain(config, argc, argv, err)) {
        return false;
    }
    for (int at = 0; at < argc && !config->shown; at++) {
        if (!read_one(config, argv, &at, err)) {
            return false;
        }
    }
    return config->shown || config_finish(config, err);
}
