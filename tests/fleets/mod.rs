//! The screen of a fleet: made-up fleets as frames, and what its keys do.

use std::fmt::Write as _;

use c1m_top::fleet::{
    ClockReading, CpuUse, FleetView, Held, Identity, ServerSide, Stage, WorkerEvent, WorkerLimit, WorkerRole,
    WorkerState,
};
use c1m_top::limits::{LimitId, LimitState};
use c1m_top::model::{RunPhase, Severity, Verdict};
use c1m_top::part::{Origin, Part};
use c1m_top::ui::{self, Action, Board, Palette, Theme};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::{snapshot, text};

/// 2026-11-29 12:00 by the store's clock, microseconds.
const NOW: u64 = 1_795_953_600_000_000;
const SECOND: u64 = 1_000_000;
const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

/// A worker that has been heard of half a second ago and started twelve seconds ago.
fn worker(host: &str, role: WorkerRole, part: Option<Part>) -> WorkerState {
    WorkerState {
        who: Identity {
            id: format!("id-{host}"),
            host: host.to_owned(),
            pid: 4021,
            role,
            part,
            version: "0.1.0".to_owned(),
            what: "10.0.0.5:9900-9999".to_owned(),
            expects: None,
        },
        at_us: NOW - SECOND / 2,
        stage: Stage::Running,
        phase: RunPhase::Ramping,
        cpu: Some(CpuUse { cores_used: 1.1, cores: 4 }),
        started_us: Some(NOW - 12 * SECOND),
        clock: ClockReading { error_us: 180, wall_ahead_us: 12_000 },
        ..WorkerState::default()
    }
}

fn limit(id: LimitId, name: &str, state: LimitState, at: u64, seconds: f64) -> WorkerLimit {
    let share = Some(if state >= LimitState::Warn { 0.83 } else { 0.31 });
    WorkerLimit { id, name: name.to_owned(), state, share, connections: Some(at), seconds: Some(seconds) }
}

/// A server and so many clients that aim at 20,000 each, about a third of the way; all is well.
fn ramping(clients: u32) -> Vec<WorkerState> {
    let mut workers: Vec<WorkerState> = (1..=clients)
        .map(|n| {
            let part = Part { number: n, of: clients, from: Origin::SlurmTask };
            let connections = 6_600 + u64::from(n * 37 % 400);
            WorkerState {
                connections,
                peak: connections,
                target: Some(20_000),
                rate_per_s: Some(520.0 + f64::from(n % 7)),
                started_us: Some(NOW - 12 * SECOND + u64::from(n % 9) * 350),
                nearest: Some(limit(LimitId::Ports, "ports", LimitState::Ok, 2_823_200, 5_400.0)),
                held: Some(Held { allowed: 30_000, holds: false, late_us: 42_000, age_ms: 300 }),
                ..worker(&format!("load{n:02}"), WorkerRole::Client, Some(part))
            }
        })
        .collect();
    let connections = workers.iter().map(|w| w.connections).sum();
    workers.push(WorkerState {
        connections,
        peak: connections,
        rate_per_s: Some(f64::from(clients) * 522.0),
        cpu: Some(CpuUse { cores_used: 3.1, cores: 8 }),
        nearest: Some(limit(LimitId::Memory, "memory", LimitState::Ok, 3_400_000, 5_800.0)),
        server: Some(ServerSide {
            rss_bytes: Some(9 << 20),
            mem_used_bytes: Some((2 << 30) + connections * 4116),
            headroom_bytes: Some(14 << 30),
            bytes_per_connection: Some(4116.0),
            ceiling: Some(3_000_000),
            ceiling_by: Some(LimitId::Memory),
        }),
        ..worker("web1", WorkerRole::Server, None)
    });
    workers
}

/// The view of them, of which the fleet expects one more than its clients: the server.
fn view(mut workers: Vec<WorkerState>) -> FleetView {
    let expects = u32::try_from(workers.len()).unwrap();
    for worker in &mut workers {
        worker.who.expects = Some(expects);
    }
    FleetView::of("night-run", NOW, workers)
}

