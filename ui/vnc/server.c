/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.c - VNC: the first screen for viewers, keys and pointer from them
 *
 * Models   the RFB protocol 3.8, as libvncserver speaks it: encodings, authentication, WebSocket are its work
 * Omits    TLS, SASL, reverse connections, absolute pointers, an adapter's own cursor, clipboards (what viewers send is dropped)
 * Wires    ui/console.h for the picture, ui/input.h for keys and pointer
 * Threads  one of its own turns the library, over a copy of the picture; the main loop fills the copy and hears the keys. `mutex` guards the copy, the
 *          password and what query-vnc tells; it is a leaf
 * Tests    tests/unit/vnc.c, tests/guest/vnc.py
 *
 * The library waits in select() and for slow viewers, and would abort on descriptors that select() does not take: here it holds up nobody but other
 * viewers, for VIEWER_WAIT_MS at most, and such descriptors are closed before it sees them. It is opened when -vnc asks for it.
 */
#include "ui/vnc/vnc.h"
#include "base/error.h"
#include "base/field.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/secret.h"
#include "base/socket-address.h"
#include "base/timer.h"
#include "ui/console.h"
#include "ui/input.h"
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

enum { FIRST_PORT = 5900, FIRST_WEB_PORT = 5700, VIEWERS_MOST = 16, VIEWER_WAIT_MS = 3000, EVENTS_MOST = 512, PASSWORD_MOST = 8 };
enum { TURN_US = 20000, LIVELY_MS = 33, CALM_MS = 100, CALM_AFTER = 30, BLANK_WIDTH = 640, BLANK_HEIGHT = 480 };

/* The library's functions that are called. */
static struct {
    rfbScreenInfoPtr (*get_screen)(int *, char **, int, int, int, int, int);
    void (*init_server)(rfbScreenInfoPtr);
    void (*new_framebuffer)(rfbScreenInfoPtr, char *, int, int, int, int, int);
    void (*mark)(rfbScreenInfoPtr, int, int, int, int);
    rfbBool (*process_events)(rfbScreenInfoPtr, long);
    rfbClientPtr (*new_client)(rfbScreenInfoPtr, rfbSocket);
    void (*shutdown)(rfbScreenInfoPtr, rfbBool);
    void (*cleanup)(rfbScreenInfoPtr);
    void (*encrypt)(unsigned char *, char *);
    void (*log_enable)(int);
    int *client_wait;
} lib;

typedef struct Vnc {
    char *where;                           /* as asked for */
    SocketAddresses address, web_address;
    int listening, web_listening, wake;    /* -1: none */
    bool needs_password;
    int share;
    pthread_t thread;
    bool running;
    /* main loop */
    Console *console;
    Timer timer;
    unsigned calm;                         /* turns in which nothing changed */
    unsigned buttons;
    int x, y;
    bool has_place;
    /* mutex */
    pthread_mutex_t mutex;
    uint32_t *copy;                        /* 0x00BBGGRR: the library's order */
    unsigned width, height;
    bool resized;
    unsigned left, top, right, bottom;     /* what has changed; left >= right: nothing */
    char *password;
    bool stop;
    /* atomics */
    unsigned viewers, events;
    /* the thread's */
    rfbScreenInfoPtr screen;
    uint32_t *shown;
} Vnc;

static Vnc *server;                        /* one is enough for one screen */
static const char *const shares[] = { "allow-exclusive", "force-shared", "ignore", NULL };

/* ---- the library ---- */

static bool open_library(GError **err)
{
    static void *handle;
    const struct { void *place; const char *name; } functions[] = {
        { &lib.get_screen, "rfbGetScreen" }, { &lib.init_server, G_STRINGIFY(rfbInitServer) }, { &lib.new_framebuffer, "rfbNewFramebuffer" },
        { &lib.mark, "rfbMarkRectAsModified" }, { &lib.process_events, "rfbProcessEvents" }, { &lib.new_client, "rfbNewClient" },
        { &lib.shutdown, "rfbShutdownServer" }, { &lib.cleanup, "rfbScreenCleanup" }, { &lib.encrypt, "rfbEncryptBytes" },
        { &lib.log_enable, "rfbLogEnable" }, { &lib.client_wait, "rfbMaxClientWait" },
    };

    if (!handle && !(handle = dlopen("libvncserver.so.1", RTLD_NOW | RTLD_LOCAL))) {
        return fail(err, ENOENT, "VNC needs the library libvncserver.so.1: install Debian's package libvncserver1");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        void *symbol = dlsym(handle, functions[i].name);
        if (!symbol) {
            return fail(err, ENOSYS, "VNC: this libvncserver.so.1 has no %s", functions[i].name);
        }
        memcpy(functions[i].place, &symbol, sizeof symbol);
    }
    return true;
}

