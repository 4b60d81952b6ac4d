#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks by QMP, beside QEMU: what is told of them, media that change, nodes and images that come and go, overlays, jobs. Usage: block.py ROOST"""
import os
import subprocess
import tempfile

from qmp import BARE, ROOST, Vm, case, check, differences, main, qemu, shape

M = 1 << 20


class Disks:
    """A folder with a qcow2 image over a raw one and two discs, and the arguments of a manager that uses them."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.name = self.folder.name
        for name, size in (("base.raw", 4 * M), ("one.iso", 2048 * 100), ("two.iso", 2048 * 200)):
            with open(self.path(name), "wb") as file:
                file.write(name.encode())
                file.truncate(size)
        self.img("create", "-q", "-f", "qcow2", "-b", self.path("base.raw"), "-F", "raw", self.path("disk.qcow2"))

    def path(self, name):
        return os.path.join(self.name, name)

    def img(self, *args):
        done = subprocess.run([ROOST, "img", *args], capture_output=True, text=True)
        check(done.returncode == 0, done)
        return done.stdout

    def args(self):
        return (*BARE, "-blockdev", '{"driver":"file","filename":"%s","node-name":"storage","auto-read-only":true,"discard":"unmap"}' % self.path("disk.qcow2"),
                "-blockdev", '{"node-name":"format","read-only":false,"driver":"qcow2","file":"storage"}',
                "-device", "virtio-blk-pci,drive=format,id=vd0,write-cache=on", "-device", "ide-cd,bus=ide.0,unit=0,id=cd0",
                "-blockdev", '{"driver":"file","filename":"%s","node-name":"disc","read-only":true}' % self.path("one.iso"),
                "-blockdev", '{"driver":"raw","file":"disc","node-name":"discraw","read-only":true}',
                "-device", "ide-cd,bus=ide.1,unit=0,id=cd1,drive=discraw",
                "-drive", "if=none,id=loose,format=raw,file=" + self.path("two.iso"), "-device", "virtio-blk-pci,drive=loose,id=vd1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


# What QEMU tells beside; each is optional in its schema.
EXPLAINED = {"-query-blockstats[].driver-specific", "-query-blockstats[].parent.driver-specific", "-query-blockstats[].backing.parent.driver-specific"}


@case("queries have QEMU's shape, drive by drive and node by node")
def _():
    with Disks() as disks:
        told = []
        for start in (Vm, qemu):
            with start(*disks.args()) as vm:
                told.append([vm("query-block"), vm("query-blockstats"), vm("query-named-block-nodes", {"flat": True}), vm("query-named-block-nodes"),
                             vm("query-blockstats", {"query-nodes": True}), vm("query-jobs")])
        ours, theirs = told
        by_device = lambda list_: {item.get("qdev", item["device"]): item for item in list_}
        for mine, other, what in ((by_device(ours[0]), by_device(theirs[0]), "query-block"), (by_device(ours[1]), by_device(theirs[1]), "query-blockstats")):
            check(mine.keys() == other.keys(), (mine.keys(), other.keys()))
            for key in mine:
                for line in differences(shape(mine[key]), shape(other[key]), what + "[]"):
                    check(line in EXPLAINED or ".driver-specific" in line or ".format-specific.data" in line, f"{key}: {line}")
        named = lambda list_: {n["node-name"]: n for n in list_ if not n["node-name"].startswith("#")}
        for mine, other in ((ours[2], theirs[2]), (ours[3], theirs[3])):
            mine, other = named(mine), named(other)
            check(mine.keys() == other.keys(), (mine.keys(), other.keys()))
            for key in mine:
                for line in differences(shape(mine[key]), shape(other[key]), "node"):
                    check(".format-specific.data" in line, f"{key}: {line}")
                for member in ("ro", "drv", "file", "backing_file_depth", "encrypted", "cache", "detect_zeroes"):
                    check(mine[key][member] == other[key][member], f"{key}: {member}: {mine[key][member]}, not {other[key][member]}")


@case("trays and media, step by step as in QEMU")
def _():
    steps = [("blockdev-open-tray", {"id": "cd1"}), ("blockdev-open-tray", {"id": "cd1"}), ("blockdev-insert-medium", {"id": "cd1", "node-name": "discraw"}),
             ("blockdev-remove-medium", {"id": "cd1"}), ("blockdev-remove-medium", {"id": "cd1"}), ("blockdev-insert-medium", {"id": "cd1", "node-name": "nosuch"}),
             ("blockdev-del", {"node-name": "discraw"}), ("blockdev-del", {"node-name": "disc"}),
             ("blockdev-add", {"driver": "file", "filename": None, "node-name": "disc2", "read-only": True}),
             ("blockdev-add", {"driver": "raw", "file": "disc2", "node-name": "discraw2", "read-only": True}),
             ("blockdev-insert-medium", {"id": "cd1", "node-name": "discraw2"}), ("blockdev-close-tray", {"id": "cd1"}), ("blockdev-close-tray", {"id": "cd1"}),
             ("blockdev-remove-medium", {"id": "cd1"}), ("eject", {"id": "cd1"}), ("eject", {"id": "cd0"}), ("eject", {"id": "nosuch"}), ("eject", {}),
             ("eject", {"id": "vd0"}), ("blockdev-open-tray", {"id": "vd0"}), ("blockdev-open-tray", {"device": "nosuch"}),
             ("blockdev-change-medium", {"id": "cd0", "filename": "one.iso", "format": "raw"}), ("blockdev-change-medium", {"id": "cd0", "filename": "/nonexistent/x"}),
             ("blockdev-change-medium", {"id": "vd1", "filename": None, "format": "raw"})]
    with Disks() as disks:
        told = []
        for start in (Vm, qemu):
            with start(*disks.args()) as vm:
                log = []
                for command, args in steps:
                    args = {k: disks.path("two.iso") if v is None else disks.path(v) if k == "filename" else v for k, v in args.items()}
                    try:
                        vm(command, args)
                        outcome = "done"
                    except Exception as failed:
                        outcome = getattr(failed, "error", {"class": repr(failed)})["class"]
                    state = {b.get("qdev"): (b.get("tray_open"), "inserted" in b, b.get("inserted", {}).get("image", {}).get("filename"))
                             for b in vm("query-block") if b.get("qdev", "").startswith("cd")}
                    log.append((command, args, outcome, [(e["event"], e["data"]["tray-open"], e["data"]["id"]) for e in vm.events], state))
                    vm.events.clear()
                told.append(log)
        for mine, other in zip(*told):
            check(mine == other, f"{mine}\ninstead of\n{other}")


@case("a disc that the guest has locked is asked for, or taken by force")
def _():
    with Disks() as disks, Vm(*disks.args()) as vm:
        check(vm.error("blockdev-open-tray", {"id": "cd1", "force": 5})[0] == "GenericError", "force=5")
        vm("blockdev-open-tray", {"id": "cd1", "force": True})
        check(vm.wait_event("DEVICE_TRAY_MOVED") == {"device": "", "id": "cd1", "tray-open": True}, "event")


@case("another size, and limits, for a disk in use")
def _():
    with Disks() as disks, Vm(*disks.args()) as vm:
        vm("block_resize", {"node-name": "format", "size": 8 * M})
        check([n["image"]["virtual-size"] for n in vm("query-named-block-nodes") if n["node-name"] == "format"] == [8 * M], "size")
        vm("block_resize", {"device": "loose", "size": 1 * M})
        check(os.path.getsize(disks.path("two.iso")) == 1 * M, "file")
        for args in ({"size": 1}, {"device": "nosuch", "size": 1}, {"node-name": "nosuch", "size": 1}, {"node-name": "format", "size": -1}, {"node-name": "format", "size": 1 << 62}):
            check(vm.error("block_resize", args)[0] == "GenericError", args)
        limits = {"bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 500, "iops_rd": 0, "iops_wr": 0, "iops_max": 1000}
        for iops in (500, 700):
            vm("block_set_io_throttle", {"id": "/machine/peripheral/vd0/virtio-backend", "group": "g"} | limits | {"iops": iops})
            told = [b["inserted"] for b in vm("query-block") if b.get("qdev", "").endswith("vd0/virtio-backend")][0]
            check(told["iops"] == iops and told["iops_max"] == 1000 and told["group"] == "g" and told["node-name"] == "format", told)
        check(vm.error("block_set_io_throttle", {"id": "cd0"} | limits)[1] == "Device 'cd0' has no medium", "empty")
        check(vm.error("block_set_io_throttle", {"id": "nosuch"} | limits)[0] == "DeviceNotFound", "nosuch")
        check(vm.error("block_set_io_throttle", {"id": "vd0"} | limits | {"iops": 5, "iops_rd": 5})[0] == "GenericError", "contradiction")


@case("nodes: what is refused, what is in use, and options that change")
def _():
    with Disks() as disks, Vm(*disks.args()) as vm:
        for args in ({"driver": "nosuch", "node-name": "n"}, {"driver": "file", "node-name": "n"}, {"driver": "file", "filename": "/nonexistent/x", "node-name": "n"},
                     {"driver": "raw", "file": "nosuch", "node-name": "n"}, {"driver": "raw", "file": {"driver": "file"}, "node-name": "n"},
                     {"driver": "null-co", "node-name": "format"}, {"driver": "null-co", "node-name": "1x"}, {"driver": "null-co"}, {"driver": "null-co", "node-name": "n", "foo": 1},
                     {"driver": "null-co", "node-name": "n", "size": -5}, {"driver": "null-co", "node-name": "n", "cache": {"direct": 1}}):
            check(vm.error("blockdev-add", args)[0] == "GenericError", args)
        for name in ("nosuch", "format", "storage", "disc", ""):
            check(vm.error("blockdev-del", {"node-name": name})[0] == "GenericError", name)
        vm("blockdev-add", {"driver": "raw", "node-name": "n", "file": {"driver": "null-co", "size": M, "read-zeroes": True}, "cache": {"direct": True, "no-flush": False}})
        vm("blockdev-reopen", {"options": [{"driver": "qcow2", "node-name": "format", "read-only": False, "file": "storage", "lazy-refcounts": True}]})
        check(vm.error("blockdev-reopen", {"options": [{"driver": "raw", "node-name": "nosuch", "file": "x"}]})[1] == "Failed to find node with node-name='nosuch'", "nosuch")
        check(vm.error("blockdev-reopen", {"options": [{"driver": "raw", "file": "x"}]})[1] == "node-name not specified", "no name")
        vm("blockdev-del", {"node-name": "n"})
        check("n" not in [n["node-name"] for n in vm("query-named-block-nodes")], "still there")


def create(vm, job, options):
    vm("blockdev-create", {"job-id": job, "options": options})
    statuses = []
    while not statuses or statuses[-1] != "concluded":
        statuses.append(vm.wait_event("JOB_STATUS_CHANGE")["status"])
    told = [j for j in vm("query-jobs") if j["id"] == job]
    vm("job-dismiss", {"id": job})
    statuses.append(vm.wait_event("JOB_STATUS_CHANGE")["status"])
    return statuses, told


@case("images made as jobs, as in QEMU; a job that fails; ids")
def _():
    with Disks() as disks:
        told = []
        for start in (Vm, qemu):
            with start(*disks.args()) as vm:
                name = disks.path(f"new-{len(told)}.qcow2")
                log = [create(vm, "file", {"driver": "file", "filename": name, "size": 0})]
                vm("blockdev-add", {"driver": "file", "filename": name, "node-name": "new"})
                log.append(create(vm, "format", {"driver": "qcow2", "file": "new", "size": 4 * M, "cluster-size": 65536, "backing-file": disks.path("base.raw"), "backing-fmt": "raw"}))
                statuses, job = create(vm, "bad", {"driver": "qcow2", "file": "new", "size": 4 * M, "cluster-size": 5})
                log.append((statuses, shape(job)))
                check(vm.error("job-dismiss", {"id": "file"}) == ("GenericError", "Job not found"), "dismissed twice")
                for job_id in ("", "1x"):
                    check(vm.error("blockdev-create", {"job-id": job_id, "options": {"driver": "file", "filename": name, "size": 0}})[0] == "GenericError", job_id)
                told.append(log)
        check(told[0] == told[1], f"{told[0]}\ninstead of\n{told[1]}")
        check("base.raw" in disks.img("info", disks.path("new-0.qcow2")), "backing file")


@case("a write threshold is kept by the node, told once by the first write beyond, and forgotten with that; as in QEMU")
def _():
    with Disks() as disks:
        told = []
        for start in (Vm, qemu):
            with start(*disks.args()) as vm:
                threshold = lambda: [n["write_threshold"] for n in vm("query-named-block-nodes") if n["node-name"] == "new"]
                name = disks.path(f"new-{len(told)}.qcow2")
                create(vm, "file", {"driver": "file", "filename": name, "size": 0})
                vm("blockdev-add", {"driver": "file", "filename": name, "node-name": "new"})
                log = [threshold()]
                for value in (1 << 40, 0, 1):
                    vm("block-set-write-threshold", {"node-name": "new", "write-threshold": value})
                    log.append(threshold())
                create(vm, "format", {"driver": "qcow2", "file": "new", "size": 4 * M})
                event = vm.wait_event("BLOCK_WRITE_THRESHOLD")
                check(event["amount-exceeded"] > 0, event)
                log += [event["node-name"], event["write-threshold"], set(event), threshold(), vm.names()]
                log.append(vm.error("block-set-write-threshold", {"node-name": "nosuch", "write-threshold": 1}))
                log.append(vm.error("block-set-write-threshold", {"node-name": "new", "write-threshold": "1"}))
                told.append(log)
        check(told[0] == told[1], f"{told[0]}\ninstead of\n{told[1]}")


@case("an overlay over a running disk, as virsh snapshot-create --disk-only makes it, and the image's own name of its backing file")
def _():
    with Disks() as disks, Vm(*disks.args()) as vm:
        vm("cont")
        for n in (1, 2):
            name = disks.path(f"snap{n}")
            create(vm, "f", {"driver": "file", "filename": name, "size": 0})
            vm("blockdev-add", {"driver": "file", "filename": name, "node-name": f"s{n}"})
            create(vm, "q", {"driver": "qcow2", "file": f"s{n}", "size": 4 * M, "backing-file": disks.path("disk.qcow2"), "backing-fmt": "qcow2"})
            vm("blockdev-add", {"driver": "qcow2", "file": f"s{n}", "node-name": f"f{n}", "backing": None})
        check("in use" in vm.error("transaction", {"actions": [{"type": "blockdev-snapshot", "data": {"node": "format", "overlay": "f1"}},
                                                               {"type": "blockdev-snapshot", "data": {"node": "f1", "overlay": "format"}}]})[1], "in use")
        check(vm.error("transaction", {"actions": [{"type": "blockdev-snapshot", "data": {"node": "format", "overlay": "f1"}}, {"type": "abort", "data": {}}]})[0] == "GenericError", "abort")
        top = lambda: [b["inserted"]["node-name"] for b in vm("query-block") if "vd0" in b.get("qdev", "")]
        check(top() == ["format"], top())
        vm("transaction", {"actions": [{"type": "blockdev-snapshot", "data": {"node": "format", "overlay": "f1"}}]})
        check(top() == ["f1"], top())
        vm("blockdev-snapshot", {"node": "f1", "overlay": "f2"})
        check(top() == ["f2"], top())
        depth = [b["inserted"]["backing_file_depth"] for b in vm("query-block") if "vd0" in b.get("qdev", "")]
        check(depth == [3], depth)
        vm("change-backing-file", {"device": "f2", "image-node-name": "f2", "backing-file": "snap1"})
        vm("blockdev-snapshot-sync", {"node-name": "f2", "snapshot-file": disks.path("sync"), "snapshot-node-name": "f3"})
        check(top() == ["f3"], top())
        vm("blockdev-snapshot-sync", {"device": "loose", "snapshot-file": disks.path("sync2")})
        for args in ({"node": "nosuch", "overlay": "f2"}, {"node": "f3", "overlay": "nosuch"}, {"node": "format", "overlay": "f3"}):
            check(vm.error("blockdev-snapshot", args)[0] == "GenericError", args)
        check(vm.error("blockdev-snapshot-sync", {"node-name": "f3", "snapshot-file": "/nonexistent/x"})[0] == "GenericError", "path")
        vm("stop")
        vm("quit")
        vm.process.wait(60)
        check("backing file: snap1" in disks.img("info", disks.path("snap2")) and "sync" and "disk.qcow2" in disks.img("info", disks.path("snap1")), "names")


main()
