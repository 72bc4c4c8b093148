internal import Glibc

/// An open directory; everything in it is reached by a name relative to it, and symbolic links are never followed.
///
/// So the directory may be renamed or replaced while it is in use, and no name in it leads out of it.
struct DirectoryHandle: ~Copyable {
    /// What is known of a name.
    struct Entry: Equatable {
        let name: String
        let isFile: Bool
        let bytes: Int64
        let writtenBytes: Int64
    }

    private let descriptor: CInt

    private init(descriptor: CInt) {
        self.descriptor = descriptor
    }

    deinit {
        // A directory is only read: there is nothing whose loss close() could report.
        close(descriptor)
    }

    /// Opens a directory, and makes it and its parents where they are missing, readable by this user only.
    static func open(_ path: String) throws(SystemError) -> DirectoryHandle {
        var parent = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            parent += part
            if mkdir(parent, 0o700) != 0, errno != EEXIST { throw SystemError("make the directory \(parent)") }
            parent += "/"
        }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open the directory \(path)") }
        return DirectoryHandle(descriptor: descriptor)
    }

    /// Opens a directory in this one, and makes it where it is missing.
    func openDirectory(_ name: String) throws(SystemError) -> DirectoryHandle {
        if mkdirat(descriptor, name, 0o700) != 0, errno != EEXIST { throw SystemError("make the directory \(name)") }
        let opened = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard opened >= 0 else { throw SystemError("open the directory \(name)") }
        return DirectoryHandle(descriptor: opened)
    }

    /// Keeps other processes that lock it out of the directory, for as long as the handle lives.
    func lock() throws(SystemError) {
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw SystemError("lock the directory") }
    }

    /// Looks at a name; `nil` if there is none.
    func entry(_ name: String) throws(SystemError) -> Entry? {
        var status = stat()
        guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return nil }
            throw SystemError("look at \(name)")
        }
        return Entry(
            name: name,
            isFile: status.st_mode & S_IFMT == S_IFREG,
            bytes: Int64(status.st_size),
            // st_blocks counts blocks of 512 bytes, whatever the file system's own are.
            writtenBytes: Int64(status.st_blocks) * 512
        )
    }

    /// Lists all names.
    func entries() throws(SystemError) -> [Entry] {
        // A descriptor of its own, because reading moves a position that duplicates share.
        let listed = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard listed >= 0 else { throw SystemError("list the directory") }
        guard let stream = fdopendir(listed) else {
            let error = SystemError("list the directory")
            close(listed)
            throw error
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while true {
            errno = 0
            guard let record = readdir(stream) else {
                if errno != 0 { throw SystemError("list the directory") }
                return entries
            }
            let name = withUnsafePointer(to: &record.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            if let entry = try entry(name) { entries.append(entry) }
        }
    }

    /// Makes a file of zeros that takes no space yet; it is on the disk when this returns, but its name may not be.
    func makeSparseFile(_ name: String, bytes: Int64) throws(SystemError) {
        let file = openat(descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("make \(name)") }
        defer { close(file) }
        guard ftruncate(file, off_t(bytes)) == 0 else { throw SystemError("size \(name)") }
        guard fsync(file) == 0 else { throw SystemError("write \(name) to the disk") }
    }

    /// Makes a file larger; it is on the disk when this returns.
    func growFile(_ name: String, to bytes: Int64) throws(SystemError) {
        let file = openat(descriptor, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open \(name)") }
        defer { close(file) }
        guard ftruncate(file, off_t(bytes)) == 0 else { throw SystemError("size \(name)") }
        guard fsync(file) == 0 else { throw SystemError("write \(name) to the disk") }
    }

    /// Gives a file another name in one step.
    func rename(_ old: String, to new: String) throws(SystemError) {
        guard renameat(descriptor, old, descriptor, new) == 0 else { throw SystemError("rename \(old)") }
    }

    /// Removes a file or a symbolic link itself.
    func removeFile(_ name: String) throws(SystemError) {
        guard unlinkat(descriptor, name, 0) == 0 else { throw SystemError("remove \(name)") }
    }

    /// Writes the directory's names to the disk.
    func synchronize() throws(SystemError) {
        guard fsync(descriptor) == 0 else { throw SystemError("write the directory to the disk") }
    }

    /// The size of the file system, and what this user may still write to it, in bytes.
    func fileSystemSpace() throws(SystemError) -> (total: Int64, available: Int64) {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { throw SystemError("measure the file system") }
        func bytes(_ blocks: UInt) -> Int64 {
            let (product, overflows) = blocks.multipliedReportingOverflow(by: UInt(status.f_frsize))
            return overflows ? .max : Int64(clamping: product)
        }
        return (bytes(UInt(status.f_blocks)), bytes(UInt(status.f_bavail)))
    }
}

/// A system call that failed.
struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was tried, to follow "cannot".
    let operation: String
    /// The system's number of the error.
    let number: CInt

    /// Takes the number of the error that has just happened.
    init(_ operation: String, number: CInt = errno) {
        self.operation = operation
        self.number = number
    }

    /// Whether there is no space left: on the disk, within the user's quota, or within what one file may have.
    var isLackOfSpace: Bool { number == ENOSPC || number == EDQUOT || number == EFBIG }

    /// Whether another process has locked what was to be locked.
    var isHeldByAnother: Bool { number == EWOULDBLOCK }

    var description: String {
        let text = strerror(number).map { String(cString: $0) } ?? "error \(number)"
        return "cannot \(operation): \(text)"
    }
}