/* ---- from viewers: the thread, then the main loop ---- */

typedef struct News {
    Vnc *vnc;
    bool key, down;
    uint32_t keysym;
    unsigned buttons;
    int x, y;
} News;

static void press_buttons(Vnc *vnc, unsigned now)
{
    static const InputButton buttons[] = { INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT, INPUT_WHEEL_UP, INPUT_WHEEL_DOWN };

    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        if ((now ^ vnc->buttons) & 1u << i) {
            input_button(buttons[i], now >> i & 1);
        }
    }
    vnc->buttons = now;
}

static void hear(void *opaque)
{
    g_autofree News *news = opaque;
    Vnc *vnc = news->vnc;

    __atomic_fetch_sub(&vnc->events, 1, __ATOMIC_RELAXED);
    vnc->calm = 0;
    if (news->key) {
        unsigned key = vnc_key_of(news->keysym);
        if (key) {
            input_key(key, news->down);
        }
    } else {
        if (vnc->has_place && (news->x != vnc->x || news->y != vnc->y)) {
            input_motion(news->x - vnc->x, news->y - vnc->y);
        }
        vnc->x = news->x;
        vnc->y = news->y;
        vnc->has_place = true;
        press_buttons(vnc, news->buttons);
    }
    input_sync();
}

/* A viewer that says more than is heard loses it. */
static void tell(Vnc *vnc, News news)
{
    if (__atomic_add_fetch(&vnc->events, 1, __ATOMIC_RELAXED) > EVENTS_MOST) {
        __atomic_fetch_sub(&vnc->events, 1, __ATOMIC_RELAXED);
        return;
    }
    news.vnc = vnc;
    loop_post(hear, g_memdup2(&news, sizeof news));
}

static void heard_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
    tell(client->screen->screenData, (News){ .key = true, .down = down, .keysym = keysym });
}

static void heard_pointer(int buttons, int x, int y, rfbClientPtr client)
{
    tell(client->screen->screenData, (News){ .buttons = (unsigned)buttons, .x = x, .y = y });
}

static void heard_text(char *text, int length, rfbClientPtr client)
{
    (void)text;
    (void)length;
    (void)client;
}

/* ---- viewers come and go: the thread ---- */

static void schedule(void *opaque);

static void viewer_gone(rfbClientPtr client)
{
    __atomic_fetch_sub(&((Vnc *)client->screen->screenData)->viewers, 1, __ATOMIC_RELAXED);
}

static enum rfbNewClientAction viewer_came(rfbClientPtr client)
{
    Vnc *vnc = client->screen->screenData;

    __atomic_fetch_add(&vnc->viewers, 1, __ATOMIC_RELAXED);
    client->clientGoneHook = viewer_gone;
    loop_post(schedule, vnc);
    return RFB_CLIENT_ACCEPT;
}

/* No password yet lets nobody in. */
static rfbBool password_fits(rfbClientPtr client, const char *response, int length)
{
    Vnc *vnc = client->screen->screenData;
    unsigned char expected[CHALLENGESIZE];
    char password[PASSWORD_MOST + 1] = "";
    unsigned differ = 0;
    bool known;

    {
        LOCK_SCOPE(&vnc->mutex);
        known = vnc->password && *vnc->password;
        g_strlcpy(password, vnc->password ? vnc->password : "", sizeof password);
    }
    if (!known || length != CHALLENGESIZE) {
        return FALSE;
    }
    memcpy(expected, client->authChallenge, sizeof expected);
    lib.encrypt(expected, password);
    for (unsigned i = 0; i < CHALLENGESIZE; i++) {
        differ |= expected[i] ^ (unsigned char)response[i];
    }
    return differ == 0;
}

static void take_viewer(Vnc *vnc, int listening)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }
    if (fd >= FD_SETSIZE || __atomic_load_n(&vnc->viewers, __ATOMIC_RELAXED) >= VIEWERS_MOST) {
        close(fd);
    } else {
        lib.new_client(vnc->screen, fd);
    }
}

/* ---- the picture: the thread's side ---- */

