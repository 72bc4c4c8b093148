/// What can be done with the volumes of a host: by its ``VolumeManager`` at home, by a ``VolumeAPI`` from anywhere.
///
/// Both throw the same ``VolumeError``, so that code which uses volumes does not care where they are.
public protocol VolumeOperations: Sendable {
    /// Makes a volume; the same request again finds it made.
    ///
    /// - Throws: `insufficientSpace`; `conflict` where there is one of this id and another size; `invalidInput`.
    func createVolume(_ request: CreateVolume) async throws -> Volume

    /// Removes a volume; that there is none is as good.
    func deleteVolume(_ id: VolumeID) async throws

    /// Makes a volume larger.
    ///
    /// - Throws: `notFound`, `insufficientSpace`, `conflict` where its state does not allow it, `invalidInput` where it is
    ///   larger already.
    func extendVolume(_ id: VolumeID, to size: Int) async throws -> Volume

    /// Reads one volume.
    ///
    /// - Throws: `notFound`.
    func volume(_ id: VolumeID) async throws -> Volume

    /// Reads all volumes, ordered by id.
    func volumes() async throws -> [Volume]

    /// Reads what the host can do; measured anew if `discover`, or else as it was reported last.
    func capabilities(discover: Bool) async throws -> Capabilities
}
