internal import CPostgres
import Glibc

/// Threads of this module's own, which nobody joins.
enum DetachedThread {
    /// How a thread is started; answers whether the system could.
    typealias Starter = @Sendable (_ body: @escaping @Sendable () -> Void) -> Bool

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: What debuggers show; 15 characters are kept.
    ///   - body: What it does; with its end the thread ends.
    /// - Returns: Whether the system could start it.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = unsafe Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                unsafe steward_name_postgresql_thread(start.name)
                start.body()
                return nil
            },
            context.toOpaque()
        )
        if status != 0 {
            unsafe context.release()
        }
        return status == 0
    }
}
