//! What one connection costs, in parts that people know by name.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::text::{cut, put, width, wrap};
use crate::model::{Basis, Cost, Model};
use crate::units;
use crate::units::whole;

/// Slab caches under plain names. A name ending in `*` stands for all that begin so. Sources: `KMEM_CACHE` and
/// `kmem_cache_create` calls in net/, fs/ and security/ of Linux 6.18; `anon_vma_chain` is the alias under which the
/// epoll wait entries are listed where caches of one size are merged.
const PARTS: &[(&str, &str, &[&str])] = &[
    ("TCP sock", "socket", &["TCP", "TCPv6", "tw_sock_TCP*", "request_sock_TCP*"]),
    ("socket inode", "inode", &["sock_inode_cache"]),
    ("open file", "file", &["filp"]),
    ("dentry", "dentry", &["dentry"]),
    ("epoll", "epoll", &["eventpoll_epi", "eppoll_entry", "ep_head", "eventpoll_pwq", "anon_vma_chain"]),
    ("security", "security", &["lsm_*", "selinux_*", "apparmor_*"]),
    ("small objects", "small", &["kmalloc-*", "tcp_bind*", "inet_peer*"]),
];

/// One part of the cost.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    name: &'static str,
    short: &'static str,
    /// The caches in it, for those who look into `/proc/slabinfo`.
    caches: String,
    bytes: f64,
}

/// Draws the panel: one row a part; in a low panel two columns, or one line.
pub(super) fn draw(buf: &mut Buffer, area: Rect, model: &Model, theme: Look) {
    let cost = model.cost();
    let inner = panel::frame(buf, area, &title(cost, usize::from(area.width).saturating_sub(6)), theme);
    if cost.total.is_none() {
        let lines = wrap("known once a few thousand connections are open", inner.width.saturating_sub(2).into());
        for (row, line) in lines.iter().enumerate() {
            put(buf, inner, 1, row as u16, line, theme.dim());
        }
        return;
    }
    let parts = parts(cost);
    let most = parts.iter().map(|p| p.bytes).fold(1.0, f64::max);
    let height = usize::from(inner.height);
    if parts.len() <= height {
        rows(buf, inner, &parts, most, theme);
    } else if parts.len().div_ceil(2) <= height && inner.width >= 48 {
        let half = inner.width / 2;
        let (first, second) = parts.split_at(parts.len().div_ceil(2));
        rows(buf, Rect { width: half, ..inner }, first, most, theme);
        rows(buf, Rect { x: inner.x + half, width: inner.width - half, ..inner }, second, most, theme);
    } else {
        flow(buf, inner, &parts, theme);
    }
}

/// `One connection costs 8,232 B (both ends)`, or as much of it as fits.
fn title(cost: &Cost, columns: usize) -> String {
    let Some(slope) = cost.total else { return "What one connection costs".to_owned() };
    let bytes = bytes(slope.per_connection);
    let divided = if cost.basis == Some(Basis::Quotient) { ", all its memory divided" } else { "" };
    let whole = format!("One connection costs {bytes} B ({}{divided})", cost.ends());
    let shorter = format!("A connection costs {bytes} B");
    [whole, shorter].into_iter().find(|t| width(t) <= columns).unwrap_or_else(|| format!("{bytes} B each"))
}

/// A whole number of bytes; what is negative is noise.
fn bytes(value: f64) -> String {
    units::grouped(whole(value.round()))
}

