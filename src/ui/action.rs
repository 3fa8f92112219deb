//! What a key asks of the program.

use super::theme::Palette;

/// What a key press asks of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// End.
    Quit,
    /// Go back to the screen from which this one was opened.
    Leave,
    /// Pause the ramp, or resume it.
    PauseToggle,
    /// A higher rate.
    RateUp,
    /// A lower rate.
    RateDown,
    /// This rate, connections per second; `None` is as fast as it goes.
    Rate(Option<u64>),
    /// This target, connections.
    Target(u64),
    /// Close every connection at a steady pace. Already confirmed.
    Close,
    /// Have the peers of this port of the watched program counted. Already confirmed.
    Peers(u16),
    /// The time cursor has moved to so many milliseconds since the dashboard started; `None` is now. Whoever keeps the past
    /// answers with [`super::View::show_past`].
    Seek(Option<u64>),
    /// Send this to the terminal's clipboard.
    Copy(String),
    /// Take the mouse, or give it back.
    Mouse(bool),
    /// Other colours.
    Theme(Palette),
    /// Give the terminal back and stop, until the shell lets the program go on.
    Suspend,
    /// Play a replay, or stop it.
    PlayToggle,
    /// Play a replay faster.
    Faster,
    /// Play a replay slower.
    Slower,
    /// Only draw again.
    Redraw,
}
