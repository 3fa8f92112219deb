//! A slope that steps, noise and outliers do not bend.

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
