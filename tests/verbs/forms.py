#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The forms of virsh's output, kept beside what virsh's own test driver prints where it is installed. Usage: forms.py ROOST"""
import atexit
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import VIRSH, Skip, Vm, case, check, main, roost

# The test driver has one running VM of this name, number and uuid.
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def virsh(*args):
    if not VIRSH:
        raise Skip("virsh (libvirt-clients) is not installed")
    return subprocess.run([VIRSH, "-c", "test:///default", *args], capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})


def shape(text):
    """Words of a VM become kinds of words; blanks and lines count."""
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID", text)
    text = re.sub(r"\d+\.\d+s", "SECONDS", text).replace("i686", "x86_64")
    return re.sub(r"\b\d+\b", "N", text)


# As long as the test driver's /guest/diskimage1, for the columns' sake.
DISK = tempfile.mkstemp(prefix="rstd", dir="/tmp")[1]
assert len(DISK) == 17, DISK
atexit.register(os.unlink, DISK)
with open(DISK, "wb") as made:
    made.truncate(1099506450432)


def same(*args, status=0, ignore=()):
    @case("virsh " + " ".join(args))
    def _():
        theirs = virsh(*args)
        with Vm("test", "-uuid", UUID, "-smp", "2", "-drive", f"file={DISK},format=raw,if=virtio") as vm:
            roost("resume", "test")
            ours = roost(*[vm.id if a == "1" else a for a in args])
        check(theirs.returncode == ours.status == status, f"{theirs}\n{ours}")
        left, right = ([line for line in shape(text.replace("/guest/diskimage1", "DISK").replace(DISK, "DISK")).split("\n") if line.split(":")[0] not in ignore] for text in (theirs.stdout, ours.out))
        check(left == right, f"virsh: {left}\nroost: {right}")


for args in (("list",), ("list", "--all"), ("list", "--name"), ("list", "--uuid"), ("list", "--id"), ("list", "--title"), ("list", "--name", "--uuid"),
             ("list", "--state-running"), ("list", "--state-shutoff"), ("list", "--inactive"), ("list", "--autostart"), ("list", "--with-snapshot"),
             ("domstate", "test"), ("domid", "test"), ("domuuid", "test"), ("domname", "1"), ("suspend", "test"), ("reset", "test"), ("shutdown", "test"),
             ("reboot", "test"), ("destroy", "test"), ("domblklist", "test"), ("domblklist", "test", "--details"), ("domblkinfo", "test", "vda"),
             ("domstats", "test", "--state")):
    same(*args)
same("nodeinfo")
same("dominfo", "test", ignore=("OS Type", "Security model", "Security DOI", "Security label", "Persistent", "Max memory", "Used memory"))
for args in (("resume", "test"), ("dominfo", "nosuch"), ("suspend",), ("list", "--nosuch"), ("domstate", "test", "more")):
    same(*args, status=1)

main()
