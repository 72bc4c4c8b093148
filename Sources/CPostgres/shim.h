#ifndef STEWARD_CPOSTGRES_SHIM_H
#define STEWARD_CPOSTGRES_SHIM_H

#include <libpq-fe.h>

// The C library's module for Swift leaves these headers out; a connection's thread is woken by an eventfd.
#include <sys/eventfd.h>
#include <sys/prctl.h>

// prctl is variadic, which Swift cannot call. The name shows in debuggers and in /proc; 15 characters are kept.
static inline void steward_name_postgresql_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

// Character constants, which Swift does not see.
enum { steward_postgresql_state = PG_DIAG_SQLSTATE, steward_postgresql_message = PG_DIAG_MESSAGE_PRIMARY };

#endif
