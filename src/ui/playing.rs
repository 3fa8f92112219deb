//! How a run that is replayed goes on.

/// How a replay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Playing {
    /// It plays by itself.
    pub running: bool,
    /// How many times as fast as the run was.
    pub speed: u64,
    /// The recording has been read to its end: how long the run was is known.
    pub whole: bool,
}