/* True: something has changed. */
static bool take_picture(Vnc *vnc)
{
    uint32_t *old = NULL;
    bool changed;

    {
        LOCK_SCOPE(&vnc->mutex);
        changed = vnc->resized || vnc->left < vnc->right;
        if (vnc->resized) {
            old = vnc->shown;
            vnc->shown = g_memdup2(vnc->copy, (size_t)vnc->width * vnc->height * sizeof *vnc->copy);
            lib.new_framebuffer(vnc->screen, (char *)vnc->shown, (int)vnc->width, (int)vnc->height, 8, 3, 4);
            vnc->resized = false;
        } else if (vnc->left < vnc->right) {
            for (unsigned y = vnc->top; y < vnc->bottom; y++) {
                size_t at = (size_t)y * vnc->width + vnc->left;
                memcpy(vnc->shown + at, vnc->copy + at, (vnc->right - vnc->left) * sizeof *vnc->copy);
            }
            lib.mark(vnc->screen, (int)vnc->left, (int)vnc->top, (int)vnc->right, (int)vnc->bottom);
        }
        vnc->left = vnc->right = 0;
    }
    g_free(old);
    return changed;
}

static void *turn(void *opaque)
{
    Vnc *vnc = opaque;

    for (;;) {
        bool alone = __atomic_load_n(&vnc->viewers, __ATOMIC_RELAXED) == 0;
        struct pollfd fds[3] = { { vnc->wake, POLLIN, 0 }, { vnc->listening, POLLIN, 0 }, { vnc->web_listening, POLLIN, 0 } };
        poll(fds, G_N_ELEMENTS(fds), alone ? -1 : 0);
        if (fds[0].revents & POLLIN) {
            LOCK_SCOPE(&vnc->mutex);
            if (vnc->stop) {
                return NULL;
            }
        }
        for (unsigned i = 1; i < G_N_ELEMENTS(fds); i++) {
            if (fds[i].revents & POLLIN) {
                take_viewer(vnc, fds[i].fd);
            }
        }
        lib.process_events(vnc->screen, take_picture(vnc) ? 0 : TURN_US);
    }
}

/* ---- the picture: the main loop's side ---- */

static void saw_size(void *opaque, const Surface *surface)
{
    Vnc *vnc = opaque;

    LOCK_SCOPE(&vnc->mutex);
    g_free(vnc->copy);
    vnc->copy = g_new0(uint32_t, (size_t)surface->width * surface->height);
    vnc->width = surface->width;
    vnc->height = surface->height;
    vnc->resized = true;
    vnc->calm = 0;
}

static void saw_change(void *opaque, unsigned x, unsigned y, unsigned width, unsigned height)
{
    Vnc *vnc = opaque;
    const Surface *surface = console_surface(vnc->console);

    LOCK_SCOPE(&vnc->mutex);
    for (unsigned row = y; row < y + height; row++) {
        const uint32_t *from = surface->pixels + (size_t)row * surface->width + x;
        uint32_t *to = vnc->copy + (size_t)row * vnc->width + x;
        for (unsigned i = 0; i < width; i++) {
            to[i] = (from[i] & 0xff) << 16 | (from[i] & 0xff00) | (from[i] >> 16 & 0xff);
        }
    }
    bool nothing = vnc->left >= vnc->right;
    vnc->left = nothing ? x : MIN(vnc->left, x);
    vnc->top = nothing ? y : MIN(vnc->top, y);
    vnc->right = nothing ? x + width : MAX(vnc->right, x + width);
    vnc->bottom = nothing ? y + height : MAX(vnc->bottom, y + height);
    vnc->calm = 0;
}

static const ConsoleViewer viewer = { .resized = saw_size, .changed = saw_change };

/* While somebody looks, some thirty times a second; ten times where nothing has moved for a while. */
static void schedule(void *opaque)
{
    Vnc *vnc = opaque;

    if (__atomic_load_n(&vnc->viewers, __ATOMIC_RELAXED) && !timer_armed(&vnc->timer)) {
        timer_arm(&vnc->timer, clock_now(CLOCK_STEADY) + (vnc->calm < CALM_AFTER ? LIVELY_MS : CALM_MS) * NS_PER_MS);
    }
}

static void refresh(void *opaque)
{
    Vnc *vnc = opaque;

    if (!vnc->console && (vnc->console = console_first())) {
        console_watch(vnc->console, &viewer, vnc);
    }
    vnc->calm++;
    if (vnc->console) {
        console_update(vnc->console);
    }
    schedule(vnc);
}

/* ---- life ---- */

