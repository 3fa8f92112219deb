//! The network link that is fastest: what traffic has to fit into. Read once; a link's speed does not change within a run.

use super::source::{Roots, Source};
use crate::sample::kernel::{Absent, Link, Reading};

/// The fastest interface that is up, loopback left out. `list` is `/proc/net/dev`, or that of another namespace, whose
/// interfaces `roots.sys` has to show then.
pub(crate) fn fastest(roots: &Roots, list: &str, buf: &mut Vec<u8>) -> Reading<Link> {
    let names = Source::open(roots, list).get(buf, |text| Ok(names(text)))?;
    let (mut seen, mut silent, mut best) = (false, Vec::new(), None::<Link>);
    for name in names {
        let mut read = |file: &str| {
            let mut source = Source::open(roots, format!("/sys/class/net/{name}/{file}"));
            source.get(buf, |text| Ok(text.trim().to_owned()))
        };
        let Ok(state) = read("operstate") else { continue };
        seen = true;
        if state != "up" {
            continue;
        }
        // An error, 0 or -1 where the driver does not know. A veth, a tap or a dummy claims a speed that nothing has; a bond and
        // a VLAN pass on that of the devices below them.
        let kind = read("uevent").unwrap_or_default();
        let below = kind.lines().any(|line| line == "DEVTYPE=bond" || line == "DEVTYPE=vlan");
        let physical = below || roots.place(&format!("/sys/class/net/{name}/device")).exists();
        match read("speed").ok().filter(|_| physical).and_then(|mbit| mbit.parse::<u64>().ok()).filter(|mbit| *mbit > 0)
        {
            None => silent.push(name),
            Some(mbit) => {
                let link = Link { name, bits_per_s: mbit.saturating_mul(1_000_000) };
                if best.as_ref().is_none_or(|b| b.bits_per_s < link.bits_per_s) {
                    best = Some(link);
                }
            }
        }
    }
    best.ok_or_else(|| match silent.as_slice() {
        // A file system mounted from another namespace shows that one's.
        [] if !seen => Absent::because("no interface but loopback is visible in /sys/class/net"),
        [] => Absent::because("no interface is up"),
        names => Absent::Because(format!("{} reports no link speed (virtual)", names.join(", ")).into()),
    })
}

/// The interfaces of a network namespace, from `/proc/net/dev`: two lines of heading, then `eth0: numbers`.
pub(crate) fn names(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, _)| name.trim()).filter(|name| *name != "lo" && !name.is_empty()).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn interface(dir: &Path, name: &str, state: &str, speed: Option<&str>) {
        let home = dir.join("sys/class/net").join(name);
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("operstate"), format!("{state}\n")).unwrap();
        if let Some(speed) = speed {
            fs::write(home.join("speed"), format!("{speed}\n")).unwrap();
        }
        let dev = dir.join("proc/net/dev");
        let text = fs::read_to_string(&dev).unwrap_or_else(|_| "Inter-|   Receive\n face |bytes\n".into());
        fs::create_dir_all(dir.join("proc/net")).unwrap();
        fs::write(dev, format!("{text}{name:>6}: 1 2 3\n")).unwrap();
    }

    #[test]
    fn the_fastest_that_is_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys") };
        let found = || fastest(&roots, "/proc/net/dev", &mut Vec::new());
        assert_eq!(found().unwrap_err().to_string(), "this kernel has no /proc/net/dev");
        interface(dir.path(), "lo", "unknown", Some("100000"));
        assert_eq!(found().unwrap_err().to_string(), "no interface but loopback is visible in /sys/class/net");
        interface(dir.path(), "eth9", "down", Some("100000"));
        assert_eq!(found().unwrap_err().to_string(), "no interface is up");
        interface(dir.path(), "veth0", "up", Some("10000"));
        interface(dir.path(), "tun0", "up", None);
        assert_eq!(found().unwrap_err().to_string(), "veth0, tun0 reports no link speed (virtual)");
        interface(dir.path(), "eth0", "up", Some("1000"));
        fs::create_dir(dir.path().join("sys/class/net/eth0/device")).unwrap();
        assert_eq!(found(), Ok(Link { name: "eth0".into(), bits_per_s: 1_000_000_000 }), "a veth has no link");
        interface(dir.path(), "bond0", "up", Some("2000"));
        fs::write(dir.path().join("sys/class/net/bond0/uevent"), "DEVTYPE=bond\nINTERFACE=bond0\n").unwrap();
        assert_eq!(found().unwrap().name, "bond0");
        interface(dir.path(), "eth1", "up", Some("10000"));
        fs::create_dir(dir.path().join("sys/class/net/eth1/device")).unwrap();
        assert_eq!(found(), Ok(Link { name: "eth1".into(), bits_per_s: 10_000_000_000 }));
    }
}
