//! What a file says of its run before the first sample: which program, on which machine, with which settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Setup;
use crate::sample::Link;

/// Version of the lines in a file. It rises when an older program would misread them; a new key leaves it.
pub const SCHEMA: u32 = 1;

/// The oldest version of this program that reads [`SCHEMA`].
const NEEDS: &str = "0.1.0";

/// The head of a run. It has no environment, and no command line of any process: of those only values that were parsed from
/// them, such as a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the file's lines.
    pub schema: u32,
    /// The oldest version of this program that reads them.
    pub needs: String,
    /// The version that wrote them.
    pub version: String,
    /// Start of the run, milliseconds since the Unix epoch.
    #[serde(default)]
    pub started_ms: u64,
    /// What kind of run it is.
    #[serde(default)]
    pub role: RunRole,
    /// What runs, in a few words: `server and client 127.0.0.1:9900-9999`, `attached to nginx`.
    #[serde(default)]
    pub what: String,
    /// What was asked for: options by name, with their defaults, so that two runs can be told to be of the same plan.
    #[serde(default)]
    pub plan: BTreeMap<String, Value>,
    /// What the model is told: the machine (kernel, distribution, CPU, cores) is in it.
    #[serde(default)]
    pub setup: Setup,
    /// Memory of the machine, bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// The fastest link that is up.
    #[serde(default)]
    pub link: Option<Link>,
    /// Memory cgroup of the first watched process, or of the dashboard.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// Every sysctl that a limit is read from, by its name; those that cannot be read are left out.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Limits of processes: `RLIMIT_NOFILE`, soft and hard.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
    /// What the dashboard was allowed to do.
    #[serde(default)]
    pub privilege: Privilege,
    /// Which machine and network it was on, for whoever adds up several runs.
    #[serde(default)]
    pub place: Place,
    /// How far the clock of this machine was ahead of the one that all parts of the run go by, microseconds; `None` where
    /// nobody has measured it.
    #[serde(default)]
    pub clock_offset_us: Option<i64>,
}

/// Where a run was, as names without a meaning: equal for runs that share it, and nothing can be read off them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The machine, since it was last booted: memory and slab are the same for all that run on it, containers too.
    pub host: Option<String>,
    /// The network namespace: sockets are counted in each.
    pub network: Option<String>,
}

/// What kind of run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunRole {
    /// Server and client.
    Both,
    /// A server alone.
    Server,
    /// A client alone.
    Client,
    /// Attached to what ran already.
    Attach,
    /// The machine alone.
    #[default]
    Watch,
}

/// What the dashboard was allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Privilege {
    /// Its effective user.
    pub uid: u32,
    /// Its effective capabilities, a hexadecimal mask as in `/proc/self/status`; empty where unknown.
    #[serde(default)]
    pub capabilities: String,
}

impl Header {
    /// A header of this program's schema; the rest is for the caller to fill in.
    pub fn new(setup: Setup) -> Self {
        Self {
            schema: SCHEMA,
            needs: NEEDS.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: 0,
            role: RunRole::default(),
            what: String::new(),
            plan: BTreeMap::new(),
            setup,
            memory_bytes: None,
            link: None,
            cgroup: None,
            sysctls: BTreeMap::new(),
            limits: BTreeMap::new(),
            privilege: Privilege::default(),
            place: Place::default(),
            clock_offset_us: None,
        }
    }
}
