//! What a run is going to do, in two lines, before any engine starts: how many connections, how much memory, where it stops,
//! and that nothing of the system is changed.

use std::fmt::Write as _;
use std::time::Duration;

use super::plan::Plan;
use crate::engine::config::{self, Common};
use crate::limits::{Headroom, per_connection};
use crate::sample::Kernel;
use crate::units::{bytes, grouped, seconds, short_count, whole};

/// The two lines of a run with engines; `None` where nothing is started. `changed` settings have been changed for it.
pub(super) fn lines(plan: &Plan, kernel: &Kernel, changed: usize) -> Option<[String; 2]> {
    let free = Headroom::of(kernel, None).map(|headroom| headroom.bytes);
    let settings = match changed {
        0 => "Changes no system setting.".to_owned(),
        1 => "One system setting has been changed and is put back at the end.".to_owned(),
        n => format!("{n} system settings have been changed and are put back at the end."),
    };
    match (&plan.client, &plan.server) {
        (Some(client), _) => {
            let cost = per_connection(plan.both_ends());
            let to = format!("{}:{}", config::describe(&[client.target_ip]), ports(&client.common));
            let what = opens(client.common.target, &to, plan.both_ends(), cost, free);
            Some([what, format!("{} {settings}", stops(plan, client.common.target, cost, free))])
        }
        (None, Some(server)) => {
            let to = format!("{}, port {}", config::describe(&server.listen), ports(&server.common));
            let until = plan.duration.map_or("until you quit".to_owned(), |time| format!("for {}", written(time)));
            let what = format!("Listening on {to}: accepts connections and echoes what they send, {until}.");
            Some([
                what,
                format!("Each takes about {} of memory here{}. {settings}", kib(per_connection(false)), of(free)),
            ])
        }
        (None, None) => None,
    }
}

/// `9900-9999`.
fn ports(common: &Common) -> String {
    let last = common.port + common.ports.saturating_sub(1);
    if common.ports == 1 { last.to_string() } else { format!("{}-{last}", common.port) }
}

fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

/// `, 21.3 GiB is free`.
fn of(free: Option<u64>) -> String {
    free.map_or(String::new(), |free| format!(", {} is free", bytes(free)))
}

fn opens(target: u64, to: &str, both_ends: bool, cost: f64, free: Option<u64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    let needed = bytes(whole(target as f64 * cost));
    let ends = if both_ends { "both ends here" } else { "one end here" };
    format!("Opening {} connections to {to}, {ends}: about {needed} of memory{}.", grouped(target), of(free))
}

/// Where it stops, and what happens then.
fn stops(plan: &Plan, target: u64, cost: f64, free: Option<u64>) -> String {
    let mut text = "Stops at the target".to_owned();
    if plan.guard {
        let share = f64::from(plan.guard_per_mille) / 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory far below 2^52")]
        let room = free.map(|free| whole(share * free as f64 / cost)).filter(|room| *room < target);
        match room {
            Some(room) => {
                let left = (1.0 - share) * 100.0;
                let _ =
                    write!(text, " or at about {}, when {left:.0} % of that memory is left", short_count(room).trim());
            }
            None => {
                let _ = write!(text, " or when a limit is {:.0} % used", share * 100.0);
            }
        }
    } else {
        text += " or where a limit stops it (--no-guard)";
    }
    match (plan.hold, plan.duration) {
        (Some(hold), _) if hold.is_zero() => text += ", then closes everything.",
        (Some(hold), _) => {
            let _ = write!(text, "; holds for {}, then closes everything.", written(hold));
        }
        (None, Some(duration)) => {
            let _ = write!(text, "; ends after {}.", written(duration));
        }
        (None, None) => text += "; holds until you quit.",
    }
    text
}

fn written(time: Duration) -> String {
    seconds(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::plan;
    use crate::cli::Cli;
    use crate::model::synthetic;

    fn said(line: &str, changed: usize) -> Option<[String; 2]> {
        let cli = Cli::read(line.split_whitespace()).unwrap();
        let mut kernel = synthetic::host_only(0).kernel;
        let mem = kernel.host.mem.as_mut().unwrap();
        (mem.free, mem.active_file, mem.inactive_file, mem.s_reclaimable) = (4 << 30, 0, 0, 0);
        lines(&plan::plan(&cli.run).unwrap(), &kernel, changed)
    }

    #[test]
    fn two_lines_say_what_is_going_to_happen() {
        let [what, until] = said("c1m-top --server --client 127.0.0.1 9900 --target 200k", 0).unwrap();
        let start = "Opening 200,000 connections to 127.0.0.1:9900-9999, both ends here: about 1.53 GiB of memory, ";
        assert!(what.starts_with(start) && what.ends_with(" GiB is free."), "{what}");
        let wants =
            "Stops at the target or when a limit is 90 % used; holds until you quit. Changes no system setting.";
        assert_eq!(until, wants);
        let [what, until] = said("c1m-top --client ::1 --ports 1 --target 2m --hold 0s", 3).unwrap();
        assert!(what.contains("to [::1]:9900, both ends here: about 15.3 GiB"), "{what}");
        let parts =
            ["Stops at the target or at about ", ", when 10 % of that memory is left, then closes everything. 3 "];
        assert!(parts.iter().all(|part| until.contains(part)), "{until}");
        assert!(until.ends_with(" 3 system settings have been changed and are put back at the end."), "{until}");
        let [what, until] = said("c1m-top --client 10.0.0.5 --target 1k --no-guard --duration 30s", 1).unwrap();
        assert!(what.contains("one end here: about 3.93 MiB"), "{what}");
        assert!(
            until.starts_with("Stops at the target or where a limit stops it (--no-guard); ends after 30 s."),
            "{until}"
        );
        let [what, until] = said("c1m-top --server", 0).unwrap();
        let wants = "Listening on every address, port 9900-9999: accepts connections and echoes what they send, until you quit.";
        assert_eq!(what, wants);
        assert!(
            until.starts_with("Each takes about 4.0 KiB of memory here, ") && until.ends_with("setting."),
            "{until}"
        );
        assert_eq!(said("c1m-top", 0), None, "nothing is started");
    }
}
