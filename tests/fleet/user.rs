//! The user that docs/fleet.md makes in the store.

use c1m_top::model::Verdict;

use super::store::{Store, command};
use super::support::{Run, own_namespace, require};

#[test]
fn the_user_of_the_docs_may_do_all_that_a_fleet_does() {
    require!(Root, Program("redis-server"), Program("prlimit"));
    own_namespace!();
    let store = Store::start(&[]);
    let page = include_str!("../../docs/fleet.md").lines().filter(|line| line.starts_with("ACL SETUSER"));
    for line in page.map(|line| line.replace("PASSWORD", "word")) {
        assert_eq!(store.ask(&line.split(' ').collect::<Vec<_>>()), "OK", "{line}");
    }
    let fleet = "redis://c1m:word@127.0.0.1/night";
    let run = |wrapper: &[&str], options: &str| {
        let wrapper = [&["env", "C1M_FLEET_TOKEN=secret"], wrapper].concat();
        Run::under(&wrapper, &format!("{options} --fleet {fleet}"))
    };
    let tell = |words: &str, code: i32| {
        let (status, line) = command(fleet, "secret", words);
        assert_eq!(status, Some(code), "{words}: {line}");
    };
    // A guard that holds, so that room is given.
    let options = "--server --listen 127.0.0.1 --ports 4 --workers 1 --expect-workers 3 --interval 200ms";
    let server = run(&["prlimit", "--nofile=1000:1000"], options);
    let client = "--client 127.0.0.1 9900 --ports 4 --target 8k --rate 400 --expect-workers 3 --hold 1s";
    let mut clients = [1, 2].map(|n| run(&[], &format!("{client} --part {n}/2")));
    clients[0].until("it opens", |p| p.established() > 0);
    tell("pause", 0);
    clients[0].until("the pause", |p| p.event("fleet/command/pause").is_some());
    tell("resume", 0);
    for end in clients.map(Run::finish) {
        assert_eq!((end.code, end.summary().verdict), (Some(3), Verdict::GuardStopped), "{end:#?}");
    }
    assert_eq!(server.finish().code, Some(0));
    tell("--last --output json", 3);
    assert_eq!(store.ask(&["ACL", "LOG"]), "", "refused");
}
