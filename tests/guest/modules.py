#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs kernel modules for a guest: modules.py LIB-MODULES-FOLDER OUTPUT.cpio NAME...

The archive, which stands behind an initial RAM disk, holds /modules/NAME.ko and, for each name that was asked for, /modules/NAME.order: what to load, in
order. A name that the kernel has built in, or has not, has no order."""
import os
import re
import sys

from archive import member


def needs(data):
    found = re.search(rb"\0depends=([^\0]*)\0", data)
    return [name.decode().replace("-", "_") for name in found.group(1).split(b",") if name] if found else []


folder, output, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
files = {}
for where, _, names in os.walk(folder):
    files.update({name[:-3].replace("-", "_"): os.path.join(where, name) for name in names if name.endswith(".ko")})
data = {}


def load(name, order):
    if name in files and name not in order:
        if name not in data:
            with open(files[name], "rb") as file:
                data[name] = file.read()
        for other in needs(data[name]):
            load(other, order)
        order.append(name)


parts = [member("modules", 0o040755, b"")]
for name in wanted:
    order = []
    load(name.replace("-", "_"), order)
    if order:
        parts.append(member(f"modules/{name}.order", 0o100644, "".join(f"{n}.ko\n" for n in order).encode()))
parts += [member(f"modules/{name}.ko", 0o100644, content) for name, content in data.items()]
with open(output, "wb") as file:
    file.write(b"".join(parts) + member("TRAILER!!!", 0, b""))
