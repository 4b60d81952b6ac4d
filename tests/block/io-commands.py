#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# io-commands.py - roost io beside qemu-io: what each command prints, and what stands in the image
from beside import *

QCOW2 = "img create -f qcow2 a.qcow2 1M"


def commands(*lines):
    return "io " + " ".join(f"-c {shlex.quote(line)}" for line in lines)


def each(*lines, options="", image="a.qcow2"):
    """Each in a run of its own, so that the exit status of each is compared."""
    return [f"io {options} -c {shlex.quote(line)} {image}" for line in lines]


sequence("read and write", QCOW2, commands("write -P 1 0 64k", "read -P 1 0 64k", "read -P 2 0 64k", "read -P 2 -s 100 -l 200 0 64k", "read -P 1 -s 100 0 1k",
         "read -v 0 40", "read -vP 1 65500 100", "read -q 0 1", "read -C 0 1k", "read -p 0 1k", "write -q 3k 1k", "write -f 3k 1k", "read -v 3070 10",
         "write 100 1", "read -v 96 16", "write 0 0", "read 0 0", "r 0 1k", "w 0 1k") + " a.qcow2")
sequence("zeroes, compression, discard", QCOW2, commands("write -z 0 64k", "write -zu 0 64k", "write -c 64k 64k", "read -P 0xcd 64k 64k", "write -zn 0 64k",
         "write -P 3 0 512k", "discard 64k 64k", "discard -C 128k 64k", "discard -q 0 1k", "d 0 64k", "flush", "f", "write -z 100 5000", "read -P 0 100 5000") + " a.qcow2")
sequence("what is refused", QCOW2, *each("read 2M 1k", "read 0", "read", "read x 1", "read 0 x", "read 0 1 2", "read -P x 0 1", "read 1023k 2k", "write 1023k 2k",
         "write -n 0 1", "write -zP 1 0 1", "write -u 0 1", "write -bz 0 64k", "write -n 0 1", "write -z 0 3G", "write 0 3G", "readv 0 2G 1G", "help a b", "aio_write -i x 1", "reopen -rw", "sigraise x", "sigraise 99", "read 0 16E", "write -f -c 0 64k", "write -s nope 0 1k", "read -l 3 0 1k",
         "read -P 1 -s 2000 0 1k", "read -P 1 -s 10 -l 1020 0 1k", "read 9999999999999999999999 1", "read 0 3G", "read '0' 1k", "nope", "length x", "map 1", "flush 1",
         "sleep", "sleep x", "close 1", "help nope", "truncate", "truncate x", "alloc", "alloc x", "open a.qcow2", "readv 0", "writev 0", "writev x 1",
         "truncate -m bla 3M", "write 1M 1", "discard 2M 1k", "write -z 1M 64k", "read -P 256 0 1"))
sequence("-b", QCOW2, commands("write -b -P 7 0 64k", "read -b -P 7 0 64k", "read -b -P 8 512 512", "read -b 1 512", "write -b 0 1k", "length", "info") + " a.qcow2")
sequence("pattern files", QCOW2, "sh 'echo abcd > some.pat; : > empty.pat'", commands("write -s some.pat 0 64k", "read -v 0 24") + " a.qcow2",
         *each("write -s empty.pat 0 1k"))
sequence("vectors", QCOW2, commands("writev 0 1k 2k 4k", "readv 0 1k 2k", "readv -P 0xcd 0 1k 2k", "readv -v 0 16 8", "readv -P 3 0 1k",
         "writev -P 7 -q 0 512 512", "read -P 7 0 1k", "writev -C 0 5 6 7", "readv -q 0 1") + " a.qcow2")
