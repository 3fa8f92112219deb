//! What raises a limit, as data: the sentence, the command, the files of `tune` and JSON are made from it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sample::SoftHard;
use crate::units::round_up;

/// Whose setting it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The process that meets it, or the run.
    Process,
    /// The user who starts it.
    User,
    /// Its cgroup.
    Cgroup,
    /// Its network namespace.
    Namespace,
    /// The machine.
    Host,
    /// The program that serves, or where it runs.
    Server,
}

/// A setting of the machine or of a service, for the files that `tune` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A sysctl.
    Sysctl {
        /// `fs.file-max`.
        key: &'static str,
        /// Value that is enough.
        to: String,
    },
    /// `RLIMIT_NOFILE` of whoever starts the program.
    Nofile {
        /// What one table needs.
        soft: u64,
        /// The hard limit: the same, or what it is already.
        hard: u64,
    },
    /// Memory limit of a cgroup, bytes.
    MemoryMax(u64),
    /// Task limit of a cgroup.
    TasksMax(u64),
}

/// One thing that helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// For people, a part of a sentence; holds the command where there is one.
    pub text: String,
    /// What can be run as it stands; null where it is advice.
    pub command: Option<String>,
    /// Whose setting it is.
    pub level: Level,
    /// What it takes: `root`, `CAP_SYS_RESOURCE`; null where the user may.
    pub privilege: Option<String>,
    /// The setting behind it, for `tune`.
    #[serde(skip)]
    pub setting: Option<Setting>,
}

impl Remedy {
    /// Something to do that no command does.
    pub fn advice(level: Level, text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None, level, privilege: None, setting: None }
    }

    /// An option of this program.
    pub fn option(text: impl Into<String>) -> Self {
        Self::advice(Level::Process, text)
    }

    /// A command to be run as root.
    pub fn root(level: Level, command: impl Into<String>) -> Self {
        let command = command.into();
        Self { command: Some(command.clone()), privilege: Some("root".into()), ..Self::advice(level, command) }
    }

    /// A sysctl; `net.` keys belong to a network namespace unless said otherwise.
    pub fn sysctl(key: &'static str, to: impl fmt::Display) -> Self {
        let to = to.to_string();
        let quote = if to.contains(' ') { "\"" } else { "" };
        let level = if key.starts_with("net.") { Level::Namespace } else { Level::Host };
        let command = format!("sysctl -w {key}={quote}{to}{quote}");
        Self { setting: Some(Setting::Sysctl { key, to }), ..Self::root(level, command) }
    }

    /// The same, of the whole machine whatever its key begins with.
    pub fn host_sysctl(key: &'static str, to: impl fmt::Display) -> Self {
        Self { level: Level::Host, ..Self::sysctl(key, to) }
    }

    /// A number into a file of a cgroup.
    pub fn cgroup(number: u64, dir: &str, file: &str) -> Self {
        Self::root(Level::Cgroup, write(number, dir, file))
    }

    /// Words in front of the command, or behind it.
    pub(super) fn worded(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// Files that `tune` prints for it.
    pub(super) fn with(self, setting: Setting) -> Self {
        Self { setting: Some(setting), ..self }
    }

    /// What it takes.
    pub(super) fn needs(self, privilege: &str) -> Self {
        Self { privilege: Some(privilege.to_owned()), ..self }
    }
}

/// What helps, the best first; empty where nothing needs to be done or nothing can.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cure(pub Vec<Remedy>);

impl Cure {
    /// Nothing to do.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The setting of the first remedy that has one.
    pub fn setting(&self) -> Option<&Setting> {
        self.0.iter().find_map(|r| r.setting.as_ref())
    }

    /// The same without settings: `tune` sets nothing that a gentler run makes unnecessary.
    #[must_use]
    pub fn by_hand(mut self) -> Self {
        for remedy in &mut self.0 {
            remedy.setting = None;
        }
        self
    }

    /// The same for a process in another network namespace: sysctls of that namespace are set inside it, and not by `tune`, which
    /// sets this one's.
    #[must_use]
    pub(super) fn inside_network_of(mut self, pid: &str) -> Self {
        for remedy in self.0.iter_mut().filter(|remedy| remedy.level == Level::Namespace) {
            let Some(command) = remedy.command.take_if(|command| command.starts_with("sysctl ")) else { continue };
            let inside = format!("nsenter -t {pid} -n {command}");
            remedy.text = remedy.text.replace(&command, &inside);
            remedy.command = Some(inside);
            remedy.setting = None;
        }
        self
    }

    /// What is offered where there is room for one thing: the first, as every list of them begins with it. Its command, where it
    /// has one.
    pub fn first(&self) -> Option<&str> {
        let first = self.0.first()?;
        Some(first.command.as_deref().unwrap_or(&first.text))
    }

    /// `. Cure: …`, to end a sentence with; empty where there is nothing to do.
    pub fn advice(&self) -> String {
        if self.is_empty() { String::new() } else { format!(". Cure: {self}") }
    }
}