fn event(severity: Severity, id: &str, text: &str, ago_s: u64, count: u64) -> WorkerEvent {
    WorkerEvent { at_us: NOW - ago_s * SECOND, severity, id: id.to_owned(), text: text.to_owned(), count }
}

/// Everything that can be the matter, among so many clients.
fn trouble(clients: u32) -> FleetView {
    let mut workers = ramping(clients);
    let busy = "uses 99 % of its 4 cores";
    workers[1].cpu = Some(CpuUse { cores_used: 3.97, cores: 4 });
    workers[1].rate_per_s = Some(61.0);
    workers[1].connections = 2_100;
    workers[1].events = vec![event(Severity::Warning, "cpu", busy, 4, 1)];
    workers[2].at_us = NOW - 9 * SECOND;
    workers[3].at_us = NOW - 31 * SECOND;
    workers[4].nearest = Some(limit(LimitId::Nofile, "client: open files", LimitState::Hit, 6_900, 0.0));
    workers[4].phase = RunPhase::Stopped;
    workers[4].blocked = Some(Verdict::LimitHit);
    workers[4].failures = 41;
    let told = "client: connect failed with EMFILE 41 times: no descriptor is left in this process";
    workers[4].events = vec![event(Severity::Critical, "emfile", told, 2, 41)];
    workers[5].lost = Some(112);
    view(workers)
}

/// The server's guard holds all clients.
fn held() -> FleetView {
    let mut workers = ramping(6);
    for worker in &mut workers {
        if worker.who.role == WorkerRole::Client {
            worker.phase = RunPhase::Guarded;
            worker.held = Some(Held { allowed: 6_700, holds: true, late_us: 61_000, age_ms: 200 });
            worker.rate_per_s = Some(0.0);
        } else if let Some(side) = &mut worker.server {
            side.ceiling = Some(41_000);
        }
    }
    view(workers)
}

/// Two have not come yet.
fn waiting() -> FleetView {
    let mut workers = ramping(6);
    for worker in &mut workers {
        worker.who.expects = Some(7);
        (worker.stage, worker.phase, worker.connections, worker.rate_per_s) =
            (Stage::Waiting, RunPhase::Starting, 0, None);
        worker.started_us = None;
        worker.nearest = None;
    }
    workers.truncate(5);
    FleetView::of("night-run", NOW, workers)
}

/// It is over, and one was lost.
fn over() -> FleetView {
    let mut workers = ramping(6);
    for worker in &mut workers {
        worker.connections = 20_000;
        worker.peak = 20_000;
        (worker.stage, worker.verdict) = (Stage::Left, Some(Verdict::TargetReached));
    }
    workers[2].at_us = NOW - 80 * SECOND;
    (workers[2].stage, workers[2].verdict) = (Stage::Running, None);
    workers[6].verdict = Some(Verdict::Served);
    view(workers)
}

/// A screen that has seen a fleet grow up to this view.
fn board(view: FleetView) -> Board {
    let mut board = Board::new("redis://10.0.0.9:6379/night-run", true);
    for step in 1..=40_u64 {
        let mut before = view.clone();
        before.totals.connections = view.totals.connections * step / 41;
        if let Some(memory) = &mut before.memory {
            memory.mem_used_bytes = Some((2 << 30) + before.totals.connections * 4116);
        }
        board.take(Some(before));
    }
    board.take(Some(view));
    board
}

fn frame(board: &mut Board, theme: Theme, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            board.fit(frame.area());
            ui::draw_fleet(frame, board, theme);
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn press(board: &mut Board, code: KeyCode) -> Option<Action> {
    board.on_key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn keys(board: &mut Board, keys: &str) {
    for key in keys.chars() {
        press(board, if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) });
    }
}

