/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm.h - what hw/ may ask of KVM when accel_name() is "kvm": lines, messages, and the in-kernel chips' state
 *
 * The state of in-kernel chips is read and written with the kernel's own structures (linux/kvm.h) by
 * hw/intc/kvm-irqchip.c, which keeps them in the same saved-state tables as the userspace chips.
 */
#pragma once
#include "accel/accel.h"

/* 0 or -errno. Machine lock held; CPU calls need the CPU paused (they run on its thread when it is not). */
int kvm_vm_ioctl(Accel *accel, unsigned long request, void *argument);
int kvm_cpu_ioctl(Cpu *cpu, unsigned long request, void *argument);
bool kvm_has(Accel *accel, int capability);
/* In-kernel or split: raise or lower a GSI (any thread). */
void kvm_set_gsi(Accel *accel, int gsi, bool level);
/* Deliver a message-signalled interrupt (any thread). */
void kvm_send_msi(Accel *accel, uint64_t address, uint32_t data);
/* A GSI that an eventfd raises. msi route when address != 0. Returns the GSI or -errno. */
int kvm_add_irqfd(Accel *accel, int fd, int resample_fd, int gsi, uint64_t address, uint32_t data);
void kvm_remove_irqfd(Accel *accel, int fd, int gsi);
/* Split irqchip: what IOAPIC pin (0 to 23) would send, so that the kernel tells of its end of interrupt; data 0: nothing. */
void kvm_set_ioapic_route(Accel *accel, int pin, uint64_t address, uint32_t data);
