#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The user network of a Linux guest, Roost beside QEMU's TCG: net.py ROOST GUESTS-FOLDER [RUNS].

Bytes from the host and to it over TCP, packets of 64 bytes answered by the gateway, with virtio-net. Each figure is the best of RUNS (3) within one boot of
each; boots take turns. Host and guest share the processors, so ratios count."""
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))
import console                             # noqa: E402

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
runs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
PROMPT, MIB = r"/ # ", 64
CARDS = {"virtio-net": ("virtio_pci,virtio_net", "virtio-net-pci")}
PROGRAMS = {"roost": [roost, "-accel", "tcg"], "qemu": ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"]}


def serve(answer):
    """A TCP server on a free port of the loopback interface; each connection is answer()'s."""
    server = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            peer = server.accept()[0]
            threading.Thread(target=answer, args=[peer], daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return server.getsockname()[1]


def give(peer):
    with peer:
        for _ in range(MIB):
            peer.sendall(bytes(1 << 20))


def take(peer):
    with peer:
        while peer.recv(1 << 18):
            pass


def measure(program, modules, card):
    down, up = serve(give), serve(take)
    command = [*PROGRAMS[program], "-m", "512", "-display", "none", "-nodefaults", "-serial", "stdio", "-no-reboot", "-kernel", f"{guests}/vmlinuz-generic",
               "-initrd", f"{guests}/initrd-generic.gz", "-append", f"console=ttyS0 quiet panic=-1 roost.modules={modules}",
               "-netdev", "user,id=n0", "-device", f"{card},netdev=n0"]
    script = [(PROMPT, "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; sleep 1; ping -c 1 10.0.2.2 >/dev/null; echo be''gun\n")]
    last = r"\nbegun\r.*"
    for i in range(runs):
        script += [(last + PROMPT, f"time nc 10.0.2.2 {down} >/dev/null; echo do''wn{i}\n"),
                   (rf"\ndown{i}\r.*" + PROMPT, f"time dd if=/dev/zero bs=1M count={MIB} 2>/dev/null | nc 10.0.2.2 {up}; echo u''p{i}\n"),
                   (rf"\nup{i}\r.*" + PROMPT, f"ping -q -c 200 -i 0.002 10.0.2.2 | tail -1; echo pin''g{i}\n")]
        last = rf"\nping{i}\r.*"
    script.append((last + PROMPT, "poweroff -f\n"))
    outcome = console.follow(command, script, 300)
    assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
    seconds = [int(m) * 60 + float(s) for m, s in re.findall(r"real\s+(\d+)m ([\d.]+)s", outcome.console)]
    waits = [float(x) for x in re.findall(r"round-trip min/avg/max = [\d.]+/([\d.]+)/", outcome.console)]
    return min(seconds[0::2]), min(seconds[1::2]), min(waits)


print("| card | | roost | qemu | ratio |\n|---|---|---|---|---|")
for name, (modules, card) in CARDS.items():
    ours, theirs = measure("roost", modules, card), measure("qemu", modules, card)
    for label, unit, mine, other in zip((f"{MIB} MiB from the host", f"{MIB} MiB to the host", "ping of the gateway"), ("s", "s", "ms"), ours, theirs):
        print(f"| {name} | {label} | {mine:.2f} {unit} | {other:.2f} {unit} | {other / max(mine, 0.001):.1f} |")
