//! Who is connected to a listener: the networks that most connections come from, how long nothing has moved, and where.

use std::net::SocketAddr;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::panel::{self, Look};
use super::state::{Opened, Told};
use super::text::{cut, put, put_right, width, wrap};
use crate::model::ProcessLine;
use crate::sample::Peers;
use crate::units;

/// From this width on the networks stand beside the rest.
const BESIDE: u16 = 100;
/// Below this width there is no column but networks, connections and shares.
const NARROW: u16 = 78;
/// Below this height there is no more than the networks.
const TIGHT: u16 = 9;
/// Columns of the panel of idle times beside the networks, where the idle connections are below.
const TIMES: u16 = 30;

/// Columns of the table of networks: the longest is `ffff:ffff:ffff:ff00::/56`.
const CONNECTIONS: u16 = 36;
const SHARE: u16 = 42;
const ADDRESSES: u16 = 53;

/// Draws the panel.
pub(super) fn draw(buf: &mut Buffer, area: Rect, program: &ProcessLine, opened: &Opened, theme: Look) {
    let name = format!("Peers of {}", listener(program, opened.port));
    let mut inner = panel::frame(buf, area, &name, theme);
    let counting = if opened.counting { "counting …".to_owned() } else { String::new() };
    let told = match &opened.told {
        None => {
            put(buf, inner, 1, 0, "counting its sockets one by one …", theme.dim());
            return;
        }
        Some(Told { peers: Err(absent), .. }) => {
            panel::remark(buf, area, &name, &counting, theme);
            let text = format!("They cannot be counted: {absent}.");
            for (row, line) in wrap(&text, usize::from(inner.width.saturating_sub(2))).iter().enumerate() {
                put(buf, inner, 1, row as u16, line, theme.text());
            }
            return;
        }
        Some(Told { peers: Ok(peers), at_ms }) => {
            let cost =
                format!("counted at {} in {} of one core", units::clock(*at_ms), units::fine_time(peers.cpu_us as f64));
            panel::remark(buf, area, &name, if opened.counting { &counting } else { &cost }, theme);
            peers
        }
    };
    put(buf, inner, 1, 0, &summary(told, usize::from(inner.width.saturating_sub(2))), theme.text());
    inner = below(inner, 1);
    if inner.height < TIGHT {
        return table(buf, inner, told, opened.row, theme);
    }
    if inner.width >= BESIDE {
        let left = Rect { width: ADDRESSES + 1, ..inner };
        let right = Rect { x: inner.x + left.width + 2, width: inner.width - left.width - 2, ..inner };
        networks(buf, left, told, opened.row, theme);
        let times = Rect { height: (told.idle.len() as u16 + 2).min(right.height), ..right };
        idle_times(buf, times, told, theme);
        oldest(buf, below(right, times.height), told, theme);
        return;
    }
    // Rule, captions and six rows below, where as many are left above.
    let low = if inner.height >= 14 { (told.oldest.len() as u16 + 2).clamp(3, 8) } else { inner.height / 3 };
    let high = Rect { height: inner.height - low, ..inner };
    if inner.width >= NARROW {
        let left = Rect { width: inner.width - TIMES - 2, ..high };
        networks(buf, left, told, opened.row, theme);
        idle_times(buf, Rect { x: inner.x + inner.width - TIMES, width: TIMES, ..high }, told, theme);
    } else {
        networks(buf, high, told, opened.row, theme);
    }
    oldest(buf, below(inner, high.height), told, theme);
}

/// What is left below so many rows.
fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// `*:443`, `[::1]:80`.
fn listener(program: &ProcessLine, port: u16) -> String {
    let known = program.listeners.iter().find(|l| l.port == port);
    known.map_or_else(|| format!("port {port}"), |l| super::program::endpoint(&l.address, port))
}

/// `1 address`, `12 addresses`.
fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", units::grouped(n), if n == 1 { one } else { many })
}

/// Who they are in one line: what does not fit goes, the last first.
fn summary(peers: &Peers, columns: usize) -> String {
    let mut text = format!(
        "{} from {}",
        plural(peers.connections, "connection", "connections"),
        plural(peers.addresses, "address", "addresses")
    );
    let parts = [
        (peers.networks, format!(" in {}", plural(peers.networks, "network", "networks"))),
        (peers.close_wait, format!("; closed by the peer only: {}", units::grouped(peers.close_wait))),
        (peers.queued, format!("; waiting to be accepted: {}", units::grouped(peers.queued))),
        (peers.untold, format!("; idle time unknown: {}", units::grouped(peers.untold))),
    ];
    for (_, part) in parts.into_iter().filter(|(count, _)| *count > 0) {
        if width(&text) + width(&part) > columns {
            break;
        }
        text += &part;
    }
    text
}

/// The networks that most come from.
fn networks(buf: &mut Buffer, area: Rect, peers: &Peers, chosen: usize, theme: Look) {
    let inner = panel::frame(buf, area, "From, /24 and /56", theme);
    table(buf, inner, peers, chosen, theme);
}