sequence("aio", QCOW2, commands("aio_write -P 5 0 64k", "aio_flush", "aio_read -P 5 0 64k", "aio_flush", "aio_read -P 6 0 64k", "aio_flush",
         "aio_write 64k 1k 2k", "aio_flush", "aio_read -v 64k 16", "aio_flush", "aio_read 2M 1k", "aio_flush", "aio_read -q 0 1k",
         "aio_write -i 0 1k", "aio_read -i 0 1k", "aio_flush") + " a.qcow2",
         *each("aio_write -u 0 1k", "aio_write -zP 1 0 1k", "aio_write -z 0 1k 1k", "aio_read x 1", "aio_read 0", "aio_write -P x 0 1"))
sequence("map, alloc, length, truncate, info", QCOW2, commands("map", "write 128k 128k", "map", "alloc 0", "alloc 128k 64k", "alloc 0 1M", "alloc 2M", "alloc 1023k 4k", "length",
         "truncate 2M", "length", "truncate -m metadata 3M", "map", "truncate 1M", "length", "info", "l", "i", "sleep 1") + " a.qcow2")
sequence("chains", QCOW2, "io -c 'write -P 1 0 256k' a.qcow2", "img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2", commands("map", "read -P 1 0 256k", "write -P 2 64k 64k",
         "map", "alloc 0 1M", "read -P 1 128k 128k", "discard 64k 64k", "map", "write -z 0 64k", "map") + " b.qcow2")
sequence("raw", "sh 'truncate -s 10k r.raw'", commands("map", "info", "write -P 1 1000 1000", "read -v 990 20", "length", "alloc 0 512", "discard 0 4k", "write -z 0 100") + " -f raw r.raw",
         opaque=[])
sequence("opening and closing", QCOW2, "img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2", commands("close", "read 0 1", "open a.qcow2", "length", "open b.qcow2", "close",
         "open -r a.qcow2", "write 0 1", "read 0 1", "close", "open -o driver=qcow2,file.filename=b.qcow2", "length", "close", "open nope", "open", "open -o x=y a.qcow2",
         "open -n a.qcow2", "close", "open -t directsync a.qcow2", "write 0 1k", "close", "open -t foo a.qcow2", "open -o driver=raw a.qcow2", "close") + " a.qcow2",
         "io -r -c 'write 0 1k' a.qcow2", "io -r -c 'read 0 1k' a.qcow2", "io nope", "io -c length --image-opts driver=qcow2,file.filename=a.qcow2",
         "io -f raw -c 'read 0 4' a.qcow2", "io -t none -c 'write 0 4k' a.qcow2", "io -n -c 'read 100 5' a.qcow2", "io -i threads -c length a.qcow2", "io -k -n -c 'read 0 1k' a.qcow2",
         "io -d unmap -c 'discard 0 64k' a.qcow2", "io -m -n -c 'write -P 3 1000 5000' -c 'read -P 3 1000 5000' a.qcow2", "io -U -c length a.qcow2", "io -U -r -c length a.qcow2",
         "io -s -c 'write -P 1 0 64k' -c 'read -P 1 0 64k' a.qcow2", "io -c 'read -P 1 0 64k' a.qcow2", "io --cmd length a.qcow2", "io -c length -f foo a.qcow2",
         "io -C -c 'read 0 64k' -c map b.qcow2", "~io -zz", "~io a b")
sequence("reopening", QCOW2, "io -r -c 'reopen -w' -c 'write 0 1' -c 'reopen -r' -c 'write 0 1' a.qcow2", *each("reopen -c none", "reopen", "reopen -c foo", "reopen -r -w", "reopen x",
         "reopen -o lazy-refcounts=on"))
sequence("a script", QCOW2, ("io a.qcow2", "length\nread 0 1k\n\nwrite -P 1 0 512\nfoo\nquit\nlength\n"), ("io a.qcow2", "read -P 9 0 1k\n"), ("io", "open a.qcow2\nlength"),
         ("io", ""), ("io", "read 0 1\n"))
sequence("help", "io -c 'help quit'", "io -c 'help length'", "io -c 'help nope'", "io -c 'help aio_flush'")
if __name__ == "__main__":
    main()
