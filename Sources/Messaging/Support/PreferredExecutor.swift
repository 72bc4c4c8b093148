/// Where the current task prefers to run, for a task of its own that is made on its behalf: an unstructured task does
/// not inherit that, and a test that plays with time has to know of all that runs.
package var preferredTaskExecutor: (any TaskExecutor)? {
    withUnsafeCurrentTask { $0?.unownedTaskExecutor?.asTaskExecutor() }
}
