//! Every limit of a connection-scale run, one file each: what it is called, how far it is used, what a target needs of it,
//! what one connection adds, when it alarms, by which errno or counter it shows, and what cures it.
//!
//! The live table, the guard, forecasts, diagnosis, `check` and `tune` are views of [`LIMITS`]. A new limit is a file here and a
//! line in the list below; nothing else compares ids.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `limit` | a limit as it stands, for whoever shows it |
//! | `meter` | what a limit reads from a sample, before any forecast |
//! | `ask`, `need` | what a run is to be; what it needs of a limit beforehand |
//! | `cure` | what raises a limit, as data |
//! | `counters` | counters of the kernel that show what it dropped |
//! | `headroom` | the memory that is really left |

#![expect(
    clippy::cast_precision_loss,
    reason = "shares, costs and slopes of counts and bytes, all of them far below 2^52"
)]

mod ask;
mod counters;
mod cure;
mod headroom;
mod limit;
mod meter;
mod need;
mod slope;

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::protocol::{EngineStats, Stop, StopCause};
use crate::sample::{Kernel, LogTopic, Sample};

pub use accept_queue::{overflowed, still_full};
pub use ask::{Addresses, Ask, Measured, OwnEngines, Program, Side, Surroundings, Traffic};
pub use counters::{CounterInfo, Counters};
pub(crate) use cure::mib;
pub use cure::{Cure, Level, OnDemand, Remedy, Setting};
pub use headroom::{Headroom, socket_memory};
pub use limit::{Forecast, Limit, LimitState, NAME, Unit};
pub(crate) use memcg::{all_chains, chains};
pub use memcg::{bound, charge, room, tightest};
pub use memory::per_connection;
pub use meter::{Context, Doubt, Growth, Guarded, Keeps, Meter, Noted};
pub use need::{Given, Need, Verdict};
pub use slope::Slope;
pub use time_wait::fin_forecast;

/// What the file of nearly every limit needs.
mod prelude {
    pub(super) use super::counters::{COUNTER, CounterInfo, ext};
    pub(super) use super::cure::{Cure, Level, Remedy, rounded_sysctl};
    pub(super) use super::limit::{Limit, LimitState, Unit};
    pub(super) use super::meter::{Context, Growth, Meter};
    pub(super) use super::need::{Given, Need, Verdict, known};
    pub(super) use super::{Descriptor, LimitId, PLAIN, Program, Side};
    pub(super) use crate::protocol::{Role, Severity};
    pub(super) use crate::sample::{LogTopic, Sample};
    pub(super) use crate::units::{bytes, grouped, round_up};

    /// Bytes.
    pub(super) const MIB: f64 = 1024.0 * 1024.0;
}

/// Declares the modules, the ids and the list, in the order in which people look for them.
macro_rules! limits {
    ($($id:ident = $module:ident),* $(,)?) => {
        $(mod $module;)*

        /// Which limit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is described in its file")]
        pub enum LimitId {
            $($id,)*
        }

        /// Every limit, in the order in which people look for them.
        pub static LIMITS: &[&Descriptor] = &[$(&$module::DESCRIPTOR,)*];

        impl LimitId {
            /// Everything there is to know about it.
            pub fn descriptor(self) -> &'static Descriptor {
                match self {
                    $(LimitId::$id => &$module::DESCRIPTOR,)*
                }
            }
        }
    };
}

limits! {
    Nofile = nofile,
    NrOpen = nr_open,
    FileMax = file_max,
    Epoll = epoll,
    Ports = ports,
    Memory = memory,
    Memcg = memcg,
    TcpMem = tcp_mem,
    Freeze = freeze,
    Conntrack = conntrack,
    Allowance = allowance,
    HashLoad = hash_load,
    Bandwidth = bandwidth,
    Echo = echo,
    Neighbours = neighbours,
    AcceptQueue = accept_queue,
    SynQueue = syn_queue,
    Backlog = backlog,
    Orphans = orphans,
    TimeWait = time_wait,
    Threads = threads,
    Runtime = runtime,
    App = app,
}

