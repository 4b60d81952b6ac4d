#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux with SCSI disks and a CD-ROM drive behind virtio-scsi: scsi.py ROOST GUESTS-FOLDER SG-TOOL CASE... (no case: their names).

Disks are found by their addresses: Linux gives out names in any order. What the kernel found out about the units, writes with checksums, discards that reach the image, a disc that is ejected and loaded."""
import hashlib
import os
import shutil
import sys
import tempfile

import console

roost, guests, tool = (os.path.abspath(path) for path in sys.argv[1:4])
ADAPTERS = {
    "scsi": ["-device", "virtio-scsi-pci,id=s"],
    "scsi-iothread": ["-object", "iothread,id=io", "-device", "virtio-scsi-pci,id=s,iothread=io"],
    "scsi-legacy": ["-device", "virtio-scsi-pci,id=s,disable-modern=on,num_queues=1"],
}
MEGABYTE = 1 << 20
PROMPT = r"/ # "


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def make_images(folder):
    shutil.copyfile(f"{guests}/disk.img", f"{folder}/root.img")
    with open(f"{folder}/data.img", "wb") as file:
        file.truncate(64 * MEGABYTE)
    with open(f"{folder}/disc.iso", "wb") as file:
        file.write(os.urandom(3 * MEGABYTE))
    with open(tool, "rb") as source, open(f"{folder}/tool.img", "wb") as file:
        file.write(source.read())
        file.truncate(2 * MEGABYTE)


def command(folder, adapter):
    def drive(name, file, *more):
        return ["-drive", ",".join((f"if=none,id={name},format=raw,file={folder}/{file}", *more))]
    return [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
            *ADAPTERS[adapter],
            *drive("root", "root.img"), "-device", "scsi-hd,bus=s.0,drive=root,serial=ROOST7,bootindex=0",
            *drive("data", "data.img", "discard=unmap"), "-device",
            "scsi-hd,bus=s.0,drive=data,scsi-id=3,lun=2,logical_block_size=4096,physical_block_size=4096,rotation_rate=1,wwn=0x5000c50015ea71ac",
            *drive("disc", "disc.iso", "readonly=on"), "-device", "scsi-cd,bus=s.0,drive=disc,scsi-id=5",
            *drive("tool", "tool.img", "readonly=on"), "-device", "scsi-hd,bus=s.0,drive=tool,scsi-id=7"]


def run(adapter):
    if not os.path.exists(f"{guests}/disk.img"):
        raise console.Skip("disk.img missing: run tests/guests")
    with tempfile.TemporaryDirectory() as folder:
        make_images(folder)
        disc = sha256(f"{folder}/disc.iso")
        script = [
            (PROMPT, "disk() { ls /sys/class/scsi_device/0:0:$1/device/block; }; root=$(disk 0:0) data=$(disk 3:2) tool=$(disk 7:0)\n"),
            (PROMPT, "dd if=/dev/$tool of=/sg bs=64k 2>/dev/null; chmod 755 /sg; cd /sys/block/$data/queue; echo blocks $(cat logical_block_size "
                     "discard_granularity rotational write_cache); cd /\n"),
            (r"\nblocks 4096 4096 0 write back\r.*" + PROMPT, "echo who $(cat /sys/class/scsi_device/0:0:0:0/device/model) "
             "$(tail -c +5 /sys/class/scsi_device/0:0:0:0/device/vpd_pg80) $(cat /sys/class/scsi_device/0:0:3:2/device/wwid) "
             "$(cat /sys/class/scsi_device/0:0:5:0/device/model) $(cat /sys/block/$tool/ro)\n"),
            (r"\nwho QEMU HARDDISK ROOST7 naa.5000c50015ea71ac QEMU CD-ROM 1\r.*" + PROMPT,
             "dd if=/dev/urandom of=/r bs=64k count=256 2>/dev/null; dd if=/r of=/dev/$data bs=64k seek=16 2>/dev/null; sync; "
             "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/$data bs=64k skip=16 count=256 2>/dev/null | cmp - /r && echo same $?\n"),
            (r"\nsame 0\r.*" + PROMPT, "echo disc $(sha256sum /dev/sr0)\n"),
            (rf"\ndisc {disc} .*" + PROMPT, "/sg /dev/sr0 0 1b 0 0 0 2 0; /sg /dev/sr0 0 0 0 0 0 0 0; dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null || echo out $?\n"),
            (r"status 00 sense 0/00/00:.*status 02 sense 2/3a/02:.*\nout 1\r.*" + PROMPT,
             "/sg /dev/sr0 0 1b 0 0 0 3 0; sleep 1; echo disc $(sha256sum /dev/sr0); /sg /dev/$root 16 2f 0 0 0 0 0 0 0 8 0 && echo verified\n"),
            (rf"\ndisc {disc} .*\nverified\r.*" + PROMPT, "blkdiscard /dev/$data && echo discarded $?\n"),
            (r"\ndiscarded 0\r", "poweroff -f\n"),
        ]
        outcome = console.follow(command(folder, adapter), script, 200)
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        left = os.stat(f"{folder}/data.img").st_blocks * 512
        assert left < 8 * MEGABYTE, f"after the discard the image still holds {left} bytes"
        return f"{outcome.took:.1f} s"


names = sys.argv[4:]
if not names:
    print("\n".join(ADAPTERS))
    sys.exit(0)
console.report([("Linux on " + name, lambda name=name: run(name)) for name in names])
