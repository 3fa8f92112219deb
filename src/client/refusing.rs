//! Telling of destination ports that refuse: all of them in one sentence, and not each as it is found.

use std::time::{Duration, Instant};

/// A list that has been the same for so long is whole: a ramp comes by every port within it, as a rule.
const WHOLE: Duration = Duration::from_millis(300);

/// Most ranges that are named.
const MOST: usize = 4;

/// What is known of them.
#[derive(Debug)]
pub(super) struct Refusing {
    ports: Vec<u16>,
    since: Instant,
    told: Vec<u16>,
}

impl Refusing {
    pub(super) fn new(now: Instant) -> Self {
        Self { ports: Vec::new(), since: now, told: Vec::new() }
    }

    /// Takes the ports that refuse now, in order; the sentence, when there is something new to tell.
    pub(super) fn update(&mut self, ports: Vec<u16>, now: Instant) -> Option<String> {
        if ports != self.ports {
            (self.ports, self.since) = (ports, now);
        }
        // Those that were tried again and refuse once more are no news.
        let new = self.ports.iter().any(|port| !self.told.contains(port));
        if !new || now.saturating_duration_since(self.since) < WHOLE {
            return None;
        }
        self.told.clone_from(&self.ports);
        Some(sentence(&self.ports))
    }
}

fn sentence(ports: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &port in ports {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
            _ => ranges.push((port, port)),
        }
    }
    let name = |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let named: Vec<String> = ranges.iter().take(MOST).map(name).collect();
    let more = if ranges.len() > MOST { ", …" } else { "" };
    let list = format!("{}{more}", named.join(", "));
    match ports.len() {
        1 => format!("Port {list} of the server refuses connections and is left out."),
        n => format!("{n} ports of the server refuse connections ({list}) and are left out."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_told_of_at_once_and_once() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut refusing = Refusing::new(start);
        assert_eq!(refusing.update(Vec::new(), after(1000)), None);
        assert_eq!(refusing.update(vec![9901], after(1000)), None);
        assert_eq!(refusing.update(vec![9901, 9902, 9903], after(1200)), None);
        assert_eq!(refusing.update(vec![9901, 9902, 9903], after(1400)), None, "more may come");
        let want = "3 ports of the server refuse connections (9901-9903) and are left out.";
        assert_eq!(refusing.update(vec![9901, 9902, 9903], after(1500)).as_deref(), Some(want));
        for (ms, ports) in [(2000, vec![9901, 9902, 9903]), (7000, vec![]), (8000, vec![9902]), (9000, vec![9902])] {
            assert_eq!(refusing.update(ports, after(ms)), None, "they were told of");
        }
        assert_eq!(refusing.update(vec![9902, 9910], after(9100)), None);
        assert!(refusing.update(vec![9902, 9910], after(9400)).is_some(), "a new one");
    }

    #[test]
    fn neighbours_are_one_range_and_many_ranges_are_cut() {
        assert_eq!(sentence(&[80]), "Port 80 of the server refuses connections and is left out.");
        assert!(sentence(&[1, 3, 4, 65_535]).contains("4 ports of the server refuse connections (1, 3-4, 65535)"));
        assert!(sentence(&[1, 3, 5, 7, 9]).contains("(1, 3, 5, 7, …)"));
    }
}