impl LimitId {
    /// Its id in JSON: `file-max`.
    pub fn name(self) -> &'static str {
        self.descriptor().name
    }

    /// The limit of that name.
    pub fn named(name: &str) -> Option<Self> {
        LIMITS.iter().find(|l| l.name == name).map(|l| l.id)
    }
}

impl fmt::Display for LimitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for LimitId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for LimitId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| D::Error::custom(format!("there is no limit called {name:?}")))
    }
}

/// Whose memory the OOM killer frees when a limit is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oom {
    /// The machine's.
    Machine,
    /// A memory cgroup's: the scope is its path.
    Cgroup,
}

/// A limit: its words, and how its numbers are found.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Descriptor {
    /// Which.
    pub id: LimitId,
    /// Its id in JSON: `file-max`. Never changed once published.
    pub name: &'static str,
    /// What people call it, the same words everywhere: `open files`. With whose it is in front at most [`NAME`] characters.
    pub label: &'static str,
    /// Whether each process has one of its own, so that its name begins with whose it is: `server: open files`.
    pub of_process: bool,
    /// What its numbers count, unless a limit of this name says otherwise ([`Limit::unit`]).
    pub unit: Unit,
    /// For help and the wide view: what it limits, and what happens when it is hit.
    pub help: &'static str,
    /// Where use and bound come from.
    pub sources: &'static str,
    /// Every sysctl that `tune` may set for it.
    pub sysctls: &'static [&'static str],
    /// Whether hitting it ends a ramp, so that the guard keeps a run away from it.
    pub stops_run: bool,
    /// Whether a run hits it by itself. One that only caps another limit, or fails nothing, is listed after the others.
    pub is_met: bool,
    /// Operations that fail when it is hit, with their errno; an empty operation means any.
    pub errnos: &'static [(&'static str, &'static str)],
    /// What a failed call shows if it did not hit the limit: a full descriptor table among many.
    pub unless_met: Option<&'static str>,
    /// Whether a failed call of this engine means that the limit was hit.
    pub met_by: fn(&EngineStats) -> bool,
    /// Counters of the kernel that are about it.
    pub counters: &'static [CounterInfo],
    /// Lines of the kernel's log that are about it.
    pub log: &'static [LogTopic],
    /// Whose memory the OOM killer frees when it is hit.
    pub oom: Option<Oom>,
    /// Whether unread data fills it.
    pub holds_unread: bool,
    /// Connections that must have been opened before its forecast may alarm, unless a connection adds about what it should:
    /// before that, what other programs take within a second outweighs the run.
    pub sure_from: f64,
    /// Whether what raises it is worth saying while it fits: nobody buys twice the memory for a run that has enough.
    pub cure_in_advance: bool,
    /// Its use and bound now, a meter for each scope.
    pub read: fn(&Context<'_>, &mut Vec<Meter>),
    /// What a target needs of it, before any connection.
    pub need: fn(&Given<'_>, &mut Vec<Need>),
    /// The limit within a sentence: `the connection tracking table`.
    pub phrase: fn(&Limit) -> String,
    /// The sentence of an alarm, where it is not the usual one of use or forecast.
    pub alarm: fn(&Limit, &Sample) -> Option<String>,
    /// Why packets or connections go missing without an answer, if this limit is the cause.
    pub swallows: fn(&Limit, &Sample, &Counters) -> Option<String>,
}

impl Descriptor {
    /// What the limit of `scope` is called: `server: open files`, `nginx 4021: open files`, `conntrack table`.
    pub fn name_of(&self, scope: &str) -> String {
        self.owner(scope).map_or_else(|| self.label.to_owned(), |owner| format!("{owner}: {}", self.label))
    }

    /// Whose limit it is: a process, or of a merged run (`client 3, host`) the part that is nearest to it.
    fn owner<'a>(&self, scope: &'a str) -> Option<&'a str> {
        let part = scope.split_once(", ").map(|(part, _)| part).filter(|part| !part.starts_with('/'));
        part.or(Some(scope).filter(|_| self.of_process && !matches!(scope, "" | "process")))
    }

    /// The same in [`NAME`] characters, for a column: a long process name is cut, its number is kept, for that tells the
    /// processes of a program apart.
    pub fn short_name_of(&self, scope: &str) -> String {
        let Some(scope) = self.owner(scope) else { return self.label.to_owned() };
        let room = NAME.saturating_sub(": ".len() + self.label.chars().count());
        if room < 4 {
            return self.label.to_owned();
        }
        let owner = if scope.chars().count() <= room {
            scope.to_owned()
        } else {
            let (name, number) = scope.rsplit_once(' ').unwrap_or((scope, ""));
            let left = room.saturating_sub(number.chars().count() + usize::from(!number.is_empty()));
            let name: String = name.chars().take(left.saturating_sub(1)).collect();
            if name.is_empty() { number.to_owned() } else { format!("{name}… {number}").trim_end().to_owned() }
        };
        format!("{owner}: {}", self.label)
    }
}

