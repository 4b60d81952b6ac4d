/* SPDX-License-Identifier: GPL-2.0-or-later */
/* firmware-images.S - the files of -Dseabios, as they are, in read-only pages of their own */

.macro image symbol, file
    .global \symbol, \symbol\()_end
    .hidden \symbol, \symbol\()_end
    .balign 4096
\symbol:
    .incbin "\file"
\symbol\()_end:
.endm

    .section .rodata.firmware, "a"
    image image_bios, "bios-256k.bin"
    image image_vga_std, "vgabios-stdvga.bin"
    image image_vga_cirrus, "vgabios-cirrus.bin"
    .section .note.GNU-stack, "", @progbits
