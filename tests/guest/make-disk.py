#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that boots by its boot record: make-disk.py BOOT.IMG CORE.IMG FILE-SYSTEM OUTPUT.

GRUB's boot sector loads the sector behind it (its own default), which loads the rest of core.img in the gap before the first
partition; that one begins at 1 MiB and is active. The file is sparse."""
import struct
import sys

boot_path, core_path, system_path, out_path = sys.argv[1:]
SECTOR, FIRST, ENTRIES, SIGNATURE, TYPE_LINUX = 512, 2048, 446, 510, 0x83
NO_CHS = b"\xfe\xff\xff"
boot, core = open(boot_path, "rb").read(), open(core_path, "rb").read()
if len(boot) != SECTOR or len(core) > (FIRST - 1) * SECTOR:
    sys.exit(f"make-disk: boot.img has {len(boot)} bytes, core.img {len(core)}: they do not fit before the first partition")
with open(system_path, "rb") as system, open(out_path, "wb") as out:
    size = system.seek(0, 2)
    system.seek(0)
    record = bytearray(boot)
    record[ENTRIES:SIGNATURE] = bytes(64)
    record[ENTRIES:ENTRIES + 16] = struct.pack("<B3sB3sII", 0x80, NO_CHS, TYPE_LINUX, NO_CHS, FIRST, size // SECTOR)
    record[SIGNATURE:] = b"\x55\xaa"
    out.write(record)
    out.write(core)
    out.seek(FIRST * SECTOR)
    while block := system.read(1 << 20):
        if block.count(0) == len(block):
            out.seek(len(block), 1)
        else:
            out.write(block)
    out.truncate(FIRST * SECTOR + size)
