#ifndef STEWARD_CRABBITMQ_SHIM_H
#define STEWARD_CRABBITMQ_SHIM_H

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

// librabbitmq lends the SSL_CTX of a connection (amqp_ssl_socket_get_context). What it has no function for (trusting
// the system's authorities, another name to expect, why a certificate was refused) is set there directly.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// The C library's module for Swift leaves these headers out; a connection's thread is woken by an eventfd.
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

// prctl is variadic, which Swift cannot call. The name shows in debuggers and in /proc; 15 characters are kept.
static inline void steward_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

#endif
