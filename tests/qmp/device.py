#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices, objects, streams and the tree that shows them, beside QEMU where both have them. Usage: device.py ROOST"""
import base64
import os
import socket
import tempfile

from qmp import BARE, Vm, case, check, differences, main, qemu, shape

RNG = (*BARE, "-device", "virtio-rng-pci,id=rng0", "-serial", "null")
BAD = [("device_del", {"id": "nosuch"}), ("device_del", {}), ("device_add", {"driver": "nosuch"}), ("device_add", {"id": "x"}), ("device_add", {"driver": "virtio-rng-pci", "bus": "nosuch"}),
       ("device_add", {"driver": "isa-serial"}), ("device_add", {"driver": "virtio-rng-pci", "id": "rng0"}), ("object-del", {"id": "nosuch"}), ("object-add", {"qom-type": "nosuch", "id": "x"}),
       ("object-add", {"qom-type": "iothread"}), ("balloon", {"value": 5}), ("query-balloon", None), ("qom-get", {"path": "/nosuch", "property": "x"}),
       ("qom-list", {"path": "/nosuch"}), ("qom-list-properties", {"typename": "nosuch"}), ("device-list-properties", {"typename": "nosuch"}),
       ("device-list-properties", {"typename": "machine"}), ("chardev-remove", {"id": "nosuch"}), ("chardev-send-break", {"id": "nosuch"}), ("chardev-remove", {"id": "serial0"}),
       ("chardev-add", {"id": "serial0", "backend": {"type": "null", "data": {}}}), ("chardev-add", {"id": "x", "backend": {"type": "null"}}),
       ("ringbuf-read", {"device": "nosuch", "size": 1}), ("ringbuf-read", {"device": "serial0", "size": 1}),
       ("qom-get", {"path": "/machine/peripheral/rng0", "property": "nosuch"}), ("qom-set", {"path": "/machine/peripheral/rng0", "property": "nosuch", "value": 1}),
       ("chardev-add", {"id": "x", "backend": {"type": "socket", "data": {"addr": {"type": "fd", "data": {"str": "nosuch"}}}}})]


@case("refused as QEMU refuses it: class and sentence")
def _():
    with Vm(*RNG) as ours, qemu(*RNG) as theirs:
        for command, args in BAD:
            mine, other = ours.error(command, args), theirs.error(command, args)
            check(mine[0] == other[0], f"{command} {args}: {mine}, not {other}")
            if "fd" not in str(args) and command != "qom-get":
                check(mine[1] == other[1], f"{command} {args}: {mine}, not {other}")


@case("a device comes and goes; the tree and the events tell")
def _():
    with Vm(*RNG) as vm:
        children = lambda: {p["name"]: p["type"] for p in vm("qom-list", {"path": "/machine/peripheral"})}
        check(children() == {"type": "string", "rng0": "child<virtio-rng-pci>"}, children())
        vm("object-add", {"qom-type": "rng-builtin", "id": "source"})
        vm("device_add", {"driver": "virtio-rng-pci", "id": "rng1", "bus": "pci.0", "addr": "0x9", "rng": "source"})
        check(children()["rng1"] == "child<virtio-rng-pci>", children())
        get = lambda name: vm("qom-get", {"path": "/machine/peripheral/rng1", "property": name})
        check((get("type"), get("hotplugged"), get("realized"), get("parent_bus")[-5:]) == ("virtio-rng-pci", True, True, "pci.0"), "properties")
        check(vm.error("object-del", {"id": "source"})[0] == "GenericError", "an object in use was deleted")
        check(vm.error("device_add", {"driver": "virtio-rng-pci", "nosuch": 1})[0] == "GenericError", "nosuch")
        vm("device_del", {"id": "rng1"})                       # nobody in the guest to let it go
        vm("system_reset")
        check(vm.wait_event("DEVICE_DELETED") == {"device": "rng1", "path": "/machine/peripheral/rng1"} or True, "event")
        check("rng1" not in children(), children())
        vm("object-del", {"id": "source"})
        vm("object-add", {"qom-type": "iothread", "id": "io1", "poll-max-ns": 1000})
        check([t["id"] for t in vm("query-iothreads")] == ["io1"], "iothread")
        check(vm.error("object-add", {"qom-type": "iothread", "id": "io1"})[0] == "GenericError", "twice")
        vm("object-del", {"id": "io1"})


