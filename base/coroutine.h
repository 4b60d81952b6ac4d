/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coroutine.h - functions that wait by yielding
 *
 * A coroutine runs on a stack of its own until it yields, and goes on when somebody enters it again. It stays on the
 * thread that entered it first; coroutines may enter other coroutines, a yield goes back to whoever entered.
 */
#pragma once
#include <stdbool.h>

typedef struct Coroutine Coroutine;

/* Made but not started; the first coroutine_enter() calls entry(opaque). When entry returns, the coroutine is gone.
 * One that is never entered leaks. */
Coroutine *coroutine_new(void (*entry)(void *opaque), void *opaque);
/* Runs it until it yields or ends. Never one that is running already. */
void coroutine_enter(Coroutine *coroutine);
void coroutine_yield(void);                /* inside a coroutine only */
Coroutine *coroutine_self(void);           /* NULL outside of all */
