//! The memory that is really left, which is less than `MemAvailable` says.

/// Real headroom of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Headroom {
    /// Free now, bytes.
    pub bytes: u64,
    /// Free at the first sample, bytes.
    pub at_start_bytes: u64,
    /// `bytes` as a share of `at_start_bytes`.
    pub share: f64,
    /// All that programs and kernel can use: `MemTotal` less the kernel's reserve, bytes.
    pub capacity_bytes: u64,
}
