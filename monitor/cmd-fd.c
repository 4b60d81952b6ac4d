/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-fd.c - file descriptors that a client sends over a UNIX socket: by name for one use, or in sets for /dev/fdset/N
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/fds.py
 */
#include "base/error.h"
#include "base/fdset.h"
#include "monitor/commands.h"
#include "monitor/session.h"
#include <errno.h>
#include <unistd.h>

static int received(Session *session, GError **err)
{
    int fd = session_receive_fd(session);

    if (fd < 0) {
        fail(err, EINVAL, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

QMP_HANDLER(getfd)
{
    const char *name = value_get_string(args, "fdname", "");
    int fd = received(session, err);

    if (fd < 0) {
        return NULL;
    }
    if (g_ascii_isdigit(*name)) {          /* a number is a descriptor that was inherited */
        fail(err, EINVAL, "Parameter 'fdname' expects a name not starting with a digit");
    } else if (!session_keep_fd(session, name, fd)) {
        fail(err, EMFILE, "There are too many named file descriptors; closefd gives one up");
    } else {
        return qmp_done();
    }
    close(fd);
    return NULL;
}

QMP_HANDLER(closefd)
{
    const char *name = value_get_string(args, "fdname", "");
    int fd = session_take_fd(session, name);

    if (fd < 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "File descriptor named '%s' not found", name);
    }
    close(fd);
    return qmp_done();
}

QMP_HANDLER(add_fd)
{
    int64_t wanted = value_get_int(args, "fdset-id", -1);
    int fd = received(session, err);

    if (fd < 0) {
        return NULL;
    }
    if (value_get(args, "fdset-id") && wanted < 0) {
        close(fd);
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'fdset-id' expects a non-negative value");
    }
    int64_t id = fdset_add(wanted, fd, value_get_string(args, "opaque", NULL), err);
    if (id < 0) {
        close(fd);
        return NULL;
    }
    Value *info = value_new_object();
    value_set(info, "fd", value_new_int(fd));
    value_set(info, "fdset-id", value_new_int(id));
    return info;
}

QMP_HANDLER(remove_fd)
{
    int64_t id = value_get_int(args, "fdset-id", -1), fd = value_get_int(args, "fd", -1);
    bool one = value_get(args, "fd") != NULL;

    if (id >= 0 && (!one || fd >= 0) && fdset_remove(id, fd)) {
        return qmp_done();
    }
    return one ? qmp_fail(err, QMP_GENERIC_ERROR, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT ", fd:%" G_GINT64_FORMAT "' not found", id, fd)
               : qmp_fail(err, QMP_GENERIC_ERROR, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT "' not found", id);
}

QMP_HANDLER(query_fdsets)
{
    return fdset_list();
}

const QmpType fd_types[] = {
    { "AddfdInfo", "struct fdset-id:int fd:int" },
    { "FdsetFdInfo", "struct fd:int ?opaque:str" },
    { "FdsetInfo", "struct fdset-id:int fds:[FdsetFdInfo]" },
    { .name = NULL } };

const QmpCommand fd_commands[] = {
    { "getfd", getfd, .args = "fdname:str", .help = "keeps the descriptor that came with the message under a name" },
    { "closefd", closefd, .args = "fdname:str", .help = "closes a descriptor that getfd kept" },
    { "add-fd", add_fd, .args = "?fdset-id:int ?opaque:str", .returns = "AddfdInfo",
      .help = "puts the descriptor that came with the message into a set; /dev/fdset/N opens what is in it" },
    { "remove-fd", remove_fd, .args = "fdset-id:int ?fd:int", .help = "takes one descriptor, or all, out of a set" },
    { "query-fdsets", query_fdsets, .returns = "[FdsetInfo]", .help = "the sets of descriptors" },
    { .name = NULL } };
