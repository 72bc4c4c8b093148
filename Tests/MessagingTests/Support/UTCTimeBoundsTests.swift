import Testing

@testable import Messaging

@Suite struct UTCTimeBoundsTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_375_800_250, "2026-11-22T19:30:00.250Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        ] as [(Int64, String)]
    )
    func `a time is read as it was written`(_ milliseconds: Int64, _ text: String) {
        #expect(UTCTime(milliseconds: milliseconds).description == text)
        #expect(UTCTime(text) == UTCTime(milliseconds: milliseconds))
    }

    @Test func `extreme numbers in any field are no time, and stop nothing`() {
        let fields = ["2026", "11", "22", "19", "30", "00", "250"]
        let numbers = [
            "2147483647", "-2147483648", "2147483648", "9223372036854775807", "99999999999999999999", "65536", "10000",
            "-1", "",
        ]
        for position in fields.indices {
            for number in numbers {
                var changed = fields
                changed[position] = number
                let day = changed[0..<3].joined(separator: "-")
                let text = "\(day)T\(changed[3..<6].joined(separator: ":")).\(changed[6])Z"
                #expect(UTCTime(text) == nil, "\(text)")
            }
        }
        #expect(UTCTime("0000-01-01T00:00:00.000Z") == nil)
        #expect(UTCTime("2026-02-30T00:00:00.000Z") == nil)
        #expect(!UTCTime(milliseconds: .min).description.isEmpty)
        #expect(!UTCTime(milliseconds: .max).description.isEmpty)
    }
}