/// A row for each network; the chosen one is always on the screen.
fn table(buf: &mut Buffer, inner: Rect, peers: &Peers, chosen: usize, theme: Look) {
    let wide = inner.width > ADDRESSES;
    let (connections, share) = if inner.width > SHARE {
        (CONNECTIONS, SHARE)
    } else {
        (inner.width.saturating_sub(7), inner.width.saturating_sub(1))
    };
    put(buf, inner, 1, 0, "network", theme.dim());
    put_right(buf, inner, connections, 0, "connections", theme.dim());
    put_right(buf, inner, share, 0, "share", theme.dim());
    if wide {
        put_right(buf, inner, ADDRESSES, 0, "addresses", theme.dim());
    }
    let room = usize::from(inner.height.saturating_sub(1));
    let all = peers.networks as usize;
    let whole = all == peers.top.len() && all <= room;
    let rows = if whole { room } else { room.saturating_sub(1).min(peers.top.len()) };
    let first = (chosen + 1).saturating_sub(rows);
    for (row, network) in peers.top.iter().enumerate().skip(first).take(rows) {
        let line = (row - first) as u16 + 1;
        put(buf, inner, 1, line, &cut(&network.to_string(), usize::from(connections.saturating_sub(11))), theme.text());
        put_right(buf, inner, connections, line, &units::grouped(network.connections), theme.text());
        let part = network.connections as f64 / peers.connections.max(1) as f64;
        let part = if part < 0.01 { "< 1 %".to_owned() } else { panel::percent(part) };
        put_right(buf, inner, share, line, &part, theme.text());
        if wide {
            put_right(buf, inner, ADDRESSES, line, &units::grouped(network.addresses), theme.text());
        }
        if row == chosen && !whole {
            put(buf, inner, 0, line, theme.chosen_mark(), theme.strong());
        }
    }
    if !whole && room > 0 {
        let left = plural((all - rows.min(all)) as u64, "more network", "more networks");
        put(buf, inner, 1, rows as u16 + 1, &format!("and {left}"), theme.dim());
    }
}

/// The classes of idle times.
const CLASSES: [&str; 6] = ["< 1 s", "< 10 s", "< 1 min", "< 10 min", "< 1 h", "1 h or more"];

/// How many have been idle for how long.
fn idle_times(buf: &mut Buffer, area: Rect, peers: &Peers, theme: Look) {
    let inner = panel::frame(buf, area, "Idle for", theme);
    let most = peers.idle.iter().copied().max().unwrap_or(0).max(1);
    let room = inner.width.saturating_sub(25).min(40);
    for (row, (class, count)) in CLASSES.into_iter().zip(peers.idle).enumerate() {
        put_right(buf, inner, 12, row as u16, class, theme.dim());
        put_right(buf, inner, 23, row as u16, &units::grouped(count), theme.text());
        let (full, _) = panel::bar(theme.bar_marks(), count as f64 / most as f64, room);
        put(buf, inner, 24, row as u16, &full, theme.first());
    }
}

/// The connections that nothing has moved on for longest.
fn oldest(buf: &mut Buffer, area: Rect, peers: &Peers, theme: Look) {
    if area.height < 3 {
        return;
    }
    let inner = panel::frame(buf, area, "Longest without data", theme);
    let unread = inner.width.saturating_sub(1);
    let idle = inner.width.saturating_sub(11);
    put(buf, inner, 1, 0, "address and port", theme.dim());
    put_right(buf, inner, idle, 0, "idle for", theme.dim());
    put_right(buf, inner, unread, 0, "unread", theme.dim());
    for (row, one) in peers.oldest.iter().take(usize::from(inner.height.saturating_sub(1))).enumerate() {
        let row = row as u16 + 1;
        put(buf, inner, 1, row, &shortened(one.peer, usize::from(idle.saturating_sub(13))), theme.text());
        let time = if one.idle_ms < 1000 { "under 1 s".to_owned() } else { units::millis(one.idle_ms / 1000 * 1000) };
        put_right(buf, inner, idle, row, &time, theme.text());
        if one.unread > 0 {
            put_right(buf, inner, unread, row, &units::bytes(one.unread), theme.text());
        }
    }
}

/// Address and port in so many columns. What is cut is the end of the address: the port tells it from its neighbours.
fn shortened(peer: SocketAddr, most: usize) -> String {
    let whole = peer.to_string();
    let end = format!("…{}:{}", if peer.is_ipv6() { "]" } else { "" }, peer.port());
    match most.checked_sub(width(&end)) {
        Some(left) if whole.len() > most => format!("{}{end}", &whole[..left]),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_address_keeps_its_port() {
        let v6: SocketAddr = "[2001:db8:aaaa:bb00:cccc:dddd:eeee:1]:50001".parse().unwrap();
        assert_eq!(shortened(v6, 43), v6.to_string());
        assert_eq!(shortened(v6, 30), "[2001:db8:aaaa:bb00:cc…]:50001");
        let v4: SocketAddr = "198.51.100.10:40000".parse().unwrap();
        assert_eq!(shortened(v4, 15), "198.51.1…:40000");
        assert_eq!(shortened(v4, 3), v4.to_string(), "cut where it is drawn");
    }

    #[test]
    fn what_does_not_fit_of_the_summary_is_left_out_whole() {
        let mut peers = Peers { connections: 1, addresses: 1, networks: 1, ..Peers::default() };
        assert_eq!(summary(&peers, 80), "1 connection from 1 address in 1 network");
        (peers.connections, peers.queued) = (1_204, 12);
        let whole = "1,204 connections from 1 address in 1 network; waiting to be accepted: 12";
        assert_eq!(summary(&peers, whole.len()), whole);
        assert_eq!(summary(&peers, whole.len() - 1), "1,204 connections from 1 address in 1 network");
    }
}