/// There is one of each.
impl PartialEq for Descriptor {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// What most limits leave out.
const PLAIN: Descriptor = Descriptor {
    id: LimitId::Nofile,
    name: "",
    label: "",
    of_process: false,
    unit: Unit::Count,
    help: "",
    sources: "",
    sysctls: &[],
    stops_run: false,
    is_met: true,
    errnos: &[],
    unless_met: None,
    met_by: |_| true,
    counters: &[],
    log: &[],
    oom: None,
    holds_unread: false,
    sure_from: 0.0,
    cure_in_advance: true,
    read: |_, _| (),
    need: |_, _| (),
    phrase: |limit| format!("the {}", limit.info.label),
    alarm: |_, _| None,
    swallows: |_, _, _| None,
};

/// The limit that a failure of `op` with this errno (`EMFILE`) shows.
pub fn shown_by(op: &str, errno: &str) -> Option<&'static Descriptor> {
    LIMITS.iter().copied().find(|l| l.errnos.iter().any(|(o, e)| (o.is_empty() || *o == op) && *e == errno))
}

/// The limit at which a client gave up, if it was one.
pub fn stopped_by(stop: &Stop) -> Option<LimitId> {
    (stop.cause == StopCause::Limit).then(|| shown_by(&stop.call.op, &stop.call.name))?.map(|l| l.id)
}

/// The limit that a line of the kernel's log is about.
pub fn logged_by(topic: LogTopic) -> Option<LimitId> {
    LIMITS.iter().find(|l| l.log.contains(&topic)).map(|l| l.id)
}

/// The limit behind an OOM kill.
pub fn behind(oom: Oom) -> LimitId {
    LIMITS.iter().find(|l| l.oom == Some(oom)).map_or(LimitId::Memory, |l| l.id)
}

/// Every limit, as this sample shows it.
pub fn read(context: &Context<'_>) -> Vec<Meter> {
    let mut meters = Vec::with_capacity(LIMITS.len() + 4);
    for limit in LIMITS {
        (limit.read)(context, &mut meters);
    }
    if let Some(pid) = other_network(&context.sample.kernel) {
        for meter in &mut meters {
            let (here, pid) = (std::mem::replace(&mut meter.cure, Box::new(|_| Cure::none())), pid.to_owned());
            meter.cure = Box::new(move |need| here(need).inside_network_of(&pid));
        }
    }
    meters
}

/// The process whose network namespace was read, where that is not the dashboard's own.
fn other_network(kernel: &Kernel) -> Option<&str> {
    kernel.net.scope.strip_prefix("of ")
}

