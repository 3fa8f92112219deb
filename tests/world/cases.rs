//! The table: each server with its limit, and what is expected.

use c1m_top::model::Verdict;

use super::expect::{Case, Cured};
use super::fill::{Filler, fill};
use super::servers;
use super::support::{own_processes, require};

/// The tests of one case: filled beyond its limit, cured, filled to 60 %.
macro_rules! case {
    ($name:ident, [$($need:tt)+], $case:expr) => {
        mod $name {
            use super::*;
            use crate::support::{own_processes, require};

            const CASE: Case = $case;

            #[test]
            fn its_limit_is_foretold_met_and_told() {
                require!($($need)+);
                own_processes!();
                CASE.met();
            }

            #[test]
            fn its_cure_helps() {
                require!($($need)+);
                own_processes!();
                CASE.cured();
            }

            #[test]
            fn a_healthy_filling_is_no_reason_for_alarm() {
                require!($($need)+);
                own_processes!();
                CASE.healthy();
            }

        }
    };
}

/// One that closes what it accepts beyond a limit of its own.
const REFUSES: Case = Case {
    name: "",
    start: servers::redis,
    setting: 1000,
    filler: Filler::Ours,
    holds: 990..=1000,
    queued: 0,
    cure: Cured::Restart(2000),
    limit: "app",
    within: 0.02,
    event: "app/",
    says: &["closes what it accepts", "app limit"],
    advises: &[],
    never_advises: &["somaxconn"],
    watcher: Verdict::Watched,
    client: Some(Verdict::ServerRefuses),
    tree: false,
};

/// One whose descriptors are used up, and that stops accepting.
const DESCRIPTORS: Case = Case {
    limit: "nofile",
    event: "limit/nofile/",
    says: &["the open-file limit of"],
    advises: &["prlimit --pid", "LimitNOFILE="],
    holds: 970..=1000,
    cure: Cured::Raise(8000),
    client: Some(Verdict::ServerStalled),
    queued: 129,
    ..REFUSES
};

case!(
    nginx,
    [Root, Program("nginx")],
    Case {
        name: "nginx",
        start: servers::nginx,
        setting: 400,
        filler: Filler::Requests,
        // Each of its two workers has a listener and a channel to the master among its connections.
        holds: 790..=800,
        // Before it is full nobody outside knows whether its connections are busy: the forecast is between this and the count
        // at which idle ones are closed.
        within: 0.02,
        cure: Cured::Restart(1000),
        says: &["nginx", "closes what it accepts"],
        advises: &["worker_connections"],
        client: None,
        tree: true,
        ..REFUSES
    }
);

case!(
    nginx_idle,
    [Root, Program("nginx")],
    Case {
        name: "nginx",
        start: servers::nginx,
        setting: 400,
        // From 15/16 on, each worker closes up to 32 of the oldest that have asked nothing, to take new ones
        // (ngx_drain_connections).
        holds: 680..=750,
        within: 0.15,
        cure: Cured::Restart(1000),
        says: &["nginx"],
        advises: &["worker_connections"],
        tree: true,
        ..REFUSES
    }
);

case!(
    haproxy,
    [Long, Root, Program("haproxy")],
    Case {
        name: "haproxy",
        start: servers::haproxy,
        queued: 129,
        says: &["haproxy", "accept"],
        advises: &["maxconn"],
        client: Some(Verdict::ServerStalled),
        ..REFUSES
    }
);

case!(
    redis,
    [Root, Program("redis-server")],
    Case {
        name: "redis-server",
        start: servers::redis,
        says: &["redis-server", "closes what it accepts"],
        advises: &["maxclients"],
        ..REFUSES
    }
);

case!(
    mosquitto,
    [Long, Root, Program("mosquitto")],
    Case {
        name: "mosquitto",
        start: servers::mosquitto,
        says: &["mosquitto", "closes what it accepts"],
        advises: &["max_connections"],
        ..REFUSES
    }
);

case!(
    postgres,
    [Long, Root, Program("pg_ctlcluster")],
    Case {
        name: "postgres",
        start: servers::postgres,
        setting: 200,
        filler: Filler::Logins,
        holds: 200..=200,
        cure: Cured::Restart(400),
        says: &["postgres", "closes what it accepts"],
        advises: &["max_connections"],
        client: None,
        tree: true,
        ..REFUSES
    }
);

/// ejabberd by su. It watches no descriptor beyond what it was started with: prlimit(1) would have it accept connections that
/// it never serves.
const EJABBERD: Case = Case {
    name: "beam.smp",
    start: servers::ejabberd_by_descriptors,
    setting: servers::BY_PAM,
    advises: &["LimitNOFILE=", "limits.conf", "a restart"],
    never_advises: &["prlimit --pid", "somaxconn"],
    cure: Cured::Restart(4000),
    ..DESCRIPTORS
};

