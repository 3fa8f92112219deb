//! A client whose host is cut off: its link is down, for its connections as for the store.

use std::path::{Path, PathBuf};

use c1m_top::model::{RunPhase, Verdict};
use c1m_top::protocol::Role;
use c1m_top::record::{self, Entry};
use c1m_top::sys;
use serde_json::Value;

use super::store::{Store, View, rows, said, sh, worker};
use super::support::{Finished, Home, Net, Run, own_namespace, require};

/// The address of the server and of the store, on a bridge.
const SERVER: &str = "10.99.0.1";
const CLIENT: &str = "--client 10.99.0.1 9900 --ports 4 --target 2k --expect-workers 3 --interval 200ms";

/// A ramp of four seconds at each client, so that a cut falls into it.
const SLOWLY: &str = "--rate 500 --hold 500ms";

/// A host on the bridge.
#[derive(Debug)]
struct Host {
    net: Net,
    number: u32,
}

impl Host {
    /// Makes one; the bridge is there.
    fn new(number: u32) -> Self {
        let net = Net::new();
        sh(&format!("ip link add to{number} type veth peer name wire netns {}", net.pid()));
        sh(&format!("ip link set to{number} master br0 && ip link set to{number} up"));
        net.sh(&format!("ip addr add 10.99.0.{}/24 dev wire && ip link set wire up", 10 + number));
        Self { net, number }
    }

    /// Sets its link down at the bridge, or up again.
    fn link(&self, way: &str) {
        sh(&format!("ip link set to{} {way}", self.number));
    }

    /// The same at the host itself, which has no route then.
    fn own_link(&self, way: &str) {
        self.net.sh(&format!("ip link set wire {way}"));
    }

    /// Starts a client of the fleet there.
    fn client(&self, options: &str) -> Run {
        self.net.run(&format!("{CLIENT} {options} --fleet redis://{SERVER}/night"))
    }
}

/// A fleet of a server and two clients on hosts of their own, where the first records.
struct Scene {
    _store: Store,
    view: View,
    server: Run,
    one: Run,
    two: Run,
    host: Host,
    _other: Host,
    file: PathBuf,
}

impl Scene {
    fn new(options: &str) -> Self {
        Self::with("", options, options)
    }

    /// With options of the server's and of each client's own.
    fn with(server: &str, one: &str, two: &str) -> Self {
        sh("ip link add br0 type bridge && ip addr add 10.99.0.1/24 dev br0 && ip link set br0 up");
        let store = Store::start(&["--bind", "0.0.0.0", "--protected-mode", "no"]);
        let (host, other) = (Host::new(1), Host::new(2));
        let view = View::open("night");
        let file = Home::path().join("one.c1m");
        let server = worker("night", &format!("--server --listen {SERVER} --ports 4 --expect-workers 3 {server}"));
        let one = host.client(&format!("--part 1/2 {one} --record {}", file.display()));
        let two = other.client(&format!("--part 2/2 {two}"));
        Self { _store: store, view, server, one, two, host, _other: other, file }
    }

    /// Waits until the first client stands so in the view.
    fn until(&self, standing: &str) -> Value {
        self.view.until(standing, |view| rows(view).contains(&("1".to_owned(), standing.to_owned())))
    }

    /// Waits until the first client is amid its ramp.
    fn until_amid_the_ramp(&mut self) {
        self.one.until("the ramp", |p| p.established() > 50);
    }

    /// The first client, which is cut off now, is to open more, and does not.
    #[track_caller]
    fn assert_the_ramp_stands(&self) {
        let printed = self.one.printed();
        let last = printed.samples.last().unwrap();
        let stands = last.phase == RunPhase::Ramping && last.rate_per_s.is_some_and(|rate| rate < 1.0);
        assert!(stands && last.established < 1000, "{last:#?}");
    }

    /// Cuts the first client's host off until it is lost, to the view and to the other client, and has it back.
    fn cut_until_lost(&mut self, amid_the_ramp: bool) {
        self.host.link("down");
        let silent = self.until("silent");
        let lost = self.until("lost");
        if amid_the_ramp {
            self.assert_the_ramp_stands();
        }
        assert_eq!(silent["count"]["lost"], 0, "silent comes first: {silent:#}");
        assert!(lost["missing"][0].as_str().unwrap().starts_with("part 1/2 on "), "{lost:#}");
        self.two.until("the other client missing it", |p| p.event("fleet/lost").is_some());
        self.host.link("up");
        self.two.until("the other client hearing it", |p| p.event("fleet/returned").is_some());
        self.until("running");
    }

