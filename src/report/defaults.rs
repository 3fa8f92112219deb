//! Sysctls that are the same on every machine until somebody sets them: what the kernel starts with. Those that it makes from the
//! size of memory (`tcp_mem`, `file-max`, `tcp_max_orphans`), and those that have changed from version to version (`tcp_rmem`), are not
//! here: nobody can tell what they would be.

use super::around::{Around, Section, Setting};

/// Names and values, Linux 6.1 to 6.18.
const DEFAULTS: &[(&str, &str)] = &[
    ("fs.nr_open", "1048576"),
    ("net.core.netdev_max_backlog", "1000"),
    ("net.core.somaxconn", "4096"),
    ("net.ipv4.ip_local_port_range", "32768 60999"),
    ("net.ipv4.ip_local_reserved_ports", ""),
    ("net.ipv4.neigh.default.gc_thresh3", "1024"),
    ("net.ipv6.neigh.default.gc_thresh3", "1024"),
    ("net.ipv4.tcp_fin_timeout", "60"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv4.tcp_tw_reuse", "2"),
];

/// What the kernel starts with, where that is the same everywhere.
pub(super) fn default_of(key: &str) -> Option<&'static str> {
    DEFAULTS.iter().find(|default| default.0 == key).map(|default| default.1)
}

/// The sysctls that somebody has set.
pub(super) fn changed(around: &Around) -> impl Iterator<Item = &Setting> {
    around
        .of(Section::Sysctl)
        .filter(|setting| default_of(&setting.key).is_some_and(|default| !same(default, &setting.value)))
}

/// The kernel separates numbers with tabs.
fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_has_set_is_told() {
        let mut around = Around::default();
        for (key, value) in [
            ("net.core.somaxconn", "65535"),
            ("net.ipv4.ip_local_port_range", "32768\t60999"),
            ("net.ipv4.tcp_mem", "1 2 3"),
        ] {
            around.add(Section::Sysctl, key, Some(value));
        }
        let changed: Vec<&str> = changed(&around).map(|s| s.key.as_str()).collect();
        assert_eq!(changed, ["net.core.somaxconn"]);
    }
}
