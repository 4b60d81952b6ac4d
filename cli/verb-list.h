/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verb-list.h - the rows of all verbs, each declared at the end of the file that has its function */
#pragma once
#include "cli/verb.h"

/* verb-show.c */    extern const VerbSpec verb_list, verb_dominfo, verb_domstate, verb_domid, verb_domname, verb_domuuid;
/* verb-life.c */    extern const VerbSpec verb_suspend, verb_resume, verb_shutdown, verb_reboot, verb_reset, verb_destroy;
/* verb-define.c */  extern const VerbSpec verb_define, verb_undefine, verb_dumpxml, verb_edit;
/* verb-start.c */   extern const VerbSpec verb_start, verb_create;
/* verb-block.c */   extern const VerbSpec verb_domblklist, verb_domblkinfo, verb_change_media, verb_attach_disk, verb_detach_disk;
/* verb-stats.c */   extern const VerbSpec verb_domstats, verb_domiflist, verb_vcpuinfo, verb_setmem;
/* verb-screen.c */  extern const VerbSpec verb_screenshot, verb_send_key;
/* verb-console.c */ extern const VerbSpec verb_console;
/* verb-wait.c */    extern const VerbSpec verb_wait;
/* verb-net.c */     extern const VerbSpec verb_net_list, verb_net_info, verb_net_dumpxml, verb_pool_list, verb_vol_list;
/* verb-host.c */    extern const VerbSpec verb_nodeinfo, verb_host_validate;
/* verb-capabilities.c */ extern const VerbSpec verb_capabilities, verb_domcapabilities;
/* verb-monitor.c */ extern const VerbSpec verb_qmp, verb_hmp, verb_log;