/// A cure that is put into words when it is first asked for: of most limits, in most samples, nobody asks. Copies share it.
#[derive(Clone)]
pub struct OnDemand(Arc<LazyLock<Cure, Box<dyn FnOnce() -> Cure + Send>>>);

impl OnDemand {
    /// What this will say.
    pub(crate) fn new(say: impl FnOnce() -> Cure + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(say))))
    }
}

impl Deref for OnDemand {
    type Target = Cure;

    fn deref(&self) -> &Cure {
        &self.0
    }
}

impl fmt::Display for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for OnDemand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for OnDemand {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl From<Cure> for OnDemand {
    fn from(cure: Cure) -> Self {
        Self::new(|| cure)
    }
}

impl Serialize for OnDemand {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for OnDemand {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cure::deserialize(from).map(Self::from)
    }
}

impl<const N: usize> From<[Remedy; N]> for Cure {
    fn from(remedies: [Remedy; N]) -> Self {
        Self(remedies.into())
    }
}

impl From<Remedy> for Cure {
    fn from(remedy: Remedy) -> Self {
        Self(vec![remedy])
    }
}

/// A sentence: one thing, or another.
impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, remedy) in self.0.iter().enumerate() {
            let between = if i == 0 { "" } else { ", or " };
            write!(f, "{between}{}", remedy.text)?;
        }
        Ok(())
    }
}

/// The command that writes a number to a file of a cgroup. systemd writes `\x2d` into names of its slices, which a shell takes
/// for something else.
pub(super) fn write(number: u64, dir: &str, file: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:".contains(c);
    let quote = if dir.chars().all(plain) { "" } else { "'" };
    format!("echo {number} > {quote}{dir}/{file}{quote}")
}

/// Bytes as systemd writes them, in mebibytes.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}

/// Which of the levels of `RLIMIT_NOFILE` has to be raised so that one table holds `need`: soft, hard, or `nr_open`.
pub(super) fn raise(need: u64, soft: u64, hard: Option<u64>, nr_open: Option<u64>) -> Remedy {
    let Some(hard) = hard else {
        return Remedy::advice(Level::Process, format!("raise its soft limit: prlimit --nofile={need}"));
    };
    if need <= hard && soft < hard {
        let command = format!("ulimit -n {hard}");
        let text = format!(
            "raise the soft limit {soft} to the hard limit {hard}: {command} before the start (no privilege needed)"
        );
        return Remedy { command: Some(command), ..Remedy::advice(Level::User, text) }
            .with(Setting::Nofile { soft: need, hard });
    }
    let limits = format!("LimitNOFILE={need} in its systemd unit, or limits.conf for a login (needs CAP_SYS_RESOURCE)");
    let setting = Setting::Nofile { soft: need, hard: need };
    match nr_open {
        Some(nr_open) if need > nr_open => {
            let first = Remedy::sysctl("fs.nr_open", need);
            let text = format!("{}, then {limits}", first.text);
            first.worded(text).with(setting)
        }
        _ => Remedy::advice(Level::User, limits).needs("CAP_SYS_RESOURCE").with(setting),
    }
}

/// The same of a process that runs: what helps now, without a restart, and what lasts. A program that is started by `su` or
/// a login gets its soft limit from PAM, whatever the shell before it had. One that keeps to what it was started with
/// (`at_start`) would accept more with prlimit(1), and serve none of them: only a restart helps it.
pub(super) fn raise_running(
    pid: u32,
    need: u64,
    limit: SoftHard,
    at_start: Option<u64>,
    nr_open: Option<u64>,
) -> Remedy {
    let SoftHard { soft, hard } = limit;
    let lasting = "LimitNOFILE={n} in its systemd unit, or limits.conf where su or a login starts it";
    let first = |to: u64, text: String| match nr_open.filter(|most| to > *most) {
        Some(nr_open) => format!("{} (it is {nr_open}), then {text}", Remedy::sysctl("fs.nr_open", to).text),
        None => text,
    };
    if let Some(started) = at_start {
        let lasting = lasting.replace("{n}", &need.to_string());
        let text = format!(
            "{lasting}, and a restart: it serves no more than the {started} open files it was started with, so that prlimit does \
             not help it"
        );
        return Remedy::advice(Level::User, first(need, text))
            .with(Setting::Nofile { soft: need, hard: hard.max(need) })
            .needs("root");
    }
    let (to, command, privilege) = if need <= hard && soft < hard {
        (hard, format!("prlimit --pid {pid} --nofile={hard}:"), None)
    } else {
        (need, format!("prlimit --pid {pid} --nofile={need}"), Some("CAP_SYS_RESOURCE"))
    };
    let lasting = lasting.replace("{n}", &to.to_string());
    let needs = privilege.map_or(String::new(), |privilege| format!(" (needs {privilege})"));
    let text = first(to, format!("{command} now, as its user, no restart needed{needs}; for good, {lasting}"));
    let remedy = Remedy { command: Some(command), ..Remedy::advice(Level::Process, text) };
    let remedy = remedy.with(Setting::Nofile { soft: need, hard: hard.max(need) });
    privilege.map_or(remedy.clone(), |privilege| remedy.needs(privilege))
}

