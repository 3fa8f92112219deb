//! A value, or why there is none.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A value, or the reason why there is none. Absence is never shown as 0.
pub type Reading<T> = Result<T, Absent>;

/// Why a source has no value: `needs root`, `not tracking`, `not in this network namespace`, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// For people, lower case, no full stop.
    pub why: Cow<'static, str>,
}

impl Absent {
    /// An absence with a fixed reason.
    pub const fn because(why: &'static str) -> Self {
        Self { why: Cow::Borrowed(why) }
    }
}

/// For people, lower case, no full stop.
impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
