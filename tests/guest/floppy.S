/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floppy.S - a boot sector that tries its floppy: every sector by INT 13h (DMA) into a sum, one written and read back, and one read
 * through the controller's own registers without DMA. Speaks on COM1; sums are of little-endian words.
 */
        .code16
        .globl _start
_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
        sti
        cld
        movw $0x1000, %ax
        movw %ax, %es                      /* tracks go to 1000:0000 */
        xorw %bp, %bp                      /* the sum */
        xorw %cx, %cx
        xorw %dx, %dx
track:
        movw $0x0212, %ax                  /* READ, 18 sectors */
        movb $1, %cl
        xorw %bx, %bx
        int $0x13
        jc failed
        pushw %cx
        movw $18 * 256, %cx
        xorw %si, %si
1:      addw %es:(%si), %bp
        addw $2, %si
        loop 1b
        popw %cx
        xorb $1, %dh                       /* the other head, then the next cylinder */
        jnz track
        incb %ch
        cmpb $80, %ch
        jb track
        movw %bp, %bx
        call number

        movw $0x0301, %ax                  /* WRITE this sector to the last place, and READ it from there */
        movw $0x4f12, %cx
        movw $0x0100, %dx
        pushw %es
        pushw %ds
        popw %es
        movw $0x7c00, %bx
        int $0x13
        popw %es
        jc failed
        movw $0x0201, %ax
        xorw %bx, %bx
        int $0x13
        jc failed
        movw $256, %cx
        movw $0x7c00, %si
        xorw %di, %di
        repe cmpsw
        jne failed
        call say_w

        movw $command, %si                 /* the third sector of cylinder 79, head 1, a byte at a time */
        movw $command_end - command, %cx
2:      call ready
        lodsb
        outb %al, %dx
        loop 2b
        xorw %bx, %bx
        movw $256, %cx
3:      call ready
        inb %dx, %al
        movb %al, %ah
        call ready
        inb %dx, %al
        xchgb %al, %ah
        addw %ax, %bx
        loop 3b
        movw $7, %cx                       /* the result */
4:      call ready
        inb %dx, %al
        loop 4b
        call number
        movb $'.', %al
        call put
5:      hlt
        jmp 5b

failed:
        movb $'!', %al
        call put
        movb %ah, %bl
        call number
6:      hlt
        jmp 6b

say_w:
        movb $'w', %al
        jmp put
/* %bx in hexadecimal, and a blank. */
number:
        movw $4, %cx
7:      rolw $4, %bx
        movb %bl, %al
        andb $15, %al
        cmpb $10, %al
        jb 8f
        addb $'a' - '0' - 10, %al
8:      addb $'0', %al
        call put
        loop 7b
        movb $' ', %al
put:
        pushw %dx
        pushw %ax
        movw $0x3fd, %dx
9:      inb %dx, %al
        testb $0x20, %al
        jz 9b
        popw %ax
        movw $0x3f8, %dx
        outb %al, %dx
        popw %dx
        ret
/* Until the controller takes or gives a byte; %dx is its FIFO afterwards. */
ready:
        pushw %ax
        movw $0x3f4, %dx
10:     inb %dx, %al
        testb $0x80, %al
        jz 10b
        popw %ax
        incw %dx
        ret
command:
        .byte 0x03, 0xaf, 0x03             /* SPECIFY: without DMA */
        .byte 0x46, 0x04, 79, 1, 3, 2, 3, 0x1b, 0xff
command_end:
        .org 510
        .word 0xaa55
