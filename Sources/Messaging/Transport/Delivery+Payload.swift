extension RequestPayload {
    /// Reads the request that arrived.
    package init(_ delivery: Delivery, limits: JSONLimits = .default) throws(WireError) {
        try self.init(
            decoding: delivery.body,
            contentType: delivery.contentType,
            contentEncoding: delivery.contentEncoding,
            compression: delivery.compression,
            limits: limits
        )
    }
}

extension ReplyPayload {
    /// Reads the reply that arrived.
    package init(_ delivery: Delivery) throws(WireError) {
        try self.init(
            decoding: delivery.body,
            contentType: delivery.contentType,
            contentEncoding: delivery.contentEncoding,
            compression: delivery.compression
        )
    }
}
