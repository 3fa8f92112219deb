//! A network namespace of its own for a test: the test runs itself again inside one.

use std::process::Command;

use c1m_top::sys;

use super::skip;

/// Set, to the name of the test, inside the namespace.
const INSIDE: &str = "C1M_TOP_TEST_NAMESPACE";

/// Brings loopback up and becomes the test.
const SETUP: &str = r#"ip link set lo up && exec "$0" "$@""#;

/// Runs the body in a fresh network namespace. `name` is the full name of the test (`module::function`): the test starts
/// itself again under unshare(1), so that its own sockets are in the namespace too.
pub(crate) fn in_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        return body();
    }
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    if sys::euid() != 0 {
        // Without root a user namespace gives the right to make the other, where the machine allows it.
        unshare.arg("--map-root-user");
    }
    let probe: Vec<_> = unshare.get_args().map(ToOwned::to_owned).collect();
    match Command::new("unshare").args(probe).args(["sh", "-c", "ip link set lo up"]).output() {
        Ok(out) if out.status.success() => {}
        Ok(out) => {
            let why = String::from_utf8_lossy(&out.stderr);
            return skip(name, &format!("no network namespace can be made: {}", why.lines().next().unwrap_or("?")));
        }
        Err(e) => return skip(name, &format!("unshare: {e}")),
    }
    let out = unshare
        .args(["sh", "-c", SETUP])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .env(INSIDE, name)
        .output()
        .unwrap();
    let (said, noise) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{name}, inside its namespace:\n{said}\n{noise}");
    assert!(said.contains("1 passed"), "{name} is not the full name of a test:\n{said}");
    for (test, why) in noise.lines().filter_map(|l| l.strip_prefix("skipped: ")?.split_once(": ")) {
        skip(test, why);
    }
}

/// A field of the TCP line of sockstat (`inuse`, `tw`) in this network namespace. `inuse` adds the IPv6 sockets.
pub(crate) fn sockstat(field: &str) -> u64 {
    let read = |file: &str, protocol: &str| {
        let text = std::fs::read_to_string(format!("/proc/self/net/{file}")).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(protocol)).unwrap_or_default().to_owned();
        let mut words = line.split_whitespace().skip_while(|w| *w != field).skip(1);
        words.next().map_or(0, |n| n.parse::<u64>().unwrap())
    };
    read("sockstat", "TCP:") + read("sockstat6", "TCP6:")
}
