#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# luks.py - LUKS images of roost img and of qemu-img, each read and written by the other; key slots; broken headers
import os
import re
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from damage import run
from tap import ROOST, Skip, case, check, main

folder = tempfile.TemporaryDirectory(prefix="roost-luks-")
os.chdir(folder.name)
IMG, QEMU = [ROOST, "img"], ["qemu-img"]
SECRETS = ["--object", "secret,id=s,data=correct horse", "--object", "secret,id=t,data=battery staple", "--object", "secret,id=w,data=wrong"]


def img(who, command, *rest, ok=(0,)):
    """qemu-img of some builds cannot measure its own processor time on some hosts: then it is asked again."""
    for attempt in range(40):
        done = run(*who, command, *(SECRETS if command != "bitmap" else []), *rest, ok=None)
        if who is IMG or b"accurate CPU usage" not in done.stderr:
            break
    else:
        raise Skip("qemu-img cannot time its key derivation here")
    if ok is not None and done.returncode not in ok:
        raise AssertionError(f"{' '.join(who)} {command} {' '.join(rest)}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done


def opened(name, secret="s", **more):
    return ",".join(["driver=luks", f"key-secret={secret}", f"file.filename={name}", *(f"{k}={v}" for k, v in more.items())])


def source(size=2 << 20):
    with open("source.raw", "wb") as file:
        file.write(b"".join(struct.pack("<Q", n * 0x9e3779b97f4a7c15 & (1 << 64) - 1) for n in range(size // 8)))


def same(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        check(x.read() == y.read(), f"{a} and {b} differ")


def exchange(maker, reader, options):
    for name in ("x.luks", "back.raw"):
        if os.path.exists(name):
            os.unlink(name)
    img(maker, "create", "-q", "-f", "luks", "-o", f"key-secret=s,iter-time=10,{options}", "x.luks", "2M")
    img(maker, "convert", "-n", "-f", "raw", "--target-image-opts", "source.raw", opened("x.luks"))
    img(reader, "convert", "--image-opts", opened("x.luks"), "-O", "raw", "back.raw")
    same("source.raw", "back.raw")
    # and the other writes into it
    img(reader, "convert", "-n", "-f", "raw", "--target-image-opts", "source.raw", opened("x.luks"))
    os.unlink("back.raw")
    img(maker, "convert", "--image-opts", opened("x.luks"), "-O", "raw", "back.raw")
    same("source.raw", "back.raw")


FORMS = ["cipher-alg=aes-256", "cipher-alg=aes-128", "cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256", "cipher-mode=ecb",
         "cipher-alg=aes-192", "cipher-mode=cbc,ivgen-alg=plain,hash-alg=sha1", "cipher-mode=ctr,hash-alg=sha512",
         "cipher-alg=serpent-256", "cipher-alg=twofish-256,hash-alg=ripemd160", "cipher-alg=cast5-128,cipher-mode=cbc"]
for form in FORMS:
    def both(form=form):
        source()
        exchange(IMG, QEMU, form)
        if FORMS.index(form) < 4:          # those that qemu-img itself can make; slowly
            exchange(QEMU, IMG, form)
    case(f"each other's images: {form}")(both)


def info(who, name):
    text = img(who, "info", "--output=json", name).stdout.decode()
    return re.sub(r'("uuid": "|iters": |actual-size": )[^,"]*', r"\1", text)


@case("info is the same text")
def _():
    for form in ("hash-alg=sha256", "cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256"):
        img(IMG, "create", "-q", "-f", "luks", "-o", f"key-secret=s,iter-time=10,{form}", "i.luks", "1M")
        check(info(IMG, "i.luks") == info(QEMU, "i.luks"), info(IMG, "i.luks") + info(QEMU, "i.luks"))


@case("measure")
def _():
    for size in ("0", "1M", "10G"):
        a, b = (img(who, "measure", "-O", "luks", "-o", "key-secret=s,iter-time=10", "--size", size).stdout for who in (IMG, QEMU))
        check(a == b, f"{a} {b}")


@case("a wrong password, none, and an unknown one")
def _():
    img(IMG, "create", "-q", "-f", "luks", "-o", "key-secret=s,iter-time=10", "p.luks", "1M")
    for secret, words in (("w", "Invalid password, cannot unlock any keyslot"), ("nobody", "No secret with id 'nobody'")):
        done = img(IMG, "convert", "--image-opts", opened("p.luks", secret), "-O", "raw", "q.raw", ok=(1,))
        check(words in done.stderr.decode(), done.stderr)
    done = img(IMG, "convert", "-f", "luks", "p.luks", "-O", "raw", "q.raw", ok=(1,))
    check("'key-secret' is required" in done.stderr.decode(), done.stderr)


@case("key slots: added by one, opened and erased by the other")
def _():
    source()
    img(IMG, "create", "-q", "-f", "luks", "-o", "key-secret=s,iter-time=10", "k.luks", "2M")
    img(IMG, "convert", "-n", "-f", "raw", "--target-image-opts", "source.raw", opened("k.luks"))
    for who, other in ((IMG, QEMU), (QEMU, IMG)):
        img(who, "amend", "--image-opts", opened("k.luks"), "-o", "state=active,new-secret=t,iter-time=10")
        img(other, "convert", "--image-opts", opened("k.luks", "t"), "-O", "raw", "k.raw")
        same("source.raw", "k.raw")
        img(other, "amend", "--image-opts", opened("k.luks"), "-o", "state=inactive,old-secret=t")
        for each in (IMG, QEMU):
            img(each, "convert", "--image-opts", opened("k.luks", "t"), "-O", "raw", "k.raw", ok=(1,))
    done = img(IMG, "amend", "--image-opts", opened("k.luks"), "-o", "state=inactive,old-secret=s", ok=(1,))
    check("refusing operation" in done.stderr.decode(), done.stderr)
    img(IMG, "amend", "--force", "--image-opts", opened("k.luks"), "-o", "state=inactive,keyslot=0")
    img(QEMU, "convert", "--image-opts", opened("k.luks"), "-O", "raw", "k.raw", ok=(1,))


@case("broken headers are refused in a sentence")
def _():
    img(IMG, "create", "-q", "-f", "luks", "-o", "key-secret=s,iter-time=10", "b.luks", "1M")
    with open("b.luks", "rb") as file:
        whole = file.read()
    for at, value in ((6, 2), (104, 0), (104, 1), (108, 0), (108, 1 << 31), (164, 0), (164, 0xffffffff), (208, 7), (212, 0), (212, 0xffffffff),
                      (248, 0), (248, 1), (248, 0xffffffff), (252, 0), (252, 0xffffffff), (8, 0x7a7a7a7a), (40, 0x7a7a7a7a), (72, 0x7a7a7a7a)):
        with open("c.luks", "wb") as file:
            file.write(whole[:at] + value.to_bytes(2 if at == 6 else 4, "big") + whole[at + (2 if at == 6 else 4):])
        done = img(IMG, "convert", "--image-opts", opened("c.luks"), "-O", "raw", "q.raw", ok=(1,))
        check(len(done.stderr.decode().splitlines()) == 1, f"{at} {done.stderr}")
    for size in (0, 6, 591, 592, 4096, 300000, 2068479):
        with open("c.luks", "wb") as file:
            file.write(whole[:size])
        done = img(IMG, "convert", "--image-opts", opened("c.luks"), "-O", "raw", "q.raw", ok=(1,))
        check(len(done.stderr.decode().splitlines()) == 1, f"{size} {done.stderr}")


main()