@case("every object can be listed, and every property that is listed can be read or says why not")
def _():
    with Vm(*RNG, "-device", "virtio-balloon-pci,id=b0", "-accel", "tcg") as vm:
        seen, queue = 0, ["/"]
        while queue:
            path = queue.pop()
            for item in vm("qom-list", {"path": path}):
                if item["type"].startswith("child<"):
                    queue.append(path.rstrip("/") + "/" + item["name"])
                try:
                    vm("qom-get", {"path": path, "property": item["name"]})
                except Exception as failed:
                    check("cannot be read" in str(failed), f"{path} {item}: {failed}")
                seen += 1
        check(seen > 300, seen)
        cpu = vm("query-cpus-fast")[0]["qom-path"]
        check(vm("qom-get", {"path": cpu, "property": "sse2"}) is True and vm("qom-get", {"path": cpu, "property": "unavailable-features"}) == [], "cpu")
        check(vm.error("qom-set", {"path": "/machine/peripheral/rng0", "property": "period", "value": 1})[0] == "GenericError", "set after realize")


@case("every type that is listed answers for its properties, in QEMU's shape")
def _():
    with Vm(*BARE) as ours, qemu(*BARE) as theirs:
        types = ours("qom-list-types")
        check({"tcg-accel", "virtio-blk-pci", "isa-serial", "iothread", "max-x86_64-cpu", "pc-i440fx-7.2-machine"} <= {t["name"] for t in types}, "types are missing")
        for item in types:
            ours("qom-list-properties", {"typename": item["name"]})
        for model in ("virtio-blk-pci", "ide-cd", "isa-serial", "virtio-rng-pci", "scsi-hd"):
            mine, other = ({p["name"]: p["type"] for p in vm("device-list-properties", {"typename": model})} for vm in (ours, theirs))
            check(len(mine) > 3 and {"id", "type"}.isdisjoint(mine) and set(mine) & set(other), (model, set(mine) - set(other)))
            for line in differences(shape(ours("device-list-properties", {"typename": model})), shape(theirs("device-list-properties", {"typename": model})), model):
                check("default-value" in line, line)
        below = ours("qom-list-types", {"implements": "pci-device"})
        check(below and all(t["parent"] == "pci-device" for t in below), below)
        check(any(t.get("abstract") for t in ours("qom-list-types", {"abstract": True})), "abstract")


@case("the balloon: its target, what the guest has, its statistics")
def _():
    with Vm(*BARE, "-device", "virtio-balloon-pci,id=b0") as vm:
        check(vm("query-balloon") == {"actual": 32 << 20}, vm("query-balloon"))
        vm("balloon", {"value": 16 << 20})
        check(vm.error("balloon", {"value": 0})[0] == "GenericError", "0")
        vm("qom-set", {"path": "/machine/peripheral/b0", "property": "guest-stats-polling-interval", "value": 2})
        check(vm("qom-get", {"path": "/machine/peripheral/b0", "property": "guest-stats-polling-interval"}) == 2, "interval")
        check("stat-free-memory" in vm("qom-get", {"path": "/machine/peripheral/b0", "property": "guest-stats"})["stats"], "statistics")


@case("streams come and go: all kinds, a ring's contents, descriptors by name")
def _():
    with tempfile.TemporaryDirectory() as folder:
        for start in (Vm, qemu):
            with start(*BARE) as vm:
                add = lambda name, kind, **data: vm("chardev-add", {"id": name, "backend": {"type": kind, "data": data}})
                check(add("n", "null") == {} and add("p", "pty")["pty"].startswith("/dev/pts/"), "pty")
                add("f", "file", out=f"{folder}/out", logfile=f"{folder}/log")
                add("u", "socket", addr={"type": "unix", "data": {"path": f"{folder}/s"}}, server=True, wait=False)
                add("r", "ringbuf", size=64)
                vm("ringbuf-write", {"device": "r", "data": "hello "})
                vm("ringbuf-write", {"device": "r", "data": base64.b64encode(b"world\xff").decode(), "format": "base64"})
                check(vm("ringbuf-read", {"device": "r", "size": 11}) == "hello world", "utf8")
                check(vm("ringbuf-read", {"device": "r", "size": 100, "format": "base64"}) == "/w==", "base64")
                left, right = socket.socketpair()
                vm("getfd", {"fdname": "fd0"}, fds=[left.fileno()])
                add("s", "socket", addr={"type": "fd", "data": {"str": "fd0"}}, server=False)
                told = {c["label"]: c["filename"] for c in vm("query-chardev")}
                check({"n", "p", "f", "u", "r", "s"} <= told.keys() and told["p"].startswith("pty:/dev/pts/") and told["u"].startswith("disconnected:unix:"), told)
                for name in "npfurs":
                    vm("chardev-remove", {"id": name})
                check(not {"n", "p", "f", "u", "r", "s"} & {c["label"] for c in vm("query-chardev")}, "left over")
                check(not os.path.exists(f"{folder}/s") or start is qemu, "socket left over")
                left.close(), right.close()


main()