#[test]
fn fleets_look_as_stored() {
    let mut wrong = String::new();
    let mut check = |name: &str, view: FleetView, typed: &str| {
        for size in SIZES {
            let mut board = board(view.clone());
            // A screen knows its size before a key comes.
            frame(&mut board, Theme::default(), size);
            keys(&mut board, typed);
            let got = text(&frame(&mut board, Theme::default(), size));
            let told = snapshot(&format!("fleet-{name}-{}x{}", size.0, size.1), &got);
            let _ = write!(wrong, "{}", told.err().unwrap_or_default());
        }
    };
    check("six", view(ramping(6)), "");
    check("fifty", view(ramping(49)), "");
    check("thousand", trouble(999), "");
    check("trouble", trouble(12), "");
    check("held", held(), "");
    check("waiting", waiting(), "");
    check("over", over(), "");
    check("filter", trouble(999), "/load1\n");
    check("worker", trouble(12), "jjjjj\n");
    check("help", view(ramping(6)), "?");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nobody_has_come_and_a_store_that_is_gone() {
    let mut empty = Board::new("redis://10.0.0.9:6379/night-run", false);
    let shown = text(&frame(&mut empty, Theme::default(), (80, 24)));
    assert!(shown.contains("No worker has joined redis://10.0.0.9:6379/night-run yet"), "{shown}");
    let mut seen = board(view(ramping(6)));
    seen.lose("connection refused");
    let shown = text(&frame(&mut seen, Theme::default(), (120, 40)));
    assert!(
        shown.contains("the store is unreachable, so this is old; the workers go on: connection refused"),
        "{shown}"
    );
    assert!(shown.contains("load01"), "what was last known stays: {shown}");
}

#[test]
fn workers_of_different_versions_are_named() {
    let mut workers = ramping(6);
    workers[2].who.version = "0.0.9".to_owned();
    let mut board = board(view(workers));
    let shown = text(&frame(&mut board, Theme::default(), (120, 40)));
    assert!(shown.contains("workers of different versions: 0.0.9 (load03), 0.1.0 (load01"), "{shown}");
}

#[test]
fn fifty_workers_are_all_there_and_of_a_thousand_those_that_matter() {
    let shown = text(&frame(&mut board(view(ramping(49))), Theme::default(), (120, 40)));
    assert!((1..=49).all(|n| shown.contains(&format!("load{n:02}"))), "{shown}");
    let mut many = board(trouble(999));
    let shown = text(&frame(&mut many, Theme::default(), (80, 24)));
    // Silent, lost, at its limit, without CPU: each with its word.
    for part in ["load03", "SILENT", "load04", "LOST", "load05", "STOPPED", "load02", "with nothing wrong", "web1"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // The line opens, and everything can be reached.
    frame(&mut many, Theme::default(), (80, 24));
    press(&mut many, KeyCode::PageDown);
    for _ in 0..1100 {
        press(&mut many, KeyCode::Down);
    }
    press(&mut many, KeyCode::Enter);
    for _ in 0..1100 {
        press(&mut many, KeyCode::Down);
    }
    let shown = text(&frame(&mut many, Theme::default(), (80, 24)));
    assert!(shown.contains("load999"), "{shown}");
    press(&mut many, KeyCode::Esc);
    let shown = text(&frame(&mut many, Theme::default(), (80, 24)));
    assert!(shown.contains("with nothing wrong"), "{shown}");
}

#[test]
fn workers_are_filtered_sorted_and_opened() {
    let mut board = board(trouble(12));
    frame(&mut board, Theme::default(), (120, 40));
    keys(&mut board, "/lost\n");
    let shown = text(&frame(&mut board, Theme::default(), (120, 40)));
    assert!(shown.contains("load04") && !shown.contains("load06"), "{shown}");
    press(&mut board, KeyCode::Esc);
    // Furthest behind first: the one without CPU.
    keys(&mut board, "s\n");
    let shown = text(&frame(&mut board, Theme::default(), (120, 40)));
    assert!(shown.contains("part 2/12 on load02, process 4021"), "{shown}");
    // What is opened stays opened, whatever becomes of the order.
    board.take(Some(view(ramping(12))));
    let shown = text(&frame(&mut board, Theme::default(), (120, 40)));
    assert!(shown.contains("part 2/12 on load02, process 4021"), "{shown}");
    press(&mut board, KeyCode::Esc);
    assert!(text(&frame(&mut board, Theme::default(), (120, 40))).contains("Workers (13)"));
}

#[test]
fn a_lost_client_does_not_keep_the_fleet_held_or_paused() {
    let says = |phase, ago| {
        let mut workers = ramping(6);
        if let Some(ServerSide { ceiling, .. }) = &mut workers[6].server {
            *ceiling = Some(41_000);
        }
        (workers[0].phase, workers[0].at_us) = (phase, NOW - ago);
        let holds = phase == RunPhase::Guarded;
        workers[0].held = Some(Held { allowed: 6_700, holds, late_us: 61_000, age_ms: 200 });
        text(&frame(&mut board(view(workers)), Theme::default(), (120, 40)))
    };
    for (phase, word) in [(RunPhase::Guarded, "HELD"), (RunPhase::Paused, "PAUSED")] {
        let (here, lost) = (says(phase, SECOND), says(phase, 30 * SECOND));
        assert!(here.contains(word) && !lost.contains(word), "{here}\n{lost}");
        assert_eq!(here.contains("holds the fleet at"), phase == RunPhase::Guarded, "{here}");
        assert!(lost.contains("LOST") && !lost.contains("holds the fleet at"), "{lost}");
    }
}

#[test]
fn what_drives_the_fleet_takes_its_token_and_closing_is_asked_about() {
    let mut looking = Board::new("redis://h/n", false);
    looking.take(Some(view(ramping(6))));
    for key in ['p', '+', 'c'] {
        assert_eq!(press(&mut looking, KeyCode::Char(key)), Some(Action::Redraw), "{key}");
        let shown = text(&frame(&mut looking, Theme::default(), (120, 40)));
        assert!(shown.contains("C1M_FLEET_TOKEN is not set"), "{key}: {shown}");
    }
    let mut driving = board(view(ramping(6)));
    assert_eq!(press(&mut driving, KeyCode::Char('p')), Some(Action::PauseToggle));
    assert_eq!(press(&mut driving, KeyCode::Char('c')), Some(Action::Redraw));
    let shown = text(&frame(&mut driving, Theme::default(), (120, 40)));
    assert!(shown.contains("of the fleet?  y yes  n no"), "{shown}");
    assert_eq!(press(&mut driving, KeyCode::Char('n')), Some(Action::Redraw));
    press(&mut driving, KeyCode::Char('c'));
    assert_eq!(press(&mut driving, KeyCode::Char('y')), Some(Action::Close));
    keys(&mut driving, ":rate 200k");
    assert_eq!(press(&mut driving, KeyCode::Enter), Some(Action::Rate(Some(200_000))));
    assert_eq!(press(&mut driving, KeyCode::Char('q')), Some(Action::Quit));
}

#[test]
fn no_size_and_no_theme_breaks_the_fleets_screen() {
    let views = [view(ramping(6)), trouble(12), trouble(300), held(), waiting(), over()];
    for view in views {
        let mut board = board(view);
        for (width, height) in
            [(1, 1), (2, 3), (20, 5), (39, 11), (60, 16), (79, 23), (100, 30), (133, 37), (180, 50), (300, 80)]
        {
            for theme in
                [Theme::default(), Theme { palette: Palette::Plain, ..Theme::default() }, Theme::default().in_ascii()]
            {
                frame(&mut board, theme, (width, height));
                for code in
                    [KeyCode::Down, KeyCode::Tab, KeyCode::Char('e'), KeyCode::Enter, KeyCode::Esc, KeyCode::Esc]
                {
                    press(&mut board, code);
                    frame(&mut board, theme, (width, height));
                }
            }
        }
        let shown = text(&frame(&mut board, Theme::default().in_ascii(), (120, 40)));
        assert!(shown.is_ascii(), "{shown}");
    }
}
