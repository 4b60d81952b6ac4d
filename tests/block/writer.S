/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer.S - firmware of 64 KiB that does nothing but write to the first IDE disk: kill-vm.py
 *
 * Batch after batch: eight blocks of 4 KiB whose places follow a row of numbers that the test knows, each word of them the batch's number, then
 * FLUSH CACHE, and only then the number on COM1 as four hexadecimal digits. Where it begins stands at its own first bytes: the test writes it there.
 */
        .code16
        .globl _start
_start:
        jmp begin
        .org 4
batch:  .word 1
row:    .word 0
begin:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ss
        movw $0x7000, %sp
        movw $0x1000, %ax
        movw %ax, %es                      /* the block is at 1000:0000 */
        movw %cs:batch, %bp
        movw %cs:row, %bx
next_batch:
        xorw %di, %di
        movw %bp, %ax
        movw $2048, %cx
        rep stosw
        movw $8, %cx
next_block:
        pushw %cx
        movw $25173, %ax
        mulw %bx
        addw $13849, %ax
        movw %ax, %bx
        andw $0x7ff, %ax
        movw $56, %cx                      /* sectors from one place to the next */
        mulw %cx
        movw %ax, %cx
        movw %dx, %di
        movw $0x1f2, %dx
        movb $8, %al
        outb %al, %dx
        incw %dx
        movb %cl, %al
        outb %al, %dx
        incw %dx
        movb %ch, %al
        outb %al, %dx
        incw %dx
        movw %di, %ax
        outb %al, %dx
        incw %dx
        movb $0xe0, %al
        outb %al, %dx
        incw %dx
        movb $0x30, %al                    /* WRITE SECTORS */
        outb %al, %dx
        xorw %si, %si
        movw $8, %di
1:      movb $0x88, %ah
        call wait                          /* until DRQ */
        movw $256, %cx
        movw $0x1f0, %dx
        rep outsw %es:(%si), %dx
        decw %di
        jnz 1b
        movb $0x80, %ah
        call wait
        popw %cx
        decw %cx
        jnz next_block
        movw $0x1f7, %dx
        movb $0xe7, %al                    /* FLUSH CACHE */
        outb %al, %dx
        movb $0x80, %ah
        call wait
        call tell
        incw %bp
        jmp next_batch

/* Until status & ah is 8 or, for 80h alone, 0; an error ends it all. */
wait:
        movw $0x1f7, %dx
1:      inb %dx, %al
        testb $0x80, %al
        jnz 1b
        testb $0x21, %al
        jnz failed
        andb %ah, %al
        cmpb $0x80, %ah
        je 2f
        testb $8, %al
        jz 1b
2:      ret

tell:
        movw $0x3f8, %dx
        movw $4, %cx
1:      rolw $4, %bp
        movw %bp, %ax
        andb $15, %al
        addb $'0', %al
        cmpb $'9', %al
        jbe 2f
        addb $39, %al
2:      outb %al, %dx
        decw %cx
        jnz 1b
        movb $10, %al
        outb %al, %dx
        ret

failed:
        movw $0x3f8, %dx
        movb $'!', %al
        outb %al, %dx
        movb $10, %al
        outb %al, %dx
1:      hlt
        jmp 1b
        .org 0xfff0
        ljmp $0xf000, $_start
        .org 0x10000