/// A sysctl of one number that leaves room, for what is known beforehand.
pub(super) fn rounded_sysctl(key: &'static str, need: u64) -> Remedy {
    Remedy::sysctl(key, round_up(need))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_change_is_quoted() {
        assert_eq!(write(7, "/sys/fs/cgroup/a.slice/b@1", "pids.max"), "echo 7 > /sys/fs/cgroup/a.slice/b@1/pids.max");
        assert_eq!(write(7, r"/sys/fs/cgroup/my\x2dapp", "pids.max"), r"echo 7 > '/sys/fs/cgroup/my\x2dapp/pids.max'");
    }

    #[test]
    fn a_cure_is_a_sentence_and_data() {
        let cure =
            Cure::from([Remedy::option("--ports 7"), Remedy::sysctl("net.ipv4.ip_local_port_range", "1024 65535")]);
        assert_eq!(cure.to_string(), "--ports 7, or sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"");
        assert_eq!(cure.advice(), format!(". Cure: {cure}"));
        assert_eq!(cure.first(), Some("--ports 7"), "what the sentence begins with");
        assert_eq!(Cure::from(Remedy::sysctl("fs.nr_open", 9)).first(), Some("sysctl -w fs.nr_open=9"));
        assert_eq!(Cure::none().first(), None);
        assert_eq!(Cure::none().advice(), "");
        let json = serde_json::to_value(&cure).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({"text": "--ports 7", "command": null, "level": "process", "privilege": null})
        );
        assert_eq!((&json[1]["level"], &json[1]["privilege"]), (&"namespace".into(), &"root".into()));
    }

    #[test]
    fn what_belongs_to_another_network_namespace_is_set_inside_it() {
        let cure = Cure::from([
            Remedy::sysctl("net.core.somaxconn", 8192),
            Remedy::host_sysctl("net.ipv4.tcp_mem", 7),
            Remedy::sysctl("fs.nr_open", 9),
            Remedy::advice(Level::Namespace, "a NOTRACK rule"),
        ]);
        let inside = cure.clone().inside_network_of("4021");
        assert_eq!(inside.0[0].text, "nsenter -t 4021 -n sysctl -w net.core.somaxconn=8192");
        assert_eq!(inside.0[0].command.as_ref(), Some(&inside.0[0].text));
        assert_eq!(inside.0[0].setting, None, "tune would set it here");
        assert_eq!(inside.0[1..], cure.0[1..], "the machine's, and what is no command");
    }

    #[test]
    fn a_running_process_is_cured_now_and_for_good() {
        let limit = |soft| SoftHard { soft, hard: 20_000 };
        let now = raise_running(77, 4000, limit(1024), None, Some(1 << 20));
        let want = "prlimit --pid 77 --nofile=20000: now, as its user, no restart needed; for good, LimitNOFILE=20000 in its systemd unit, \
                    or limits.conf where su or a login starts it";
        assert_eq!((now.text.as_str(), now.privilege.as_deref()), (want, None));
        assert_eq!(now.command.as_deref(), Some("prlimit --pid 77 --nofile=20000:"), "the hard limit stays");
        let more = raise_running(77, 50_000, limit(20_000), None, Some(1 << 20));
        assert_eq!(more.command.as_deref(), Some("prlimit --pid 77 --nofile=50000"));
        assert_eq!(more.privilege.as_deref(), Some("CAP_SYS_RESOURCE"));
        let most = raise_running(77, 50_000, limit(20_000), None, Some(30_000));
        assert!(most.text.starts_with("sysctl -w fs.nr_open=50000 (it is 30000), then prlimit"), "{}", most.text);
        let keeps = raise_running(77, 4000, limit(1024), Some(1024), Some(1 << 20));
        assert_eq!(keeps.command, None, "there is none that helps it");
        assert!(keeps.text.starts_with("LimitNOFILE=4000 in its systemd unit, or limits.conf"), "{}", keeps.text);
        assert!(keeps.text.contains("a restart: it serves no more than the 1024 open files"), "{}", keeps.text);
    }

    #[test]
    fn the_level_that_bounds_is_named() {
        let rows = [
            (10_000, 1024, Some(20_000), Some(1 << 20), "raise the soft limit 1024 to the hard limit 20000", None),
            (50_000, 20_000, Some(20_000), Some(1 << 20), "LimitNOFILE=50000", Some("CAP_SYS_RESOURCE")),
            (50_000, 1024, Some(20_000), Some(1 << 20), "LimitNOFILE=50000", Some("CAP_SYS_RESOURCE")),
            (
                2_000_000,
                1 << 20,
                Some(1 << 20),
                Some(1 << 20),
                "sysctl -w fs.nr_open=2000000, then LimitNOFILE=2000000",
                Some("root"),
            ),
        ];
        for (need, soft, hard, nr_open, want, privilege) in rows {
            let got = raise(need, soft, hard, nr_open);
            assert!(got.text.starts_with(want), "{got:?}");
            assert_eq!(got.privilege.as_deref(), privilege);
        }
    }
}