/* "HOST:N" or "unix:PATH" to where to listen; web: WebSocket's port instead. */
static bool read_place(const char *where, uint64_t to, const char *web, SocketSpelling *spelling, GError **err)
{
    const char *colon = strrchr(where, ':');
    uint64_t display = 0, port = 0;

    *spelling = (SocketSpelling){ .to = 0 };
    if (g_str_has_prefix(where, "unix:")) {
        spelling->path = g_strdup(where + strlen("unix:"));
        return (*spelling->path && !web) || fail(err, EINVAL, web ? "websocket= needs a display number, not a path" : "unix: needs a path");
    }
    if (!colon || !parse_uint(colon + 1, &display) || display > 65535 - FIRST_PORT) {
        return fail(err, EINVAL, "'%s' is not HOST:DISPLAY, where display N is port %d + N, or unix:PATH, or none", where, FIRST_PORT);
    }
    if (web && strcmp(web, "on") != 0 && (!parse_uint(web, &port) || port == 0 || port > 65535)) {
        return fail(err, EINVAL, "websocket=%s is neither on nor a port", web);
    }
    port = web ? (port ? port : FIRST_WEB_PORT + display) : FIRST_PORT + display;
    bool brackets = *where == '[' && colon > where + 1 && colon[-1] == ']';
    spelling->host = brackets ? g_strndup(where + 1, (size_t)(colon - where) - 2) : g_strndup(where, (size_t)(colon - where));
    spelling->port = g_strdup_printf("%u", (unsigned)port);
    spelling->to = to && !web ? (uint32_t)MIN(FIRST_PORT + to, 65535) : 0;
    return true;
}

static bool listen_at(Vnc *vnc, const Value *config, const char *web, SocketAddresses *addresses, int *fd, GError **err)
{
    SocketSpelling spelling;
    bool good = read_place(vnc->where, value_get_uint(config, "to", 0), web, &spelling, err);

    if (good) {
        good = socket_resolve(addresses, &spelling, true, "vnc", err) && (*fd = socket_listen(addresses, "vnc", 8, err)) >= 0;
    }
    g_free(spelling.host);
    g_free(spelling.port);
    g_free(spelling.path);
    return good;
}

bool vnc_check(const Value *config, GError **err)
{
    static const char *const refused[] = { "reverse", "tls-creds", "tls-authz", "sasl", "sasl-authz", "acl", "power-control", NULL };
    const char *where = value_get_string(config, "vnc", ""), *share = value_get_string(config, "share", "allow-exclusive");
    SocketSpelling spelling;

    for (const char *const *key = refused; *key; key++) {
        const char *text = value_get_string(config, *key, NULL);
        if (value_get(config, *key) && g_strcmp0(text, "off") != 0) {
            return fail(err, ENOTSUP, "%s= is not supported", *key);
        }
    }
    if (!g_strv_contains(shares, share)) {
        return fail(err, EINVAL, "share=%s is none of allow-exclusive, force-shared, ignore", share);
    }
    if (strcmp(where, "none") == 0) {
        return true;
    }
    bool good = read_place(where, 0, value_get_string(config, "websocket", NULL), &spelling, err);
    g_free(spelling.host);
    g_free(spelling.port);
    g_free(spelling.path);
    return good;
}

static void make_screen(Vnc *vnc)
{
    vnc->width = BLANK_WIDTH;
    vnc->height = BLANK_HEIGHT;
    vnc->copy = g_new0(uint32_t, BLANK_WIDTH * BLANK_HEIGHT);
    vnc->shown = g_new0(uint32_t, BLANK_WIDTH * BLANK_HEIGHT);
    lib.log_enable(0);
    *lib.client_wait = VIEWER_WAIT_MS;
    vnc->screen = lib.get_screen(NULL, NULL, BLANK_WIDTH, BLANK_HEIGHT, 8, 3, 4);
    vnc->screen->frameBuffer = (char *)vnc->shown;
    vnc->screen->desktopName = "Roost";
    vnc->screen->screenData = vnc;
    vnc->screen->cursor = NULL;
    vnc->screen->port = vnc->screen->ipv6port = 0;         /* no listening of its own */
    vnc->screen->autoPort = FALSE;
    vnc->screen->alwaysShared = vnc->share != 0;
    vnc->screen->permitFileTransfer = FALSE;
    vnc->screen->kbdAddEvent = heard_key;
    vnc->screen->ptrAddEvent = heard_pointer;
    vnc->screen->setXCutText = heard_text;
    vnc->screen->newClientHook = viewer_came;
    if (vnc->needs_password) {
        vnc->screen->authPasswdData = vnc;
        vnc->screen->passwordCheck = password_fits;
    }
    lib.init_server(vnc->screen);
}