    /// The end: every worker did what it was to do, and the one that was cut off has recorded all of it.
    fn end(self) -> Finished {
        let one = self.one.finish();
        for (who, end) in [("the one cut off", &one), ("the other", &self.two.finish())] {
            said(who, end);
            assert_eq!((end.code, end.summary().verdict), (Some(0), Verdict::TargetReached), "{end:#?}");
            assert_eq!(end.peak(), 1000);
        }
        one.assert_event("fleet/away", &["this run goes on, unseen by the others"]);
        one.assert_event("fleet/back", &["the fleet's store is back after"]);
        assert_eq!(self.server.finish().code, Some(0));
        let (code, summary) = self.view.finish();
        assert_eq!((code, summary["verdict"].as_str()), (Some(0), Some("target_reached")), "{summary:#}");
        assert_eq!(summary["text"], "3 of 3 workers, 2,000 of 2,000 connections");
        let gap = longest_gap(&self.file);
        assert!(gap < 2000, "{gap} ms of its recording are missing");
        one
    }
}

/// The longest time between two samples of a recording, milliseconds.
fn longest_gap(file: &Path) -> u64 {
    let recording = record::open(file).unwrap();
    let moments = recording.entries().filter_map(|entry| match entry {
        Entry::Sample { sample, .. } => Some(sample.t_ms),
        _ => None,
    });
    let moments: Vec<u64> = moments.collect();
    moments.windows(2).map(|two| two[1] - two[0]).max().unwrap()
}

#[test]
fn a_host_cut_off_amid_the_ramp_is_silent_and_goes_on() {
    require!(Root, Program("redis-server"), Veth);
    own_namespace!();
    let mut scene = Scene::new(SLOWLY);
    scene.until_amid_the_ramp();
    scene.host.link("down");
    let silent = scene.until("silent");
    // What it last had is counted.
    let held = silent["rows"][1]["state"]["connections"].as_u64();
    assert!(held <= silent["totals"]["connections"].as_u64() && silent["count"]["silent"] == 1, "{silent:#}");
    scene.assert_the_ramp_stands();
    scene.host.link("up");
    scene.until("running");
    scene.end();
}

#[test]
fn a_host_whose_own_link_is_down_amid_the_ramp_goes_on() {
    require!(Root, Program("redis-server"), Veth, Long);
    own_namespace!();
    let mut scene = Scene::new(SLOWLY);
    scene.until_amid_the_ramp();
    scene.host.own_link("down");
    let away = scene.one.wait_for("the store is missed", |p| p.event("fleet/away").map(|e| e.t_ms));
    // That it is back is told where it was away for two seconds.
    scene.one.until("two seconds more", |p| p.samples.last().is_some_and(|s| s.t_ms > away + 2000));
    scene.assert_the_ramp_stands();
    scene.host.own_link("up");
    let one = scene.end();
    one.assert_event("client/connect/ENETUNREACH", &["there is no route to that network"]);
}

#[test]
fn a_host_cut_off_for_long_amid_the_ramp_is_lost_and_comes_back() {
    require!(Root, Program("redis-server"), Veth, Long);
    own_namespace!();
    let mut scene = Scene::new("--rate 200 --hold 40s --persist");
    scene.until_amid_the_ramp();
    scene.cut_until_lost(true);
    scene.end();
}

#[test]
fn a_host_cut_off_for_long_while_all_hold_keeps_its_connections() {
    require!(Root, Program("redis-server"), Veth, Long);
    own_namespace!();
    let mut scene = Scene::new("--hold 45s");
    scene.one.until_holding();
    scene.two.until_holding();
    scene.cut_until_lost(false);
    scene.view.until("all of them", |view| view["totals"]["connections"] == 2000 && view["totals"]["accepted"] == 2000);
    let one = scene.end();
    assert_eq!((one.summary().lost, one.summary().failures), (Some(0), 0), "{one:#?}");
}

#[test]
fn a_host_that_is_gone_for_good_does_not_keep_the_server_for_ever() {
    require!(Root, Program("redis-server"), Veth, Long);
    own_namespace!();
    let mut scene = Scene::with("--fleet-wait 25s", "--hold 60s", "--hold 5s");
    scene.one.until_holding();
    scene.two.until_holding();
    let engine = scene.one.engine(Role::Client);
    // As when its power fails: of what its kernel closes nothing reaches the server.
    scene.host.link("down");
    sys::kill(engine, libc::SIGKILL).unwrap();
    scene.one.signal(libc::SIGKILL);
    assert_eq!(scene.two.finish().code, Some(0));
    let end = scene.server.finish();
    said("the server", &end);
    assert_eq!((end.code, end.summary().verdict), (Some(0), Verdict::Served), "{end:#?}");
    end.assert_event("fleet/clients_left", &["lost for longer than --fleet-wait: part 1/2 on "]);
    let (code, summary) = scene.view.finish();
    assert_eq!((code, summary["verdict"].as_str()), (Some(3), Some("workers_missing")), "{summary:#}");
    let text = summary["text"].as_str().unwrap();
    assert!(text.starts_with("2 of 3 workers, 1,000 of 2,000 connections; missing: part 1/2 on "), "{text}");
    let missing = summary["missing"][0].as_str().unwrap();
    let heard = missing.strip_prefix("part 1/2 on ").unwrap().rsplit_once("heard ").unwrap().1;
    let heard: u64 = heard.strip_suffix(" s ago)").unwrap().parse().unwrap();
    assert!(heard >= 45, "lost after 20 s, and 25 s more: {missing}");
}
