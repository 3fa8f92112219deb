//! How fast something grows with connections.

/// Growth per connection.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slope {
    /// Units per connection.
    pub per_connection: f64,
    /// Half width of the uncertainty, same unit.
    pub spread: f64,
    /// Points it rests on.
    pub points: usize,
}

impl Slope {
    /// Whether it differs from no growth at all.
    pub fn grows(self) -> bool {
        self.per_connection > 2.0 * self.spread
    }
}
