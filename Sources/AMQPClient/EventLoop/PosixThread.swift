internal import CRabbitMQ
import Glibc

/// Threads that this module owns: one per connection, and one for as long as a socket is being opened.
enum PosixThread {
    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a detached thread.
    ///
    /// The stack is large because librabbitmq decodes nested tables by recursion, and a peer may nest as deeply as
    /// a frame allows; only pages that are touched take memory.
    ///
    /// - Returns: whether the system could start it.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setstacksize(&attributes, 16 << 20)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = unsafe Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                unsafe steward_name_thread(start.name)
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
