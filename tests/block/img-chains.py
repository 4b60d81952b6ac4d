#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# img-chains.py - roost img rebase and commit beside qemu-img
from beside import *

CHAIN = ["img create -f qcow2 a.qcow2 10M", "io -c 'write -P 1 0 3M' a.qcow2", "img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2",
         "io -c 'write -P 2 1M 1M' -c 'write -z 2M 64k' b.qcow2", "img create -f qcow2 -b b.qcow2 -F qcow2 c.qcow2 12M",
         "io -c 'write -P 3 1500k 1M' -c 'write -P 4 11M 100k' c.qcow2"]
OTHER = ["img create -f qcow2 o.qcow2 8M", "io -c 'write -P 1 0 2M' -c 'write -P 9 5M 1M' o.qcow2"]

sequence("rebase: to another base", *CHAIN, *OTHER, "img rebase -b o.qcow2 -F qcow2 c.qcow2", "img info c.qcow2", "img rebase -p -b a.qcow2 -F qcow2 c.qcow2",
         "img info --output=json c.qcow2")
sequence("rebase: within the chain", *CHAIN, "img rebase -b a.qcow2 -F qcow2 c.qcow2", "img map --output=json c.qcow2", "img info c.qcow2",
         "img rebase -b b.qcow2 -F qcow2 c.qcow2", "img rebase -b b.qcow2 -F qcow2 c.qcow2", loose=allocation)
sequence("rebase: to none", *CHAIN, "img rebase -b '' c.qcow2", "img info c.qcow2", "img map --output=json c.qcow2", "img rebase -b '' c.qcow2", loose=allocation)
sequence("rebase: unsafe", *CHAIN, "img rebase -u -b nope -F raw c.qcow2", "img info c.qcow2", "img rebase -u -b b.qcow2 -F qcow2 c.qcow2", "img info c.qcow2",
         "img rebase -u -b '' b.qcow2", "img info b.qcow2")
sequence("rebase: onto raw, smaller and larger", *CHAIN, "sh 'yes | head -c 5M > r.raw; yes | head -c 13M > s.raw'", "img rebase -b r.raw -F raw c.qcow2",
         "img rebase -b s.raw -F raw c.qcow2", "img info c.qcow2")
sequence("rebase: refusals", *CHAIN, "img rebase -b nope -F qcow2 c.qcow2", "img rebase -b a.qcow2 -F foo c.qcow2", "img rebase c.qcow2", "sh 'truncate -s 1M r.raw'",
         "img rebase -f raw -b a.qcow2 -F qcow2 r.raw", "img rebase -t foo -b a.qcow2 -F qcow2 c.qcow2")
sequence("rebase: in a folder", "sh 'mkdir sub'", "img create -f qcow2 sub/a.qcow2 1M", "img create -f qcow2 -b a.qcow2 -F qcow2 sub/b.qcow2",
         "io -c 'write -P 7 0 64k' sub/a.qcow2", "sh 'cp sub/a.qcow2 sub/c.qcow2'", "img rebase -b c.qcow2 -F qcow2 sub/b.qcow2", "img info sub/b.qcow2")
sequence("commit", *CHAIN, "img commit c.qcow2", "img info b.qcow2", "img map --output=json c.qcow2", "img commit -p b.qcow2", "img commit a.qcow2",
         loose=allocation)
sequence("commit: -b, -d, -q, -r", *CHAIN, "img commit -d c.qcow2", "img map --output=json c.qcow2", "img commit -q -b a.qcow2 c.qcow2",
         "img commit -b nope c.qcow2", "img commit -r 100M b.qcow2", "img info a.qcow2", loose=allocation)
sequence("commit: into raw", "sh 'truncate -s 5M r.raw'", "img create -f qcow2 -b r.raw -F raw a.qcow2 6M", "io -c 'write -P 1 0 1M' -c 'write -P 2 5500k 100k' a.qcow2",
         "img commit a.qcow2", "sh 'stat -c %s r.raw'", "img commit a.qcow2")
if __name__ == "__main__":
    main()
