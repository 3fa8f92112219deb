//! Keys that guides still name and that do nothing, or harm, where the running configuration sets them.

use std::fmt;

use serde::Serialize;

/// A key of a configuration file, or of the running kernel, that deserves a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `/etc/sysctl.d/10-tuning.conf:7`, or `the running kernel`.
    pub place: String,
    /// As written there.
    pub key: String,
    /// What is wrong with it, and which key does what was meant.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.key, self.why)
    }
}

/// Keys that no current kernel has, or that do nothing there.
const GONE: [(&str, &str); 10] = [
    (
        "net.ipv4.tcp_tw_recycle",
        "gone since Linux 4.12, and before that it dropped clients behind one NAT address; net.ipv4.tcp_tw_reuse is the key that exists, for the connecting end",
    ),
    (
        "net.ipv4.ip_conntrack_max",
        "gone with the ip_conntrack module of Linux 2.6; the key is net.netfilter.nf_conntrack_max",
    ),
    ("net.ipv4.netfilter.ip_conntrack_max", "gone since Linux 4.9; the key is net.netfilter.nf_conntrack_max"),
    (
        "net.ipv4.netfilter.ip_conntrack_tcp_timeout_established",
        "gone since Linux 4.9; the key is net.netfilter.nf_conntrack_tcp_timeout_established",
    ),
    (
        "net.nf_conntrack_max",
        "an old alias that exists in the first network namespace alone; write net.netfilter.nf_conntrack_max",
    ),
    ("net.ipv4.tcp_fack", "does nothing since Linux 4.15"),
    ("net.ipv4.tcp_low_latency", "does nothing since Linux 4.14"),
    ("net.ipv4.route.max_size", "does nothing for IPv4 since the routing cache went in Linux 3.6"),
    ("net.ipv4.route.gc_thresh", "does nothing for IPv4 since the routing cache went in Linux 3.6"),
    ("fs.inode-max", "gone since Linux 2.4: inodes have no limit of their own"),
];

/// Buffers below this many bytes: a guide sets 256 or 512 to save memory.
const TINY: u64 = 4096;

/// Findings in one file of sysctl settings.
pub fn scan(path: &str, text: &str) -> Vec<Finding> {
    let found = text.lines().enumerate().filter_map(|(i, line)| {
        let (key, value) = setting(line)?;
        Some(Finding { place: format!("{path}:{}", i + 1), why: judge(&key, value)?, key })
    });
    found.collect()
}

/// A finding in a value of the running kernel.
pub fn running(key: &str, value: &str) -> Option<Finding> {
    let why = judge(key, value)?;
    Some(Finding { place: "the running kernel".into(), key: key.into(), why })
}

/// Key and value of a line of sysctl.d(5): `-` before the key ignores errors, `/` separates as well as `.`.
fn setting(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim().trim_start_matches('-').trim();
    // A key whose first separator is a slash is a path: its dots are parts of names.
    let key = match key.find(['/', '.']) {
        Some(at) if key.as_bytes()[at] == b'/' => key.replace('/', "."),
        _ => key.to_owned(),
    };
    Some((key, value.trim()))
}

fn judge(key: &str, value: &str) -> Option<String> {
    if let Some((_, why)) = GONE.iter().find(|(gone, _)| *gone == key) {
        return Some((*why).to_owned());
    }
    let numbers: Vec<u64> = value.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    match (key, numbers.as_slice()) {
        // The least a socket may shrink to is a page by default, 4096 bytes or more; a default or maximum below that is what breaks.
        ("net.ipv4.tcp_rmem" | "net.ipv4.tcp_wmem", [_, default, max]) if *default < TINY || *max < TINY => {
            Some(format!(
                "{value} saves nothing on idle connections (Linux 6.0 and later) and starves ssh and every other transfer; leave the default"
            ))
        }
        ("net.ipv4.ip_local_port_range", [_, high]) if *high > 65_535 => {
            Some(format!("{value} is refused by the kernel as a whole: the upper end is 65535 at most"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_guides_still_set_with_its_line() {
        let text = "# net.ipv4.tcp_tw_recycle = 1\nnet.ipv4.tcp_tw_recycle=1\n\n;fs.inode-max=1\n -net/ipv4/ip_conntrack_max = 1048576\nnet.ipv4.tcp_rmem = 256 256 256\nnet.ipv4.tcp_wmem=4096\t16384\t4194304\nnet.ipv4.ip_local_port_range = 1024 65536\nnet.core.somaxconn = 65535\njunk\n";
        let found: Vec<(String, String)> =
            scan("/etc/sysctl.conf", text).into_iter().map(|f| (f.place, f.key)).collect();
        let want = [
            ("/etc/sysctl.conf:2", "net.ipv4.tcp_tw_recycle"),
            ("/etc/sysctl.conf:5", "net.ipv4.ip_conntrack_max"),
            ("/etc/sysctl.conf:6", "net.ipv4.tcp_rmem"),
            ("/etc/sysctl.conf:8", "net.ipv4.ip_local_port_range"),
        ];
        assert_eq!(found, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn values_that_work_are_left_alone() {
        assert_eq!(running("net.ipv4.tcp_rmem", "4096\t131072\t6291456"), None);
        assert!(running("net.ipv4.tcp_wmem", "512 512 512").is_some_and(|f| f.to_string().contains("ssh")));
        assert_eq!(running("net.ipv4.ip_local_port_range", "1024 65535"), None);
    }

    #[test]
    fn slashes_and_dots() {
        assert_eq!(setting("net/ipv4/conf/eth0.1/forwarding=1").unwrap().0, "net.ipv4.conf.eth0.1.forwarding");
        assert_eq!(setting("-fs.file-max = 5").unwrap(), ("fs.file-max".to_owned(), "5"));
        assert_eq!(setting("# a = b"), None);
    }
}
