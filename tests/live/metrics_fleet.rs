//! The workers of a fleet, scraped by a real Prometheus: what the fleet meets next, as the queries of docs/fleet.md find it.

use std::fs;
use std::process::{Command, Stdio};

use c1m_top::model::Verdict;

use super::metrics::{DEPLOY, found, prometheus, query};
use super::support::{Home, Run, Started, own_namespace, require, wait_until};

/// The fleet of the documentation, in the namespace of the test.
const FLEET: &str = "redis://127.0.0.1/night-run";

/// The query of docs/fleet.md that begins with this comment.
fn documented(comment: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fleet.md")).unwrap();
    let rest = page.split_once(&format!("# {comment}\n")).unwrap_or_else(|| panic!("no query: {comment}")).1;
    let end = rest.find("\n\n").into_iter().chain(rest.find("\n```")).min().unwrap();
    rest[..end].to_owned()
}

#[test]
fn prometheus_says_what_a_fleet_meets_next() {
    const PART: u64 = 4000;
    require!(Long, Program("redis-server"), Program("prometheus"), Program("promtool"), Program("prlimit"));
    own_namespace!();
    let dir = tempfile::tempdir().unwrap();
    let mut store = Command::new("redis-server");
    store.args(["--save", "", "--bind", "127.0.0.1", "--dir"]).arg(Home::path());
    let _store = Started::spawn(store.stdout(Stdio::null()));
    wait_until("redis", || std::net::TcpStream::connect("127.0.0.1:6379").ok());
    // As it is deployed, of three workers.
    let config = fs::read_to_string(format!("{DEPLOY}/prometheus.yml")).unwrap().replace("5s", "1s");
    let one = "          - localhost:9464";
    assert!(config.contains(one));
    let three = format!("{one}\n{}\n{}", one.replace("9464", "9465"), one.replace("9464", "9466"));
    fs::write(dir.path().join("prometheus.yml"), config.replace(one, &three)).unwrap();
    fs::copy(format!("{DEPLOY}/alerts.yml"), dir.path().join("alerts.yml")).unwrap();
    let _prometheus = prometheus(dir.path(), &dir.path().join("prometheus.yml"));

    let worker = |limits: &[&str], options: String| {
        let common = "--no-guard --metrics-linger 1m --expect-workers 3 --interval 200ms";
        Run::under(limits, &format!("{options} {common} --fleet {FLEET}"))
    };
    let client = |n: u64, limits: &[&str]| {
        let target = 2 * PART;
        let options = format!("--client 127.0.0.1 9900 --target {target} --rate 600 --part {n}/2 --workers 1");
        worker(limits, format!("{options} --metrics {}", 9464 + n))
    };
    let mut server = worker(&["env"], "--server --listen 127.0.0.1 --metrics 9464".to_owned());
    // The second meets its own limit before its part is open.
    let mut clients = [client(1, &["env"]), client(2, &["prlimit", "--nofile=3000"])];

    let [when, at, open] =
        ["in how many seconds", "at how many connections of the whole fleet", "open now"].map(documented);
    let third =
        "{fleet=\"night-run\", instance=\"localhost:9466\", job=\"c1m-top\", limit=\"nofile\", scope=\"client\"} => ";
    let ask = |text: &str| query(text, &[]);
    let forecast = wait_until("the forecast", || {
        // The first may be scraped up to a second after the second: its target is in the sum only then.
        ask("count(c1m_top_connections_target)").contains("=> 2 ").then_some(())?;
        let said = ask(&at);
        let connections = found(&said)?;
        let soon = ask(&when);
        (said.contains(third) && soon.contains(third)).then(|| {
            for line in [&soon, &said, &ask(&open)] {
                eprintln!("measured: {}", line.trim());
            }
            connections
        })
    });
    let sums = ask(&open);
    let now = found(&sums).unwrap_or_else(|| panic!("{sums}"));
    // Neither end twice, and no other fleet.
    assert!(sums.contains("{fleet=\"night-run\"}") && sums.lines().count() == 1 && now < 2.0 * PART as f64, "{sums}");
    clients[1].until("its limit", |p| p.summary.is_some());
    clients[0].until_holding();
    let [first, second] = clients;
    let (second, first) = (second.finish(), first.interrupt());
    server.until("its summary", |p| p.summary.is_some());
    assert_eq!((second.code, second.summary().verdict), (Some(3), Verdict::LimitHit), "{}", second.log());
    assert_eq!(first.peak(), PART);
    // Both open as fast as one another.
    let reached = 2.0 * second.peak() as f64;
    assert!((forecast / reached - 1.0).abs() < 0.05, "{forecast} was forecast, {reached} were open");
}
