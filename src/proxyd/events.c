/* The daemon's log events: name, level, what it means and what to do. The manual's section LOG lists them. */
#include "base/log.h"

#include "proxyd/server.h"

#define EVENT(symbol, name, level, meaning) const struct log_event symbol = {name, level, meaning};

EVENT(ev_conn_limit, "connection_refused", LOG_LEVEL_WARNING,
      "a connection was closed at a limit (max_connections, max_connections_per_uid, or the service's): see who holds "
      "them")
EVENT(ev_conn_descriptors, "descriptors_exhausted", LOG_LEVEL_ERROR,
      "no descriptor was left: raise LimitNOFILE or lower max_connections")
EVENT(ev_request_refused, "request_refused", LOG_LEVEL_WARNING,
      "too many requests of the service wait (max_queued): its KDC or name service is slow")
EVENT(ev_request_late, "request_late", LOG_LEVEL_WARNING,
      "a call was answered with an error at its deadline: the KDC or the name service does not answer")
EVENT(ev_no_service, "no_service", LOG_LEVEL_NOTICE,
      "a request matched no service and the connection was closed: compare uid, program and socket with the "
      "configuration")
EVENT(ev_bad_message, "bad_message", LOG_LEVEL_WARNING, "a client sent what is not the protocol and was disconnected")
EVENT(ev_call_failed, "call_failed", LOG_LEVEL_NOTICE, "a call ended with a GSS failure; the reason says what to do")
EVENT(ev_call, "call", LOG_LEVEL_INFO, "a call was executed (debug_level 1 and more)")
EVENT(ev_krb5_trace, "krb5_trace", LOG_LEVEL_DEBUG, "libkrb5's trace (debug_level 3 and more)")
EVENT(ev_reload_failed, "reload_failed", LOG_LEVEL_ERROR, "the new configuration is wrong; the old one stays in force")
EVENT(ev_config_warning, "config_warning", LOG_LEVEL_WARNING, "something in the configuration is ignored")
EVENT(ev_sandbox, "sandbox", LOG_LEVEL_NOTICE,
      "a part of the sandbox is missing, because the kernel lacks it or refuses it; serving goes on without it")
EVENT(ev_keys_failed, "keys_failed", LOG_LEVEL_ERROR,
      "the keys that seal handles could not be read or renewed; the ones in use stay")
EVENT(ev_kernel_waits, "kernel_waits", LOG_LEVEL_NOTICE,
      "the kernel's NFS server cannot be told of us until auth_rpcgss is loaded; it is tried again")
EVENT(ev_kernel_busy, "kernel_busy", LOG_LEVEL_ERROR,
      "the kernel took a request before any daemon was there and now uses the old way: reload auth_rpcgss, or reboot")
EVENT(ev_kernel_failed, "kernel_failed", LOG_LEVEL_ERROR, "the kernel could not be told of us; it is tried again")
EVENT(ev_kernel_done, "kernel_registered", LOG_LEVEL_NOTICE, "the kernel's NFS server knows of us")
EVENT(ev_start_failed, "start_failed", LOG_LEVEL_ERROR, "the daemon could not start")
EVENT(ev_thread_failed, "thread_failed", LOG_LEVEL_ERROR, "no thread could be started: raise TasksMax or memory")
EVENT(ev_log_lost, "log_lost", LOG_LEVEL_WARNING,
      "so many lines of the log were lost before this one: whoever reads standard error had stopped, or refused them")
EVENT(ev_audit_failed, "audit_failed", LOG_LEVEL_ERROR,
      "audit lines cannot be written (a full disk?): calls go on; said once until one is written again")
EVENT(ev_audit_lost, "audit_lost", LOG_LEVEL_ERROR,
      "so many audit lines were lost: their file could not be written, or their reader had stopped or gone; they are "
      "written again")
