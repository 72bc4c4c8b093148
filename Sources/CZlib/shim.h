#ifndef STEWARD_CZLIB_SHIM_H
#define STEWARD_CZLIB_SHIM_H

#include <zlib.h>

#endif
