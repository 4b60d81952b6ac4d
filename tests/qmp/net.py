#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks and cards while a machine runs: made, taken away, forwards, cables. Usage: net.py ROOST"""
import re
import socket

from qmp import BARE, Vm, case, check, main

CARD = ("-netdev", "user,id=n0", "-device", "virtio-net-pci,id=c0,netdev=n0,mac=52:54:00:00:00:01")


def say(vm, line):
    return vm("human-monitor-command", {"command-line": line}).replace("\r", "")


def refused(vm, command, args, words):
    check(words in vm.error(command, args)[1], f"{command} {args}: {vm.error(command, args)}")


@case("a forward: taken, refused with who has the port, shown, removed")
def _():
    with Vm(*BARE, *CARD) as vm, socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        said = say(vm, f"hostfwd_add tcp:127.0.0.1:{taken}-:22")
        check(f"127.0.0.1 port {taken} (tcp): Address already in use, which process " in said, said)
        said = say(vm, "hostfwd_add n0 tcp:127.0.0.1:0-:22")
        port = int(re.search(r"tcp port 127\.0\.0\.1:(\d+) of the host leads to 10\.0\.2\.15:22", said).group(1))
        check(re.search(rf"HOST_FORWARD.* 127\.0\.0\.1 +{port} +10\.0\.2\.15 +22 ", say(vm, "info usernet")), say(vm, "info usernet"))
        socket.create_connection(("127.0.0.1", port), 30).close()
        check(say(vm, f"hostfwd_remove tcp:127.0.0.1:{port}") == f"host forwarding rule for tcp:127.0.0.1:{port} removed\n", "removed")
        check("not found" in say(vm, f"hostfwd_remove n0 tcp:127.0.0.1:{port}"), "twice")
        for wrong in ("x", "tcp", "tcp::0-", "tcp::1-:0", "sctp::1-:1", "tcp:1.2.3:1-:1", "tcp::70000-:1", "tcp::1-:1:1"):
            check("hostfwd" in say(vm, f"hostfwd_add {wrong}"), wrong)
        check(say(vm, "hostfwd_add nosuch tcp::1-:1") == "unrecognized netdev id 'nosuch'\n", "id")


@case("networks come and go, a card stays")
def _():
    with Vm(*BARE, *CARD) as vm:
        check(say(vm, "info network") == "c0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:01\n \\ n0: index=0,type=user,net=10.0.2.0,restrict=off\n",
              say(vm, "info network"))
        vm("netdev_add", {"type": "user", "id": "n1", "net": "192.168.5.0/24", "restrict": True, "hostfwd": [{"str": "tcp:127.0.0.1:0-:22"}]})
        check("n1: index=0,type=user,net=192.168.5.0,restrict=on" in say(vm, "info network") and "192.168.5.15" in say(vm, "info usernet"), say(vm, "info usernet"))
        refused(vm, "netdev_add", {"type": "user", "id": "n1"}, "Duplicate ID 'n1'")
        refused(vm, "netdev_add", {"type": "user", "id": "n2", "nosuch": 1}, "Parameter 'nosuch' is unexpected")
        refused(vm, "netdev_add", {"type": "user", "id": "n2", "net": "300.0.0.0/8"}, "net=300.0.0.0/8")
        refused(vm, "device_add", {"driver": "virtio-net-pci", "id": "c1", "netdev": "n0"}, "in use by 'c0'")
        refused(vm, "device_add", {"driver": "virtio-net-pci", "id": "c1", "netdev": "nosuch"}, "no -netdev with id=nosuch")
        refused(vm, "device_add", {"driver": "virtio-net-pci", "id": "c1", "mac": "1:2"}, "is not a card's address")
        refused(vm, "device_add", {"driver": "virtio-net-pci", "id": "c1", "mac": "01:00:5e:00:00:01"}, "group's address")
        vm("device_add", {"driver": "virtio-net-pci", "id": "c1", "netdev": "n1"})
        check("c1: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56" in say(vm, "info network"), say(vm, "info network"))
        vm("netdev_del", {"id": "n0"})
        check("n0" not in say(vm, "info network"), "gone")
        refused(vm, "netdev_del", {"id": "n0"}, "Device 'n0' not found")
        vm("netdev_del", {"id": "n1"})
        vm("device_del", {"id": "c0"})


@case("cables, by either end's name")
def _():
    with Vm(*BARE, *CARD) as vm:
        for name in ("n0", "c0"):
            vm("set_link", {"name": name, "up": False})
            vm("set_link", {"name": name, "up": True})
        refused(vm, "set_link", {"name": "nosuch", "up": True}, "Device 'nosuch' not found")
        check(vm("x-query-addresses", {"id": "n0"}) == [], "nobody has spoken")


main()
