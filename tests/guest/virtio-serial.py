#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux with virtio-serial: virtio-serial.py ROOST GUESTS-FOLDER CASE... (no case: their names).

A console on hvc0, a port that echoes, the guest agent's channel as libvirt asks for it: what comes out on the host."""
import json
import os
import shutil
import socket
import sys
import tempfile
import threading

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
CASES = {"virtio-serial": "", "virtio-serial-legacy": ",disable-modern=on"}
PROMPT = r"/ # "
SAID = b"".join(b"line %d\n" % i for i in range(2000))


class Echo(threading.Thread):
    """The host's end of the port: says SAID, hears it all come back."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen()
        self.heard = b""

    def run(self):
        peer = self.server.accept()[0]
        threading.Thread(target=peer.sendall, args=[SAID], daemon=True).start()
        while len(self.heard) < len(SAID):
            data = peer.recv(65536)
            if not data:
                return
            self.heard += data


class Listener(threading.Thread):
    """A QMP client that only listens."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen()
        self.events = []

    def run(self):
        stream = self.server.accept()[0].makefile("rw")
        stream.write('{"execute": "qmp_capabilities"}\n')
        stream.flush()
        for line in stream:
            self.events.append(json.loads(line))


def run(case):
    if not os.path.exists(f"{guests}/disk.img"):
        raise console.Skip("disk.img missing: run tests/guests")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(f"{guests}/disk.img", f"{folder}/root.img")
        echo = Echo(f"{folder}/echo")
        echo.start()
        listener = Listener(f"{folder}/qmp")
        listener.start()
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
                   "-drive", f"if=none,id=root,format=raw,file={folder}/root.img", "-device", "virtio-blk-pci,drive=root,bootindex=0,addr=5",
                   "-device", "virtio-serial-pci,id=virtio-serial0" + CASES[case],
                   "-qmp", f"unix:{folder}/qmp", "-chardev", f"file,id=screen,path={folder}/screen", "-device", "virtconsole,bus=virtio-serial0.0,chardev=screen",
                   "-chardev", f"socket,id=echo,path={folder}/echo", "-device", "virtserialport,bus=virtio-serial0.0,nr=2,chardev=echo,name=echo,id=port",
                   "-chardev", f"socket,id=charchannel0,path={folder}/agent,server=on,wait=off", "-device",
                   "virtserialport,bus=virtio-serial0.0,nr=1,chardev=charchannel0,id=channel0,name=org.qemu.guest_agent.0"]
        script = [
            (r"ROOST-GUEST root: /dev/vda1.*" + PROMPT,
             "[ -e /dev/hvc0 ] && echo have hvc; cd /sys/class/virtio-ports; for p in *; do echo port $p $(cat $p/name).; done; cd /\n"),
            (r"(\nhave hvc.*\nport vport\w+p1 org.qemu.guest_agent.0\..*\nport vport\w+p2 echo\..*|\nport \* .*)" + PROMPT,
             f"echo hello from hvc > /dev/hvc0; stty raw < /dev/vport*p2 2>/dev/null; (head -c {len(SAID)} | tee /tmp/heard) <> /dev/vport0p2 >&0; "
             "echo echoed $(wc -c < /tmp/heard)\n"),
            (rf"\nechoed {len(SAID)}\b.*" + PROMPT, "poweroff -f\n"),
        ]
        outcome = console.follow(command, script, 200)
        if "\nport * " in outcome.console:
            raise console.Skip("the disk's kernel has no virtio_console: run tests/guests again")
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        echo.join(20)
        assert echo.heard == SAID, f"of {len(SAID)} bytes {len(echo.heard)} came back, or others"
        listener.join(20)
        opened = [event["data"] for event in listener.events if event.get("event") == "VSERPORT_CHANGE"]
        assert opened and opened[0] == {"id": "port", "open": True}, f"VSERPORT_CHANGE told {opened}"
        with open(f"{folder}/screen", "rb") as file:
            assert b"hello from hvc\r\n" in file.read(), "the console's text did not come out"
        return f"{outcome.took:.1f} s"


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([("Linux with " + name, lambda name=name: run(name)) for name in names])
