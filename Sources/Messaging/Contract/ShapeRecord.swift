/// Finds the shape of `Decodable` types: lets them read from nothing, and notes what they ask for.
///
/// Confined to one search; what was found of a type is kept for the next place where it stands.
final class ShapeSearch {
    /// What a type is given to read; types may check what they read, and one of these may please them.
    struct Offer {
        let text: String
        let number: Int
    }

    private static let offers = [
        Offer(text: "", number: 0),
        Offer(text: "0", number: 1),
        Offer(text: "1.0", number: 1),
        Offer(text: "00000000-0000-4000-8000-000000000000", number: 100),
        Offer(text: "2026-01-02T03:04:05.678901", number: 1),
    ]

    private struct Finding {
        let shape: JSONShape
        let value: Any?
    }

    private var findings: [ObjectIdentifier: Finding] = [:]
    /// The types that are being read, since a type may hold others of itself.
    private var open: Set<ObjectIdentifier> = []

    /// The shape of a type; what cannot be told of it is `any`.
    static func shape<Value: Decodable>(of type: Value.Type) -> JSONShape {
        ShapeSearch().shape(of: type)
    }

    func shape<Value: Decodable>(of type: Value.Type) -> JSONShape {
        self.find(type).shape
    }

    /// The shape of a type, and a value of it if one can be made.
    func sample<Value: Decodable>(_ type: Value.Type) -> (shape: JSONShape, value: Value?) {
        let finding = self.find(type)
        return (finding.shape, finding.value as? Value)
    }

    private func find<Value: Decodable>(_ type: Value.Type) -> Finding {
        let id = ObjectIdentifier(type)
        if let finding = self.findings[id] { return finding }
        if let collection = type as? any ShapedContainer.Type {
            return Finding(shape: collection.shape(in: self), value: collection.init())
        }
        if let value = JSONValue.null as? Value { return Finding(shape: .any, value: value) }
        if let value = RawJSON.null as? Value { return Finding(shape: .any, value: value) }
        guard self.open.insert(id).inserted else { return Finding(shape: .any, value: nil) }
        let finding = self.read(type)
        self.open.remove(id)
        self.findings[id] = finding
        return finding
    }

    private func read<Value: Decodable>(_ type: Value.Type) -> Finding {
        var best: JSONShape?
        for offer in Self.offers {
            let record = ShapeRecord()
            do {
                let value = try Value(from: ShapeDecoder(record: record, search: self, offer: offer))
                return Finding(shape: record.shape, value: value)
            } catch {
                // It checks what it reads, and this was not it.
                let shape = record.shape
                if best.map({ $0.members.count < shape.members.count }) ?? true { best = shape }
            }
        }
        let example = (type as? any ContractExample.Type)?.contractExample ?? Self.firstCase(of: type)
        var shape = best ?? .any
        shape.isIncomplete = shape.kind == .object
        return Finding(shape: shape, value: example)
    }

    /// A case of an enumeration, which no text or number may have pleased.
    private static func firstCase<Value>(of type: Value.Type) -> Any? {
        func first<Cases: CaseIterable>(_ cases: Cases.Type) -> Any? { cases.allCases.first }
        return (type as? any CaseIterable.Type).flatMap { first($0) }
    }
}

/// A type that can say what a value of it looks like, where the recorder of contracts finds none that it would read.
///
/// Only types that check what they read, and refuse every empty, numeric and identifier-like text, have a use for it.
public protocol ContractExample: Decodable {
    /// Any value of the type.
    static var contractExample: Self { get }
}

/// The standard library's types that hold others; an empty one can always be made.
private protocol ShapedContainer {
    init()
    static func shape(in search: ShapeSearch) -> JSONShape
}

extension Optional: ShapedContainer where Wrapped: Decodable {
    fileprivate init() { self = nil }
    fileprivate static func shape(in search: ShapeSearch) -> JSONShape { search.shape(of: Wrapped.self).optional }
}

extension Array: ShapedContainer where Element: Decodable {
    fileprivate static func shape(in search: ShapeSearch) -> JSONShape { .array(of: search.shape(of: Element.self)) }
}

extension Set: ShapedContainer where Element: Decodable {
    fileprivate static func shape(in search: ShapeSearch) -> JSONShape { .array(of: search.shape(of: Element.self)) }
}

extension Dictionary: ShapedContainer where Key: Decodable, Value: Decodable {
    /// Only texts, numbers and what says that it can be one are keys of objects; others make an array of pairs.
    fileprivate static func shape(in search: ShapeSearch) -> JSONShape {
        guard Key.self == String.self || Key.self == Int.self || Key.self is any CodingKeyRepresentable.Type else {
            return .array(of: .any)
        }
        return .map(of: search.shape(of: Value.self))
    }
}

/// What one value was asked for.
final class ShapeRecord {
    private var found: JSONShape?
    private var children: [String: ShapeRecord] = [:]
    private var elements: [ShapeRecord] = []
    var isOptional = false

    /// Notes that the value was read as one of a shape; two that differ are any.
    func note(_ shape: JSONShape) {
        if let found, found != shape {
            self.found = .any
        } else {
            self.found = shape
        }
    }

    /// The record of a member.
    func member(_ name: String) -> ShapeRecord {
        if let child = self.children[name] { return child }
        let child = ShapeRecord()
        self.children[name] = child
        return child
    }

    /// The record of a further element.
    func appendElement() -> ShapeRecord {
        let record = ShapeRecord()
        self.elements.append(record)
        return record
    }

    var shape: JSONShape {
        var shape = self.found ?? .any
        switch shape.kind {
        case .object where shape.members.isEmpty: shape.members = self.children.mapValues(\.shape)
        case .array where shape.element == nil:
            let shapes = Set(self.elements.map(\.shape))
            shape.element = shapes.count == 1 ? shapes.first : .any
        default: break
        }
        if self.isOptional { shape.isOptional = true }
        return shape
    }
}
