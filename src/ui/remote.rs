//! A run that is looked at from elsewhere.

/// A run of another host on this screen: looked at, not driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What people call it: `part 2/5 on web3`.
    pub name: String,
    /// Why its figures are old, in a few words.
    pub old: Option<String>,
}
