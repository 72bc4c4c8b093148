internal import Messaging

extension ServiceConfiguration {
    /// This configuration with the mutable options of a later reading, and in what the two readings differ.
    ///
    /// - Throws: `invalidConfiguration` where the later one has lost the section of a backend.
    func taking(
        _ later: ServiceConfiguration
    ) throws(ServiceError) -> (configuration: ServiceConfiguration, changes: [ServiceOptionChange]) {
        var result = self
        result.warnings = later.warnings
        var changes: [ServiceOptionChange] = []
        for option in self.options {
            let name = option.fullName
            guard let old = self.values[name], let new = later.values[name] else { continue }
            if let change = ServiceOptionChange(option, in: name.section, old, new) {
                changes.append(change)
                if option.isMutable { result.values[name] = new }
            }
        }
        for (section, backend) in self.backends.sorted(by: { $0.key < $1.key }) where backend.hasSection {
            // One that is no longer enabled waits for a restart, as what is enabled does.
            guard let other = later.backends[section] else { continue }
            guard other.hasSection else {
                throw ServiceError(.invalidConfiguration, Self.noSection(section))
            }
            for option in self.options where option.isPerBackend {
                guard let old = backend.values[option.name], let new = other.values[option.name],
                    let change = ServiceOptionChange(option, in: section, old, new)
                else { continue }
                changes.append(change)
                if option.isMutable { result.backends[section]?.values[option.name] = new }
            }
        }
        return (result, changes)
    }

    /// This configuration as it is for a manager.
    func view(ofBackend backend: String?) -> ServiceConfiguration {
        var view = self
        view.backendName = backend
        return view
    }

    /// Which of some changes concern a manager: not those of other backends, nor what its own backend has for itself.
    func concerning(_ backend: String?, _ changes: [ServiceOptionChange]) -> [ServiceOptionChange] {
        let perBackend = Set(self.options.filter(\.isPerBackend).map(\.fullName))
        return changes.filter { change in
            guard let backend else { return self.backends[change.section] == nil }
            if change.section == backend { return true }
            let isOfOther = self.backends[change.section] != nil
            return !isOfOther && !perBackend.contains(ServiceOptionName(change.name, in: change.section))
        }
    }
}
