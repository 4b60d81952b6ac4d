#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux with a virtio disk, random numbers and a balloon: virtio.py ROOST GUESTS-FOLDER CASE... (no case: their names).

What the drivers negotiated, writes whose checksum the host finds in the image, discards that reach it."""
import hashlib
import os
import re
import shutil
import sys
import tempfile

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MEGABYTE = 1 << 20
PROMPT = r"/ # "
# case: arguments, properties of the data disk
CASES = {
    "modern": ([], "disable-legacy=on"),
    "legacy": ([], "disable-modern=on"),
    "iothread-smp2": (["-smp", "2", "-object", "iothread,id=io"], "iothread=io"),
    "slow-ways": ([], "ioeventfd=off,vectors=0,event_idx=off,indirect_desc=off"),
}


def run(case):
    if not os.path.exists(f"{guests}/disk.img"):
        raise console.Skip("disk.img missing: run tests/guests")
    more, properties = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(f"{guests}/disk.img", f"{folder}/root.img")
        with open(f"{folder}/data.img", "wb") as file:
            file.truncate(64 * MEGABYTE)
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot", *more,
                   "-drive", f"if=none,id=root,format=raw,file={folder}/root.img", "-device", "virtio-blk-pci,drive=root,bootindex=0,addr=5",
                   "-drive", f"if=none,id=data,format=raw,file={folder}/data.img,discard=unmap", "-device",
                   f"virtio-blk-pci,drive=data,serial=ROOST57,addr=6,{properties}",
                   "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci,free-page-reporting=on"]
        script = [
            (r"ROOST-GUEST root: /dev/vda1.*" + PROMPT, "echo who $(cat /sys/block/vdb/serial /sys/block/vdb/cache_type) "
             "$(cat /sys/class/misc/hw_random/rng_current) drivers $(ls /sys/bus/virtio/drivers)\n"),
            (r"\nwho ROOST57 ?write back virtio_rng.0 drivers [^\n]*virtio_balloon[^\n]*virtio_blk.*" + PROMPT,
             "dd if=/dev/urandom of=/dev/vdb bs=64k count=256 conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches; "
             "echo sum $(dd if=/dev/vdb bs=64k count=128 2>/dev/null | sha256sum)\n"),
            (r"\nsum [0-9a-f]{64} .*" + PROMPT, "blkdiscard -o 8388608 -l 8388608 /dev/vdb; echo discarded $?; dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c\n"),
            (r"\ndiscarded 0\r?\n\r?64\r?.*" + PROMPT, "poweroff -f\n"),
        ]
        outcome = console.follow(command, script, 200)
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        told = re.search(r"\nsum ([0-9a-f]{64}) ", outcome.console).group(1)
        with open(f"{folder}/data.img", "rb") as file:
            kept, discarded = file.read(8 * MEGABYTE), file.read(8 * MEGABYTE)
        assert hashlib.sha256(kept).hexdigest() == told, "what the guest wrote is not in the image"
        assert discarded.count(0) == len(discarded), "the discarded half is still there"
        held = os.stat(f"{folder}/data.img").st_blocks * 512
        assert held < 12 * MEGABYTE, f"after the discard the image still holds {held} bytes"
        return f"{outcome.took:.1f} s"


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([("Linux on virtio, " + name, lambda name=name: run(name)) for name in names])
