#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt 9.0 says to QEMU 7.2 when virsh changes, asks and ends a running guest (libvirt-ops.json: command, arguments, recorded reply's shape or
error class, events before it; "cut": the recording has only the beginning). Each conversation runs against a machine with the same
disks; what QEMU answered and Roost does not, or otherwise, is explained in the tables below. Usage: ops.py ROOST"""
import json
import os
import socket
import subprocess
import tempfile

from qmp import ROOST, Failed, Vm, case, check, differences, main, shape

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libvirt-ops.json")) as file:
    RECORDED = json.load(file)

# An error where QEMU had none: command, what its arguments hold, why. A row that is not needed any more does no harm.
REFUSED = [
    ("query-migrate", "", "there is no migration yet"), ("migrate", "", "there is no migration yet"), ("migrate-incoming", "", "there is no migration yet"),
    ("migrate-set-capabilities", "", "there is no migration yet"), ("migrate-set-parameters", "", "there is no migration yet"),
    ("query-dirty-rate", "", "comes with migration"), ("calc-dirty-rate", "", "comes with migration"),
    ("block-commit", "", "block jobs come later"), ("block-stream", "", "block jobs come later"), ("blockdev-mirror", "", "block jobs come later"),
    ("block-job-cancel", "", "block jobs come later"), ("job-complete", "", "block jobs come later"), ("query-block-jobs", "", "block jobs come later"),
    ("job-dismiss", "commit-", "its job was refused"), ("job-dismiss", "copy-", "its job was refused"), ("job-dismiss", "pull-", "its job was refused"),
    ("transaction", "block-dirty-bitmap", "dirty bitmaps come with block jobs"),
    ("transaction", "libvirt-4-format", "the overlay before it is still there: nothing was committed"),
    ("blockdev-del", "libvirt-3-", "in use: nothing was committed"), ("blockdev-del", "libvirt-4-", "in use: nothing was committed"),
    ("screendump", "", "no display yet"), ("set_password", "", "no display yet"), ("expire_password", "", "no display yet"),
    ("device_add", "x86_64-cpu", "processors are not hot-plugged yet"), ("device_del", "vcpu1", "was not added"),
    ("set_link", "net0", "no network card yet"), ("netdev_add", "", "no network backend yet"), ("netdev_del", "", "no network backend yet"),
    ("device_add", "virtio-net-pci", "no network card yet"), ("device_del", "net1", "was not added"),
    ("device_add", "usb-", "no USB yet"), ("device_del", "input3", "was not added"), ("device_del", "usb-disk2", "was not added"),
    ("device_add", "virtserialport", "no virtio console yet"), ("device_add", "pci.7", "no PCI Express ports yet"), ("device_del", "virtio-disk1", "was not added"),
]
# Members that the recording has and these machines do not, each optional in QMP's schema.
OMITTED = {"query-block[].inserted.image.snapshots": "the recorded image had one",
           "query-named-block-nodes[].image.backing-filename-format": "the recorded image had been committed to"}
ADDED = {}


class Guest(Vm):
    def __init__(self, folder, express=False):
        def path(name):
            return os.path.join(folder, name)
        for name in ("disk.qcow2", "extra.qcow2"):
            subprocess.run([ROOST, "img", "create", "-q", "-f", "qcow2", path(name), "1G"], check=True)
        for name, size in (("tiny.iso", 376832), ("tiny2.iso", 376832), ("hp.img", 1 << 20), ("disk.s2", 0), ("disk.s3", 0), ("copy.qcow2", 0)):
            with open(path(name), "wb") as file:
                file.truncate(size)
        super().__init__(
            "-M", "pc", "-m", "512", "-nodefaults", "-display", "none", "-smp", "1,maxcpus=2,sockets=2,cores=1,threads=1", "-accel", "tcg", "-no-shutdown",
            "-blockdev", '{"driver":"file","filename":"%s","node-name":"libvirt-2-storage","auto-read-only":true,"discard":"unmap"}' % path("disk.qcow2"),
            "-blockdev", '{"node-name":"libvirt-2-format","read-only":false,"driver":"qcow2","file":"libvirt-2-storage","backing":null}',
            "-device", "virtio-blk-pci,bus=pci.0,addr=0x5,drive=libvirt-2-format,id=virtio-disk0,bootindex=1",
            "-blockdev", '{"driver":"file","filename":"%s","node-name":"libvirt-1-storage","auto-read-only":true,"discard":"unmap"}' % path("tiny.iso"),
            "-blockdev", '{"node-name":"libvirt-1-format","read-only":true,"driver":"raw","file":"libvirt-1-storage"}',
            "-device", "ide-cd,bus=ide.0,unit=0,drive=libvirt-1-format,id=ide0-0-0,bootindex=2", "-chardev", "pty,id=charserial0",
            "-device", "isa-serial,chardev=charserial0,id=serial0,index=0", "-device", "virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x6",
            "-object", "rng-random,id=objrng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=objrng0,id=rng0,bus=pci.0,addr=0x7",
            "-device", "virtio-scsi-pci,id=scsi0,bus=pci.0,addr=0x8")
        self.guest_folder = folder
        self.cpu = self("query-cpus-fast")[0]["qom-path"]

    def ask(self, command, args):
        """The reply, as {"return": ...} or {"error": CLASS}; a descriptor goes along with getfd."""
        fds = []
        if command == "getfd" and args["fdname"] == "dump":
            fds = [os.open(os.path.join(self.guest_folder, "dump"), os.O_CREAT | os.O_WRONLY)]
        elif command == "getfd":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(tempfile.mktemp(dir=self.guest_folder))
            listener.listen(1)
            fds = [listener.fileno()]
        try:
            return {"return": self(command, args, fds=fds)}
        except Failed as failed:
            return {"error": failed.error["class"], "desc": failed.error["desc"]}


def settle(vm, command, args, answer):
    """What the recorded guest, or time, did between two commands: jobs end, and a guest lets a device go (here a reset does)."""
    if "return" not in answer:
        return
    if command == "blockdev-create":
        while vm.wait_event("JOB_STATUS_CHANGE")["status"] != "concluded":
            pass
    if command == "device_del" and not any(e["event"] == "DEVICE_DELETED" for e in vm.events):
        vm("system_reset")
        vm.wait_event("DEVICE_DELETED")
    if command == "dump-guest-memory":
        vm.wait_event("DUMP_COMPLETED")


def problems(vm, command, args, recorded, events):
    text = json.dumps(args).replace("/srv/lab/img", vm.guest_folder).replace("/machine/unattached/device[0]", vm.cpu)
    answer = vm.ask(command, json.loads(text))
    told = [e["event"] for e in vm.events]
    settle(vm, command, args, answer)
    vm.events.clear()
    if "error" in answer:
        explained = any(command == name and part in text for name, part, _ in REFUSED)
        if answer["error"] != recorded.get("error") and not explained:
            yield f"{command} {text}: {answer}"
        return
    if "return" in recorded:
        for line in differences(shape(answer["return"]), recorded["return"], command):
            if not (line[0] == "-" and line[1:] in OMITTED or line[0] == "+" and (line[1:] in ADDED or recorded.get("cut"))):
                yield f"{command}: {line}"
    if events and [name for name in told if name in events] != events:
        yield f"{command}: the events {told} instead of {events}"


def conversation(name):
    def body():
        with tempfile.TemporaryDirectory() as folder, Guest(folder) as vm:
            found = [line for step in RECORDED[name] for line in problems(vm, *step)]
        check(not found, "\n".join(found))
    return body


for recorded_name in RECORDED:
    case(f"libvirt's conversation {recorded_name}")(conversation(recorded_name))


main()