/// Every part, slab caches first in fixed order, so that rows do not change places while the numbers settle.
fn parts(cost: &Cost) -> Vec<Part> {
    let mut parts: Vec<Part> = PARTS
        .iter()
        .map(|&(name, short, caches)| {
            let of = cost.slab.iter().filter(|(cache, _)| matches(caches, cache));
            let names: Vec<&str> = of.clone().map(|(cache, _)| cache.as_str()).collect();
            Part { name, short, caches: names.join(" + "), bytes: of.map(|(_, b)| b).sum() }
        })
        .collect();
    let slab: f64 = cost.slab.iter().map(|(_, b)| b).sum();
    let named: f64 = parts.iter().map(|p| p.bytes).sum();
    let kernel = cost.kernel.map_or(slab, |k| k.per_connection);
    let caches = if cost.slab.is_empty() { "slab caches need root" } else { "page tables, other caches, rounding" };
    let other = (kernel - named).max(slab - named).max(0.0);
    parts.push(Part { name: "other kernel", short: "other", caches: caches.into(), bytes: other });
    for (name, short, slope) in [
        ("server user", "server", cost.server_user),
        ("client user", "client", cost.client_user),
        ("its memory", "RSS", cost.user),
    ] {
        if let Some(slope) = slope {
            parts.push(Part { name, short, caches: "resident memory".into(), bytes: slope.per_connection });
        }
    }
    if cost.slab.is_empty() {
        parts.retain(|p| !PARTS.iter().any(|(name, ..)| *name == p.name));
    }
    parts
}

fn matches(caches: &[&str], name: &str) -> bool {
    caches.iter().any(|c| c.strip_suffix('*').map_or(*c == name, |start| name.starts_with(start)))
}

/// `TCP sock        5,041 B  ━━━━━━━━  TCP`, bars as shares of `most`.
fn rows(buf: &mut Buffer, area: Rect, parts: &[Part], most: f64, theme: Look) {
    let bar = area.width.saturating_sub(28).min(if area.width < 90 { 12 } else { 24 });
    for (row, part) in parts.iter().enumerate() {
        let row = row as u16;
        put(buf, area, 1, row, part.name, theme.text());
        let mut column = put(buf, area, 15, row, &format!("{:>8} B", bytes(part.bytes)), theme.text()) + 2;
        if bar >= 8 {
            let (full, _) = panel::bar(theme.bar_marks(), part.bytes / most, bar);
            put(buf, area, column, row, &full, theme.second());
            column += bar + 2;
        }
        if column + 8 <= area.width {
            let caches = cut(&part.caches, usize::from(area.width - column));
            put(buf, area, column, row, &caches, theme.dim());
        }
    }
}

/// `socket   5,041   inode    1,727`, as many to a row as fit.
fn flow(buf: &mut Buffer, area: Rect, parts: &[Part], theme: Look) {
    const EACH: u16 = 14;
    let across = ((area.width + 1) / (EACH + 2)).max(1);
    for (i, part) in parts.iter().enumerate() {
        let (row, column) = (i as u16 / across, 1 + i as u16 % across * (EACH + 2));
        put(buf, area, column, row, &format!("{:<8} {:>5}", part.short, bytes(part.bytes)), theme.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Slope;

    fn slope(per_connection: f64) -> Slope {
        Slope { per_connection, spread: 1.0, points: 9 }
    }

    #[test]
    fn parts_add_up_to_the_kernels_share() {
        let slab = [("TCP", 5041.0), ("filp", 390.0), ("ep_head", 32.0), ("eventpoll_epi", 282.0), ("odd", 7.0)];
        let cost = Cost {
            mem_free: None,
            total: Some(slope(6003.0)),
            kernel: Some(slope(6000.0)),
            user: None,
            basis: Some(Basis::SlabAndRss),
            server_user: Some(slope(3.0)),
            client_user: None,
            slab: slab.map(|(name, b)| (name.to_owned(), b)).to_vec(),
            objects: Vec::new(),
            both_ends: true,
        };
        let parts = parts(&cost);
        let of = |name| parts.iter().find(|p| p.name == name).map(|p| p.bytes);
        assert_eq!((of("TCP sock"), of("epoll"), of("server user")), (Some(5041.0), Some(314.0), Some(3.0)));
        assert_eq!(of("other kernel"), Some(6000.0 - 5745.0));
        assert_eq!(of("client user"), None);
        assert_eq!(title(&cost, 40), "One connection costs 6,003 B (both ends)");
    }

    #[test]
    fn without_slabinfo_the_kernel_is_one_part() {
        let cost = Cost { total: Some(slope(8000.0)), kernel: Some(slope(8000.0)), ..Cost::default() };
        let parts = parts(&cost);
        assert_eq!(parts.iter().map(|p| p.name).collect::<Vec<_>>(), ["other kernel"]);
        assert!(parts[0].caches.contains("root"));
    }
}
