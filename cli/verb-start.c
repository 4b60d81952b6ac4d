/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-start.c - start, create: a VM from a domain file, in the background
 *
 * The VM is this executable once more, with -daemonize: it is listed when its parent ends, so the verb knows how it went.
 *
 * Tests    tests/verbs/define.py
 */
#include "cli/verb-define.h"
#include "cli/verb-list.h"
#include "cli/xml.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Start {
    Verb common;
    bool console, paused, autodestroy, accepted;
    GPtrArray *pools, *networks;
} Start;

#define START_OPTIONS                                                                                                              \
    OPTION_FLAG(0, "console", Start, console, "go on with its console"),                                                           \
    OPTION_FLAG(0, "paused", Start, paused, "with its processors stopped"),                                                        \
    OPTION_FLAG(0, "autodestroy", Start, autodestroy, "refused: a verb has no connection that ends; see -run-with exit-with-parent=on"), \
    OPTION_TEXTS(0, "pool", "NAME=DIRECTORY", Start, pools, "the storage pool NAME is this directory"),                            \
    OPTION_TEXTS(0, "network", "NAME=user|none|bridge:INTERFACE", Start, networks, "what a card in the network NAME is connected to"), \
    OPTION_FLAG(0, "reset-nvram", Start, accepted, "accepted"), VERB_HELP, VERB_OPTIONS_END

static const ToolOption start_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "bypass-cache", Start, accepted, "accepted"), OPTION_FLAG(0, "force-boot", Start, accepted, "accepted"), START_OPTIONS };
static const ToolOption create_options[] = {
    OPTION_FLAG(0, "validate", Start, accepted, "accepted: what is not understood is refused in any case"), START_OPTIONS };

static void add_each(GPtrArray *argv, const char *option, const GPtrArray *texts)
{
    for (guint i = 0; texts && i < texts->len; i++) {
        g_ptr_array_add(argv, (char *)option);
        g_ptr_array_add(argv, texts->pdata[i]);
    }
}

/* Options of the command line win over the file's. */
static bool start_vm(const Start *start, const char *file, int more, char **words, GError **err)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    static const char *const first[] = { "roost", "run" };
    pid_t child;
    int status;

    for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
        g_ptr_array_add(argv, (char *)first[i]);
    }
    add_each(argv, "-pool", start->pools);
    add_each(argv, "-network", start->networks);
    g_ptr_array_add(argv, (char *)file);
    g_ptr_array_add(argv, (char *)"-daemonize");
    if (start->paused) {
        g_ptr_array_add(argv, (char *)"-S");
    }
    for (int i = 0; i < more; i++) {
        g_ptr_array_add(argv, words[i]);
    }
    g_ptr_array_add(argv, NULL);
    fflush(NULL);
    int failed = posix_spawn(&child, "/proc/self/exe", NULL, NULL, (char **)argv->pdata, environ);
    if (failed) {
        return fail(err, failed, "cannot start a process: %s", g_strerror(failed));
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) || fail(err, EIO, "the VM did not start; what it said stands above, and in 'roost log'");
}

static bool check_start(const Start *start, GError **err)
{
    return !start->autodestroy ||
           fail(err, ENOTSUP, "--autodestroy: a verb has no connection that ends; 'roost run FILE -run-with exit-with-parent=on' ends with its parent");
}

static int go_on_with_console(const Start *start, const char *name)
{
    char *argv[] = { (char *)"console", (char *)"--domain", (char *)name, NULL };

    fflush(stdout);
    return start->console ? verb_main(&verb_console, 3, argv) : 0;
}

/* Two that start the same one at once: the second finds that it runs. */
static int lock_definition(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

static bool start_defined(Verb *verb, const VmEntry *vm, GError **err)
{
    g_autofree char *path = definition_path(vm->name);
    int lock = lock_definition(path);
    g_autoptr(VmEntry) now = verb_any(verb, err);
    bool done = now && (!now->pid || fail(err, EBUSY, "Domain is already active"));

    if (done && !start_vm((const Start *)verb, path, verb->count, verb->operands, err)) {
        g_prefix_error(err, "Failed to start domain '%s': ", vm->name);
        done = false;
    }
    if (lock >= 0) {
        close(lock);
    }
    return done;
}

static int start(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = check_start((const Start *)verb, err) ? verb_any(verb, err) : NULL;

    if (!vm || !start_defined(verb, vm, err)) {
        return 1;
    }
    g_autofree char *shown = verb_printable(verb->domain);
    printf("Domain '%s' started\n", shown);
    return go_on_with_console((const Start *)verb, vm->name);
}

static bool runs_already(const char *name, const char *uuid, GError **err)
{
    g_autoptr(GPtrArray) vms = vm_entries(err);

    for (guint i = 0; vms && i < vms->len; i++) {
        const VmEntry *vm = vms->pdata[i];
        if (strcmp(vm->name, name) == 0 || (uuid && g_ascii_strcasecmp(vm->uuid, uuid) == 0)) {
            fail(err, EEXIST, "operation failed: domain '%s' already exists with uuid %s", vm->name, vm->uuid);
            return true;
        }
    }
    return !vms;
}

static int create(Verb *verb, GError **err)
{
    const char *file = verb->operands[0];
    g_autofree char *name = NULL, *uuid = NULL, *path = g_canonicalize_filename(file, NULL);
    bool done = check_start((const Start *)verb, err) && xml_identify(file, &name, &uuid, err) &&
                (name || fail(err, EINVAL, "%s: <domain>: a <name> is missing", file)) &&
                (xml_is_domain_file(path) || fail(err, EINVAL, "%s: the name of a domain file ends in .xml", file)) &&
                !runs_already(name, uuid, err) && start_vm((const Start *)verb, path, verb->count - 1, verb->operands + 1, err);

    if (!done) {
        g_prefix_error(err, "Failed to create domain from %s: ", file);
        return 1;
    }
    g_autofree char *shown = verb_printable(name);
    printf("Domain '%s' created from %s\n", shown, file);
    return go_on_with_console((const Start *)verb, name);
}

const VerbSpec verb_start = { "start", "[-- OPTION...]", 0, -1, VERB_ONE_VM, .help = "start a defined VM; options of the command line may follow",
                              .options = start_options, .size = sizeof(Start), .run = start, .completes = "inactive" };
const VerbSpec verb_create = { "create", "FILE [-- OPTION...]", 1, -1, VERB_NO_VM, .help = "start a VM from a domain file, in the background",
                               .options = create_options, .size = sizeof(Start), .run = create, .completes = "file" };
