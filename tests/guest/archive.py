# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of ours beside what is in a guest's initial ram disk: a second archive behind the first."""


def member(name, mode, data):
    fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def with_tool(path, initrd, name, tool):
    """Writes to path what is in initrd, and tool as /name."""
    with open(initrd, "rb") as file:
        data = file.read()
    with open(tool, "rb") as file:
        data += b"\0" * (-len(data) % 4) + member(name, 0o100755, file.read()) + member("TRAILER!!!", 0, b"")
    with open(path, "wb") as file:
        file.write(data)
