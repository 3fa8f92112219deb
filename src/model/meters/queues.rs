//! Queues that overflow: no use can be read in O(1), their drop counters tell.

use crate::model::limit::LimitState;

use super::{Context, Meter, namespace};

/// Drops per second from which on an overflow is a warning, and critical; over ten seconds or so (netdata's thresholds,
/// whose minute would be three million connections late).
const WARN: f64 = 1.0;
const CRITICAL: f64 = 5.0;

pub(super) fn read(context: &Context<'_>, out: &mut Vec<Meter>) {
    let net = &context.sample.net;
    let scope = namespace(context.sample);
    let queue = |id: &'static str, counters: &[&str], what: String| {
        let total: u64 = counters.iter().map(|c| context.counters.total(c)).sum();
        let per_s: f64 = counters.iter().map(|c| context.counters.per_s(c)).sum();
        let state = if per_s > CRITICAL {
            LimitState::Critical
        } else if per_s > WARN {
            LimitState::Warn
        } else {
            LimitState::Ok
        };
        let reason = (total > 0).then_some(what);
        Meter { used: Some(total), state: Some(state), reason, ..Meter::apart(id, &scope, 0, None) }
    };
    let max = |reading: &Result<u64, _>| reading.as_ref().map_or("unknown".to_owned(), u64::to_string);
    if let Err(why) = &net.ext {
        out.extend(["accept_queue", "syn_queue"].map(|id| Meter::unknown(id, &scope, why)));
    } else {
        let somaxconn = max(&net.somaxconn);
        // ListenDrops counts every overflow again.
        out.push(
            queue("accept_queue", &["listen_overflows"], format!("overflows since the start; net.core.somaxconn is {somaxconn}"))
                .cured(|_| "accept faster (is the server paused or short of CPU?), a larger backlog, sysctl -w net.core.somaxconn=65535".into()),
        );
        let backlog = max(&net.max_syn_backlog);
        out.push(
            queue(
                "syn_queue",
                &["syn_cookies", "req_q_full_drop", "syn_drop"],
                format!("overflows since the start; tcp_max_syn_backlog is {backlog}, net.core.somaxconn {somaxconn}"),
            )
            .cured(|_| "sysctl -w net.ipv4.tcp_max_syn_backlog=65536 net.core.somaxconn=65535".into()),
        );
    }
    if let Err(why) = &context.sample.host.softnet {
        out.push(Meter::unknown("backlog", "host", why));
        return;
    }
    let meter = queue("backlog", &["softnet_dropped"], "packets dropped since the start".into())
        .cured(|_| "sysctl -w net.core.netdev_max_backlog=10000".into());
    out.push(Meter { scope: "host".into(), ..meter });
}
