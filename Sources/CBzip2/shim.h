#ifndef STEWARD_CBZIP2_SHIM_H
#define STEWARD_CBZIP2_SHIM_H

#include <bzlib.h>

#endif
