// Tells ThreadSanitizer of the waiting side of Swift's Mutex; preloaded into the tests.
//
// Taking and leaving a mutex that nobody else wants is inlined where it is used, and so is seen by the sanitizer. Where
// somebody has to wait, it is done by the kernel, called from the library Synchronization, which was built without the
// sanitizer: without a word, it would report what a mutex protects as a race. The two functions that wait and wake are
// replaced by ones that say so and then call them. Nothing is suppressed: a race that no mutex excludes is reported.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

// _MutexHandle._lockSlow(UInt32) and _MutexHandle._unlockSlow()
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

static void (*acquire)(void *address);
static void (*release)(void *address);
static SWIFT void (*wait_for_lock)(uint32_t thread, SELF void *handle);
static SWIFT void (*wake_next)(SELF void *handle);

static void *find(void *where, const char *name) {
    void *found = dlsym(where, name);
    if (!found) {
        fprintf(stderr, "mutex.c: %s is not there: nothing would be seen of what waits for a mutex\n", name);
        abort();
    }
    return found;
}

__attribute__((constructor)) static void prepare(void) {
    acquire = find(RTLD_DEFAULT, "__tsan_acquire");
    release = find(RTLD_DEFAULT, "__tsan_release");
    wait_for_lock = find(RTLD_NEXT, LOCK);
    wake_next = find(RTLD_NEXT, UNLOCK);
    // The tests' own children have no sanitizer.
    unsetenv("LD_PRELOAD");
}

SWIFT void lock_slowly(uint32_t thread, SELF void *handle) __asm__(LOCK);
SWIFT void lock_slowly(uint32_t thread, SELF void *handle) {
    wait_for_lock(thread, handle);
    acquire(handle);
}

SWIFT void unlock_slowly(SELF void *handle) __asm__(UNLOCK);
SWIFT void unlock_slowly(SELF void *handle) {
    release(handle);
    wake_next(handle);
}
