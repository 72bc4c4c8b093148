internal import AMQPClient
internal import Messaging

/// A message on its way over a connection, as the RPC layer sees it.
final class PostedMessage: PendingSend {
    private let sending: any AMQPSending

    init(_ sending: any AMQPSending) {
        self.sending = sending
    }

    var isConfirmed: Bool { self.sending.isConfirmed }

    func withdraw() {
        self.sending.withdraw()
    }
}
