//! What a key asks of the program.

/// What a key press asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// Pause the ramp, or resume it.
    PauseToggle,
    /// A higher rate.
    RateUp,
    /// A lower rate.
    RateDown,
    /// Close every connection at a steady pace. Already confirmed.
    Close,
    /// Have the peers of this port of the watched program counted. Already confirmed.
    Peers(u16),
    /// The time cursor has moved to so many milliseconds since the dashboard started; `None` is now. Whoever keeps the past
    /// answers with [`super::View::show_past`].
    Seek(Option<u64>),
    /// Give the terminal back and stop, until the shell lets the program go on.
    Suspend,
    /// Only draw again.
    Redraw,
}