case!(ejabberd_by_descriptors, [Long, Root, Program("ejabberdctl")], EJABBERD);

case!(
    ejabberd_from_above,
    [Long, Root, Program("ejabberdctl")],
    Case { name: "ejabberdctl", start: servers::ejabberd_from_above, tree: true, ..EJABBERD }
);

case!(
    ejabberd_by_ports,
    [Long, Root, Program("ejabberdctl")],
    Case {
        name: "beam.smp",
        start: servers::ejabberd_by_ports,
        // Rounded up to 4,096, of which it has some itself. The watcher takes each descriptor for a port: it has 24 more of these.
        setting: 3000,
        holds: 4070..=4096,
        cure: Cured::Restart(8000),
        limit: "runtime",
        event: "limit/runtime/",
        says: &["the port limit (+Q) of"],
        advises: &["+Q", "ERL_MAX_PORTS="],
        ..REFUSES
    }
);

case!(
    node_by_descriptors,
    [Long, Root, Program("node")],
    Case {
        name: "node",
        start: servers::node_by_descriptors,
        // It keeps one descriptor back, by which it accepts and closes what it has none for.
        client: Some(Verdict::ServerRefuses),
        queued: 0,
        cure: Cured::Restart(4000),
        ..DESCRIPTORS
    }
);

case!(
    node_by_heap,
    [Long, Root, Program("node")],
    Case {
        name: "node",
        start: servers::node_by_heap,
        setting: 64,
        holds: 1300..=2100,
        cure: Cured::Restart(256),
        limit: "runtime",
        within: 0.3,
        event: "death/",
        says: &["node", "heap"],
        advises: &["--max-old-space-size="],
        watcher: Verdict::ProcessDied,
        client: Some(Verdict::ServerRefuses),
        ..REFUSES
    }
);

case!(
    java_by_threads,
    [Long, Root, Program("javac"), Program("setpriv")],
    Case {
        name: "java",
        start: servers::java_by_threads,
        setting: 500,
        holds: 470..=490,
        queued: 129,
        cure: Cured::Restart(1000),
        limit: "threads",
        event: "limit/threads/",
        says: &["the user's thread limit (RLIMIT_NPROC)"],
        advises: &["LimitNPROC=", "nproc in limits.conf"],
        client: Some(Verdict::ServerStalled),
        ..REFUSES
    }
);

case!(
    java_by_heap,
    [Long, Root, Program("javac")],
    Case {
        name: "java",
        start: servers::java_by_heap,
        setting: 64,
        holds: 1600..=2000,
        cure: Cured::Restart(256),
        limit: "runtime",
        within: 0.3,
        event: "death/",
        says: &["java", "heap"],
        advises: &["-Xmx"],
        watcher: Verdict::ProcessDied,
        client: Some(Verdict::ServerRefuses),
        ..REFUSES
    }
);

case!(
    netty_by_descriptors,
    [Long, Root, Program("javac"), File(servers::NETTY_JAR)],
    Case {
        name: "java",
        start: servers::netty_by_descriptors,
        setting: 1000,
        cure: Cured::Restart(4000),
        ..DESCRIPTORS
    }
);

case!(
    netty_by_heap,
    [Long, Root, Program("javac"), File(servers::NETTY_JAR)],
    Case {
        name: "java",
        start: servers::netty_by_heap,
        setting: 64,
        holds: 1600..=2000,
        cure: Cured::Restart(256),
        limit: "runtime",
        within: 0.3,
        event: "death/",
        says: &["java", "heap"],
        advises: &["-Xmx"],
        watcher: Verdict::ProcessDied,
        client: Some(Verdict::ServerRefuses),
        ..REFUSES
    }
);

case!(
    asyncio_by_descriptors,
    [Long, Root, Program("python3")],
    Case { name: "python3", start: servers::asyncio, setting: 1000, ..DESCRIPTORS }
);

case!(
    go_by_descriptors,
    [Long, Root, Program("go")],
    Case { name: "goserver", start: servers::go, setting: 1000, cure: Cured::Restart(4000), ..DESCRIPTORS }
);

#[test]
fn who_was_given_more_than_it_was_started_with_is_told_not_to_serve_it() {
    require!(Long, Root, Program("ejabberdctl"));
    own_processes!();
    let server = servers::ejabberd_raised(8000);
    let filled = fill(&server, Filler::Ours, 1500);
    // It accepts all of them: to its clients it looks well.
    assert_eq!(filled.client.map(|client| client.summary().verdict), Some(Verdict::TargetReached));
    filled
        .watcher
        .assert_event("nofile/", &["accepts connections beyond the open files it was started with", "a restart"]);
    assert_eq!(filled.watcher.limit("nofile").limit, Some(servers::BY_PAM));
}