/// What a target needs of every limit.
pub fn needs(given: &Given<'_>) -> Vec<Need> {
    let mut needs = Vec::with_capacity(LIMITS.len() + 4);
    for limit in LIMITS {
        (limit.need)(given, &mut needs);
    }
    if let Some(pid) = other_network(given.kernel) {
        for need in &mut needs {
            need.cure = std::mem::take(&mut need.cure).inside_network_of(pid);
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_merged_run_a_name_begins_with_the_part() {
        assert_eq!(LimitId::Memory.descriptor().name_of("client 3, host"), "client 3: memory");
        assert_eq!(LimitId::Memory.descriptor().name_of("host"), "memory");
        assert_eq!(LimitId::Nofile.descriptor().name_of("client 3"), "client 3: open files");
        assert_eq!(LimitId::Memcg.descriptor().name_of("/a, b"), LimitId::Memcg.descriptor().label);
        for limit in LIMITS {
            let name = limit.short_name_of("client 1234, network namespace of 4021");
            assert!(name.chars().count() <= NAME && name.ends_with(limit.label), "{name}");
        }
    }

    #[test]
    fn every_limit_is_described_and_names_are_unique() {
        for (i, limit) in LIMITS.iter().enumerate() {
            assert_eq!(limit.id.descriptor().name, limit.name, "its id is its own");
            let owners: &[&str] = if limit.of_process { &["server", "client"] } else { &["host"] };
            for owner in owners {
                let name = limit.short_name_of(owner);
                assert!(name.chars().count() <= NAME && name.ends_with(limit.label), "{name}");
            }
            assert!(!limit.label.is_empty() && LIMITS[i + 1..].iter().all(|other| other.label != limit.label));
            assert!(limit.help.ends_with('.') && !limit.sources.is_empty(), "{}", limit.name);
            assert!(LIMITS[i + 1..].iter().all(|other| other.name != limit.name), "{}", limit.name);
        }
    }

    #[test]
    fn a_limit_is_called_what_people_call_it_and_whose_it_is() {
        let rows = [
            (LimitId::Nofile, "server", "server: open files"),
            (LimitId::Nofile, "nginx 4021", "nginx 4021: open files"),
            (LimitId::Nofile, "redis-server 4021", "redi… 4021: open files"),
            (LimitId::Nofile, "beam.smp 4194304", "b… 4194304: open files"),
            (LimitId::Runtime, "java 4194304", "4194304: runtime limit"),
            (LimitId::App, "process", "app limit"),
            (LimitId::FileMax, "host", "system open files"),
            (LimitId::Memcg, "/system.slice/ejabberd.service", "cgroup memory"),
        ];
        for (id, scope, want) in rows {
            let name = id.descriptor().short_name_of(scope);
            assert_eq!(name, want);
            assert!(name.chars().count() <= NAME, "{name}");
            let whole = id.descriptor().name_of(scope);
            let of_its_own = id.descriptor().of_process && scope != "process";
            assert_eq!(whole.strip_prefix(&format!("{scope}: ")).is_some(), of_its_own, "{whole}");
        }
    }

    #[test]
    fn ids_are_written_by_name() {
        for limit in LIMITS {
            let text = serde_json::to_string(&limit.id).unwrap();
            assert_eq!(text, format!("{:?}", limit.name));
            assert_eq!(serde_json::from_str::<LimitId>(&text).unwrap(), limit.id);
        }
        assert!(serde_json::from_str::<LimitId>(r#""no-such""#).is_err());
    }

    #[test]
    fn errnos_lead_to_their_limit() {
        let rows = [
            ("accept", "EMFILE", Some(LimitId::Nofile)),
            ("socket", "ENFILE", Some(LimitId::FileMax)),
            ("connect", "EADDRNOTAVAIL", Some(LimitId::Ports)),
            ("bind", "EADDRINUSE", Some(LimitId::Ports)),
            ("epoll_ctl", "ENOSPC", Some(LimitId::Epoll)),
            ("write", "ENOSPC", None),
            ("socket", "ENOBUFS", Some(LimitId::Memory)),
            ("thread", "EAGAIN", Some(LimitId::Threads)),
            ("connect", "ECONNREFUSED", None),
            ("accept", "EAGAIN", None),
        ];
        for (op, errno, want) in rows {
            assert_eq!(shown_by(op, errno).map(|l| l.id), want, "{op} {errno}");
        }
    }
}
