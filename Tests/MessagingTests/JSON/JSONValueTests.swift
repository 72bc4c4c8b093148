import Messaging
import Testing

struct JSONValueTests {
    @Test func `an integer of any size is kept`() throws {
        #expect(try JSONValue(parsing: "1208925819614629174706176").description == "1208925819614629174706176")
    }
}
