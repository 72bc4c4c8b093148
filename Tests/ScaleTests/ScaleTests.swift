import Testing

/// Sizes far above those of a day's work, one after another: what grows without bound, or faster than its cause, shows.
///
/// Each prints what it has measured. The bounds are generous, as a debug build on a busy machine must keep them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ScaleTests {}
