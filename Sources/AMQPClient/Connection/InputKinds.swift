/// What came from the broker in one read, as far as it matters for how soon the next one has to be.
struct InputKinds {
    /// Confirms of messages whose senders need no word of it at once.
    var hasPatientConfirms = false
    /// Anything else that belongs to a channel.
    var hasOther = false
}
