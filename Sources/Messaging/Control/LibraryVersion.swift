/// The version of this library and of the programs that come with it.
package enum LibraryVersion {
    package static let current = "0.1.0"
}
