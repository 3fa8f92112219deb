//! One guard: the server holds every client before its limit.

use c1m_top::model::Verdict;

use super::store::{Store, View, worker};
use super::support::{Run, own_namespace, print_uncaptured, require};

#[test]
fn a_run_with_both_ends_is_nobody_elses_client() {
    require!(Root, Program("redis-server"));
    own_namespace!();
    let store = Store::start(&[]);
    let mut both = worker("night", "--server --client 127.0.0.1 9900 --ports 4 --target 100 --hold 30s");
    both.until_holding();
    let ours = store.ask(&["KEYS", "c1m-top:1:night:*"]);
    assert!(ours.contains(":present") && !ours.contains(":clients") && !ours.contains(":joined"), "{ours}");
    assert_eq!(both.interrupt().code, Some(0));
}

#[test]
fn the_server_holds_all_clients_before_its_own_limit() {
    require!(Root, Program("redis-server"), Program("prlimit"));
    own_namespace!();
    let _store = Store::start(&[]);
    let view = View::open("night");
    // One table, so that its open files are the server's limit; the clients have all they want.
    let options = "--server --listen 127.0.0.1 --ports 10 --workers 1 --expect-workers 3 --duration 40s";
    let server =
        Run::under(&["prlimit", "--nofile=3000:3000"], &format!("{options} --fleet {}", super::store::url("night")));
    let client = "--client 127.0.0.1 9900 --ports 10 --target 8k --rate 6k --expect-workers 3 --hold 1s";
    let ends = [1, 2].map(|n| worker("night", &format!("{client} --part {n}/2"))).map(Run::finish);
    for end in &ends {
        assert_eq!((end.code, end.summary().verdict), (Some(3), Verdict::GuardStopped), "{end:#?}");
        assert_eq!(end.summary().stopped_by.as_deref(), Some("fleet_guard"));
        end.assert_event("phase/guarded", &["the fleet's guard stopped the ramp"]);
    }
    let server = server.finish();
    let peak = server.summary().peak_accepted.unwrap();
    let limit = server.limit("nofile").limit.unwrap();
    // Nine tenths of it, and not much less.
    assert!(peak <= limit * 9 / 10 && peak >= limit * 8 / 10, "{peak} of {limit}: {}", server.log());
    let held = view.views().into_iter().filter_map(|view| view["guard"]["late_us"].as_u64()).max();
    print_uncaptured(&format!(
        "held at {peak} of {limit}; obeyed {} ms after the server's sample at the latest",
        held.unwrap() / 1000
    ));
    let (code, summary) = view.finish();
    assert_eq!((code, summary["verdict"].as_str()), (Some(3), Some("guard_stopped")), "{summary:#}");
}
