#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-crypt.py - encrypted qcow2 images, LUKS and the old AES, of roost img and qemu-img, each read and written by the other
import json
import os
import re
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from damage import run
from tap import ROOST, Skip, case, check, main

folder = tempfile.TemporaryDirectory(prefix="roost-crypt-")
os.chdir(folder.name)
OURS, THEIRS = ([ROOST, "img"], [ROOST, "io"]), (["qemu-img"], ["qemu-io"])
SECRETS = ["--object", "secret,id=s,data=correct horse", "--object", "secret,id=t,data=battery staple", "--object", "secret,id=w,data=wrong"]


def tool(who, kind, *args, ok=(0,)):
    """qemu-img of some builds cannot measure its own processor time on some hosts: then it is asked again."""
    for _ in range(40):
        command = [*who[kind == "io"], *([args[0]] if kind == "img" else []), *SECRETS, *(args[1:] if kind == "img" else args)]
        done = run(*command, ok=None)
        if who is OURS or b"accurate CPU usage" not in done.stderr:
            break
    else:
        raise Skip("qemu-img cannot time its key derivation here")
    text = done.stdout + done.stderr
    if ok is not None and (done.returncode not in ok or (kind == "io" and b"failed" in text)):
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}: {text.decode(errors='replace')}")
    return done


def opened(name="x.qcow2", secret="s"):
    return f"driver=qcow2,encrypt.key-secret={secret},file.filename={name}"


def source(size):
    with open("source.raw", "wb") as file:
        file.write(b"".join(struct.pack("<Q", n * 0x9e3779b97f4a7c15 & (1 << 64) - 1) for n in range(size // 8)))


def same(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        check(x.read() == y.read(), f"{a} and {b} differ")


def read_back(who, image=None, secret="s"):
    if os.path.exists("back.raw"):
        os.unlink("back.raw")
    tool(who, "img", "convert", "--image-opts", image or opened(secret=secret), "-O", "raw", "back.raw")


def exchange(maker, reader, options):
    size = 3 << 20
    source(size)
    luks = ",encrypt.iter-time=10" if "format=luks" in options else ""
    tool(maker, "img", "create", "-q", "-f", "qcow2", "-o", f"encrypt.key-secret=s,{options}{luks}", "x.qcow2", str(size))
    tool(maker, "img", "convert", "-n", "-f", "raw", "--target-image-opts", "source.raw", opened())
    read_back(reader)
    same("source.raw", "back.raw")
    # small writes by the other, across sectors and clusters, beside a snapshot
    tool(reader, "img", "snapshot", "--image-opts", "-c", "before", opened()) if reader is THEIRS else None
    tool(reader, "io", "--image-opts", "-c", "write -P 7 1000 3000", "-c", "write -P 9 65000 2000", "-c", "write -z 1M 64k", opened())
    with open("source.raw", "r+b") as file:
        for at, length, byte in ((1000, 3000, 7), (65000, 2000, 9), (1 << 20, 64 << 10, 0)):
            file.seek(at)
            file.write(bytes([byte]) * length)
    for who in (maker, reader):
        read_back(who)
        same("source.raw", "back.raw")
        tool(who, "img", "check", "--image-opts", opened())
    with open("x.qcow2", "rb") as file:
        check(bytes([7]) * 512 not in file.read(), "data lies in the image in the clear")


FORMS = ["encrypt.format=luks", "encrypt.format=luks,cluster_size=4k", "encrypt.format=luks,extended_l2=on",
         "encrypt.format=luks,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256", "encrypt.format=aes",
         "encrypt.format=aes,compat=0.10,cluster_size=4k"]
for form in FORMS:
    def both(form=form):
        exchange(OURS, THEIRS, form)
        exchange(THEIRS, OURS, form)
    case(f"each other's images: {form}")(both)


@case("info is the same text, without a key")
def _():
    for form in ("luks,encrypt.iter-time=10", "aes"):
        tool(OURS, "img", "create", "-q", "-f", "qcow2", "-o", f"encrypt.key-secret=s,encrypt.format={form}", "x.qcow2", "1M")
        a, b = (re.sub(r'("uuid": "|iters": )[^,"]*', r"\1", run(*who[0], "info", "--output=json", "x.qcow2").stdout.decode())
                for who in (OURS, THEIRS))
        check(a == b, f"{a}\n{b}")


@case("measure")
def _():
    for options in ("encrypt.format=luks", "encrypt.format=luks,cluster_size=4k"):
        a, b = (tool(who, "img", "measure", "-O", "qcow2", "-o", f"encrypt.key-secret=s,{options}", "--size", "3G").stdout for who in (OURS, THEIRS))
        check(a == b, f"{a} {b}")


@case("wrong passwords, no passwords, the wrong method")
def _():
    tool(OURS, "img", "create", "-q", "-f", "qcow2", "-o", "encrypt.key-secret=s,encrypt.format=luks,encrypt.iter-time=10", "x.qcow2", "1M")
    for image, words in ((opened(secret="w"), "Invalid password"), (opened(secret="nobody"), "No secret with id"),
                         ("driver=qcow2,file.filename=x.qcow2", "'encrypt.key-secret' is required"),
                         ("driver=qcow2,encrypt.format=aes,encrypt.key-secret=s,file.filename=x.qcow2", "encryption format")):
        done = tool(OURS, "img", "convert", "--image-opts", image, "-O", "raw", "back.raw", ok=(1,))
        check(words in done.stderr.decode(), done.stderr)
    for options in ("encrypt.format=luks", "encrypt.format=rot13,encrypt.key-secret=s", "encrypt.format=luks,encrypt.key-secret=nobody",
                    "encrypt.format=luks,encrypt.key-secret=s,encrypt.cipher-alg=rot13"):
        tool(OURS, "img", "create", "-q", "-f", "qcow2", "-o", options, "y.qcow2", "1M", ok=(1,))


@case("key slots amended by one, used by the other")
def _():
    source(1 << 20)
    tool(OURS, "img", "create", "-q", "-f", "qcow2", "-o", "encrypt.key-secret=s,encrypt.format=luks,encrypt.iter-time=10", "x.qcow2", "1M")
    tool(OURS, "img", "convert", "-n", "-f", "raw", "--target-image-opts", "source.raw", opened())
    for who, other in ((OURS, THEIRS), (THEIRS, OURS)):
        tool(who, "img", "amend", "--image-opts", opened(), "-o", "encrypt.state=active,encrypt.new-secret=t,encrypt.iter-time=10")
        read_back(other, secret="t")
        same("source.raw", "back.raw")
        tool(other, "img", "amend", "--image-opts", opened(), "-o", "encrypt.state=inactive,encrypt.old-secret=t")
        tool(who, "img", "convert", "--image-opts", opened(secret="t"), "-O", "raw", "no.raw", ok=(1,))
    check(len([s for s in json.loads(run(*OURS[0], "info", "--output=json", "x.qcow2").stdout)["format-specific"]["data"]["encrypt"]["slots"]
               if s["active"]]) == 1, "slots")
    tool(THEIRS, "img", "check", "--image-opts", opened())


main()
