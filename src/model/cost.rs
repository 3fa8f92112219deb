//! What one connection costs.

pub use super::slope::Slope;

/// Slopes, bytes per connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cost {
    /// What the machine loses per connection: the growth of memory in use (`headroom.rs`), which is the fall of `MemFree`
    /// less what page cache and unpinned reclaimable slab took meanwhile.
    pub total: Option<Slope>,
    /// `total` less the user memory of the engines.
    pub kernel: Option<Slope>,
    /// Growth of the server engine's resident memory.
    pub server_user: Option<Slope>,
    /// Growth of the client engine's resident memory.
    pub client_user: Option<Slope>,
    /// By slab cache, largest first, those of 1 B and more.
    pub slab: Vec<(String, f64)>,
    /// Whether the two ends of a connection are both on this machine.
    pub both_ends: bool,
}