static void vnc_free(Vnc *vnc)
{
    int *const fds[] = { &vnc->listening, &vnc->web_listening, &vnc->wake };

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
    }
    socket_unlink(&vnc->address);
    socket_addresses_clear(&vnc->address);
    socket_addresses_clear(&vnc->web_address);
    g_free(vnc->copy);
    g_free(vnc->shown);
    g_free(vnc->password);
    g_free(vnc->where);
    g_free(vnc);
}

static bool take_secret(Vnc *vnc, const char *id, GError **err)
{
    g_auto(Secret) secret = { 0 };

    if (!secret_get_text(id, &secret, err)) {
        return false;
    }
    vnc->needs_password = true;
    vnc->password = g_strndup((const char *)secret.bytes, PASSWORD_MOST);
    return true;
}

static bool begin(Vnc *vnc, const Value *config, GError **err)
{
    const char *secret = value_get_string(config, "password-secret", NULL);
    const char *web = value_get_string(config, "websocket", NULL);

    vnc->where = g_strdup(value_get_string(config, "vnc", ""));
    vnc->needs_password = value_get_flag(config, "password", false);
    vnc->share = strcmp(value_get_string(config, "share", "allow-exclusive"), "allow-exclusive") != 0;
    pthread_mutex_init(&vnc->mutex, NULL);
    timer_init(&vnc->timer, CLOCK_STEADY, refresh, vnc);
    if (!open_library(err) || (secret && !take_secret(vnc, secret, err)) || !listen_at(vnc, config, NULL, &vnc->address, &vnc->listening, err) ||
        (web && strcmp(web, "off") != 0 && !listen_at(vnc, config, web, &vnc->web_address, &vnc->web_listening, err))) {
        return false;
    }
    if ((vnc->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        return fail(err, errno, "vnc: no descriptor for its thread: %s", g_strerror(errno));
    }
    make_screen(vnc);
    vnc->running = pthread_create(&vnc->thread, NULL, turn, vnc) == 0;
    return vnc->running || fail(err, EAGAIN, "vnc: the host has no thread for it");
}

bool vnc_start(const Value *config, GError **err)
{
    if (!vnc_check(config, err)) {
        return false;
    }
    if (strcmp(value_get_string(config, "vnc", ""), "none") == 0) {
        return true;
    }
    if (server) {
        return fail(err, ENOTSUP, "-vnc: one server is all there is; give it once");
    }
    Vnc *vnc = g_new0(Vnc, 1);
    vnc->listening = vnc->web_listening = vnc->wake = -1;
    if (!begin(vnc, config, err)) {
        vnc_free(vnc);
        return false;
    }
    server = vnc;
    return true;
}

void vnc_stop_all(void)
{
    Vnc *vnc = g_steal_pointer(&server);
    uint64_t one = 1;

    if (!vnc) {
        return;
    }
    timer_cancel(&vnc->timer);
    if (vnc->console && console_first() == vnc->console) {
        console_unwatch(vnc->console, vnc);
    }
    {
        LOCK_SCOPE(&vnc->mutex);
        vnc->stop = true;
    }
    if (write(vnc->wake, &one, sizeof one) == sizeof one) {
        pthread_join(vnc->thread, NULL);
        lib.shutdown(vnc->screen, TRUE);
        lib.cleanup(vnc->screen);
        vnc_free(vnc);
    }
}

/* ---- what is asked about it ---- */

bool vnc_set_password(const char *password, GError **err)
{
    if (!server || !server->needs_password) {
        return fail(err, ENOENT, server ? "the VNC server was started without password=on" : "there is no VNC server");
    }
    LOCK_SCOPE(&server->mutex);
    g_free(server->password);
    server->password = g_strndup(password, PASSWORD_MOST);
    return true;
}

Value *vnc_query(void)
{
    Value *info = value_new_object();

    value_set(info, "enabled", value_new_bool(server != NULL));
    if (!server) {
        return info;
    }
    g_autofree char *name = socket_name(server->listening);
    const char *tcp = name && g_str_has_prefix(name, "tcp:") ? name + 4 : NULL, *colon = tcp ? strrchr(tcp, ':') : NULL;
    g_autofree char *host = colon ? g_strndup(tcp, (size_t)(colon - tcp)) : g_strdup(name && !tcp ? name + strlen("unix:") : "");
    value_set(info, "host", value_new_string(host));
    value_set(info, "service", value_new_string(colon ? colon + 1 : ""));
    value_set(info, "family", value_new_string(!tcp ? "unix" : strchr(host, ':') ? "ipv6" : "ipv4"));
    value_set(info, "auth", value_new_string(server->needs_password ? "vnc" : "none"));
    value_set(info, "clients", value_new_list());
    return info;
}
