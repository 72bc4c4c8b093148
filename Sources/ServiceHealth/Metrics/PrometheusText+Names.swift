extension PrometheusText {
    /// A metric's name, `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    ///
    /// What else there is becomes an underscore. Colons do, too: they are for the rules of whoever collects.
    static func name(_ text: String) -> String {
        self.word(text)
    }

    /// A label's name, `[a-zA-Z_][a-zA-Z0-9_]*`; those that Prometheus has for itself get a prefix.
    static func labelName(_ text: String) -> String {
        let name = self.word(text)
        return name == "le" || name.hasPrefix("__") ? "label_" + name : name
    }

    /// A family's description, on one line.
    static func help(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }

    private static func word(_ text: String) -> String {
        var word = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "_": break
            case "0"..."9":
                if word.isEmpty { word = "_" }
            default:
                word += "_"
                continue
            }
            word.unicodeScalars.append(scalar)
        }
        return word.isEmpty ? "_" : word
    }
}
