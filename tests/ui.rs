//! Frames as text at real sizes, the colours of alarms, and that no size breaks the drawing.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --test ui` rewrites `tests/snapshots/ui`.

#![expect(clippy::cast_possible_truncation, reason = "places on a screen")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod fingers;
mod fleets;
mod looks;
mod scenes;
mod synthetic;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use c1m_top::model::{Model, Setup, Severity};
use c1m_top::protocol::Role;
use c1m_top::sample::{Absent, Peers, Sample};
use c1m_top::ui::{self, Action, Marker, Palette, Screen, Theme, View};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

fn frame(model: &Model, view: &View, theme: Theme, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| ui::draw(frame, model, view, theme)).unwrap();
    terminal.backend().buffer().clone()
}

/// The text of a frame, a line a row, without trailing blanks.
fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let row: String = (0..buf.area.width).map(|x| buf[(x, y)].symbol()).collect();
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn press(view: &mut View, model: &Model, code: KeyCode) -> Option<Action> {
    view.on_key(KeyEvent::new(code, KeyModifiers::NONE), model)
}

fn after(keys: &str, model: &Model) -> View {
    let mut view = View::new();
    for key in keys.chars() {
        press(&mut view, model, KeyCode::Char(key));
    }
    view
}

/// Compares with the stored frame and says which rows differ.
fn snapshot(name: &str, got: &str) -> Result<(), String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/ui").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, got).unwrap();
        return Ok(());
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    if want == got {
        return Ok(());
    }
    let (want, got): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
    let mut diff = format!("{name} differs from {} (UPDATE_SNAPSHOTS=1 rewrites it):\n", path.display());
    for row in 0..want.len().max(got.len()) {
        let (w, g) = (want.get(row).copied(), got.get(row).copied());
        if w != g {
            let (w, g) = (w.unwrap_or("(none)"), g.unwrap_or("(none)"));
            writeln!(diff, "  row {row}\n   - {w}\n   + {g}").unwrap();
        }
    }
    Err(diff)
}

#[test]
fn frames_look_as_stored() {
    let mut wrong = Vec::new();
    let mut check = |name: &str, model: &Model, view: &View, size: (u16, u16)| {
        let got = text(&frame(model, view, Theme::default(), size));
        wrong.extend(snapshot(&format!("{name}-{}x{}", size.0, size.1), &got).err());
    };
    for size in SIZES {
        for (scene, make) in scenes::ALL {
            check(scene, &make(), &View::new(), size);
        }
        let (ramp, hold, stopped) = (scenes::ramp(), scenes::hold(), scenes::stopped());
        check("memory", &ramp, &after("2", &ramp), size);
        check("memory-over-time", &hold, &after("2t", &hold), size);
        check("limits", &hold, &after("3", &hold), size);
        let foreign = scenes::foreign();
        check("limits-queue", &foreign, &after("3", &foreign), size);
        check("engines", &stopped, &after("4", &stopped), size);
        check("engines-ramp", &ramp, &after("4", &ramp), size);
        check("help", &ramp, &after("?", &ramp), size);
        check("close-asks", &ramp, &after("c", &ramp), size);
        let ports = scenes::ports();
        check("listeners", &ports, &after("4", &ports), size);
        check("peers-asks", &ports, &asking(&ports), size);
        check("peers", &ports, &peers(&ports), size);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The second listener chosen and opened: it has too many sockets not to ask.
fn asking(model: &Model) -> View {
    let mut view = after("4j", model);
    assert_eq!(press(&mut view, model, KeyCode::Enter), Some(Action::Redraw));
    view
}

/// Its peers.
fn peers(model: &Model) -> View {
    let mut view = asking(model);
    assert_eq!(press(&mut view, model, KeyCode::Enter), Some(Action::Peers(443)));
    view.peers_told(443, Ok(scenes::peers()), model);
    view
}

#[test]
fn a_listener_leads_to_its_peers_and_asks_where_they_are_many() {
    let model = scenes::ports();
    let shown = |view: &View, size| text(&frame(&model, view, Theme::default(), size));
    let wide = (120, 40);
    let mut view = after("4", &model);
    assert!(shown(&view, wide).contains("▸*:80 ") && shown(&view, wide).contains("Enter peers"));

    // Few: at once, and another key in between changes nothing.
    assert_eq!(press(&mut view, &model, KeyCode::Enter), Some(Action::Peers(80)));
    assert!(shown(&view, wide).contains("Peers of *:80") && shown(&view, wide).contains("counting its sockets"));
    assert_eq!(press(&mut view, &model, KeyCode::Enter), Some(Action::Redraw));
    assert!(shown(&view, wide).contains("still counting"));
    view.peers_told(443, Ok(scenes::peers()), &model);
    assert!(shown(&view, wide).contains("counting its sockets"), "the answer is another one's");
    view.peers_told(80, Err(Absent::ProcessEnded), &model);
    assert!(shown(&view, wide).contains("cannot be counted: the process has ended"), "{}", shown(&view, wide));
    assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Redraw));
    assert!(shown(&view, wide).contains("Listens on"));

    // Many: the cost comes first. Anything but Enter is no.
    let mut view = asking(&model);
    let cost = "Counts 91,223 sockets one by one: about 0.12 s of one core.";
    assert!(shown(&view, wide).contains(cost) && shown(&view, wide).contains("Enter again does it"));
    assert!(
        shown(&view, (80, 24)).contains("91,223 sockets: about 0.12 s") && shown(&view, (40, 12)).contains("0.12 s")
    );
    assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Redraw));
    assert!(!shown(&view, wide).contains("Counts") && shown(&view, wide).contains("▸*:443"));

    // Counted again, what was known stays until then.
    let mut view = peers(&model);
    assert!(shown(&view, wide).contains("12,345 addresses") && shown(&view, wide).contains("Enter count again"));
    press(&mut view, &model, KeyCode::Enter);
    assert_eq!(press(&mut view, &model, KeyCode::Enter), Some(Action::Peers(443)));
    assert!(shown(&view, wide).contains("12,345 addresses") && shown(&view, wide).contains("counting …"));
    for (left, gone) in [("Listens on", "Peers of"), ("▸*:80", "▸*:443")] {
        assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Redraw));
        assert!(shown(&view, wide).contains(left) && !shown(&view, wide).contains(gone), "{left}");
    }
    assert_eq!(press(&mut view, &model, KeyCode::Esc), None);
    view.peers_told(443, Ok(scenes::peers()), &model);
    assert!(!shown(&view, wide).contains("Peers of"), "nobody looks at it any more");
}

#[test]
fn every_listener_and_every_network_that_is_told_can_be_reached() {
    let model = scenes::ports();
    let mut view = after("4jjjjj", &model);
    let shown = |view: &View| text(&frame(&model, view, Theme::default(), (80, 24)));
    assert!(shown(&view).contains("▸[::1]:8404"), "{}", shown(&view));
    assert_eq!(press(&mut view, &model, KeyCode::Char('k')), Some(Action::Redraw));
    assert!(shown(&view).contains("▸*:443"), "{}", shown(&view));

    let mut view = peers(&model);
    assert!(!shown(&view).contains("198.51.119.0/24") && shown(&view).contains("more networks"));
    for _ in 0..100 {
        press(&mut view, &model, KeyCode::Down);
    }
    assert!(shown(&view).contains("▸198.51.119.0/24"), "{}", shown(&view));
    // Fewer by the next count: the mark stays on a row.
    let few = Peers { top: scenes::peers().top[..2].to_vec(), networks: 2, ..scenes::peers() };
    view.peers_told(443, Ok(few), &model);
    assert!(shown(&view).contains("198.51.100.0/24") && !shown(&view).contains("more network"), "{}", shown(&view));
}

#[test]
fn nothing_that_listens_has_no_peers() {
    for (name, keys) in [("host", "4"), ("stopped", "4"), ("ports", "2"), ("ports", "3")] {
        let (_, make) = scenes::ALL.iter().find(|(scene, _)| *scene == name).unwrap();
        let model = make();
        let mut view = after(keys, &model);
        assert!(!matches!(press(&mut view, &model, KeyCode::Enter), Some(Action::Peers(_))), "{keys}");
    }
}

#[test]
fn no_size_breaks_a_frame() {
    let scenes: Vec<Model> = scenes::ALL.iter().map(|(_, make)| make()).collect();
    let ports = scenes::ports();
    let opened = peers(&ports);
    let small = (0..=5).flat_map(|w| (0..=5).map(move |h| (w, h)));
    let usual = (20..=130).step_by(5).flat_map(|w| (5..=45).step_by(4).map(move |h| (w, h)));
    for size in small.chain(usual).chain([(1, 200), (400, 1), (300, 120)]) {
        for (i, model) in scenes.iter().enumerate() {
            // Every screen over every scene would be slow in a debug build: each scene takes its turn.
            let keys = ["1", "2", "3", "4", "?", "2t", "c"][(i + usize::from(size.0 + size.1)) % 7];
            let marker = [Marker::Braille, Marker::Block, Marker::Dot][usize::from(size.0) % 3];
            let mut view = after(keys, model);
            view.fail(
                "thread probe failed at somewhere: a long reason that needs more than one row on a narrow screen",
            );
            frame(model, &view, Theme::new(Palette::Dark, marker), size);
            frame(&ports, &opened, Theme::new(Palette::Dark, marker), size);
        }
    }
}

/// Rows in which there is nothing but blanks and the sides of boxes.
fn empty_rows(shown: &str) -> usize {
    shown.lines().filter(|line| line.chars().all(|c| " │┆".contains(c))).count()
}

#[test]
fn during_a_run_no_view_leaves_more_than_a_fifth_of_its_rows_empty() {
    let mut wrong = Vec::new();
    for (name, make) in scenes::ALL.iter().filter(|(name, _)| !["first", "host"].contains(name)) {
        let model = make();
        for size in [(120, 40), (160, 50), (200, 60), (250, 80)] {
            for keys in ["1", "2", "3", "4"] {
                let mut view = View::new();
                view.fit(Rect::new(0, 0, size.0, size.1));
                press(&mut view, &model, KeyCode::Char(keys.chars().next().unwrap()));
                let shown = text(&frame(&model, &view, Theme::default(), size));
                let empty = empty_rows(&shown);
                if empty * 5 > usize::from(size.1) {
                    wrong.push(format!("{name}, view {keys}, {size:?}: {empty} rows\n{shown}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_smallest_useful_screen_has_count_limit_and_keys() {
    let model = scenes::ramp();
    let shown = text(&frame(&model, &View::new(), Theme::default(), (40, 12)));
    for part in ["653,140 of 1,000,000", "NEXT", "q quit", "RAMPING"] {
        assert!(shown.contains(part), "{part} missing in\n{shown}");
    }
}

/// Cells of `word` in a frame.
fn find(buf: &Buffer, word: &str) -> Option<(u16, u16)> {
    text(buf).lines().enumerate().find_map(|(y, line)| {
        let at = line.find(word)?;
        Some((line[..at].chars().count() as u16, y as u16))
    })
}

#[test]
fn alarms_are_a_colour_and_a_word() {
    let died = scenes::died();
    let stopped = scenes::stopped();
    let mut hold = scenes::hold();
    hold.note(Severity::Critical, "scene", "something failed");
    for palette in [Palette::Dark, Palette::Light] {
        let theme = Theme::new(palette, Marker::Braille);
        for (model, word, fg, bg) in [
            (&died, "DIED", Color::White, Color::Red),
            (&stopped, "STOPPED", Color::White, Color::Red),
            (&hold, "CRITICAL something", Color::White, Color::Red),
            (&hold, "WARN", Color::Black, Color::Yellow),
        ] {
            let buf = frame(model, &View::new(), theme, (120, 40));
            let at = find(&buf, word).unwrap_or_else(|| panic!("{word} missing in\n{}", text(&buf)));
            assert_eq!((buf[at].fg, buf[at].bg), (fg, bg), "{palette:?} {word}");
        }
    }
    let buf = frame(&scenes::hold(), &after("3", &hold), Theme::default(), (120, 40));
    let at = find(&buf, "▸system open").unwrap();
    let row: String = (0..120).map(|x| buf[(x, at.1)].symbol()).collect();
    let word = ["CRITICAL", "HIT", "warn"].into_iter().find(|w| row.contains(w)).expect("an alarm's word");
    let x = row[..row.find(word).unwrap()].chars().count() as u16;
    assert_ne!(buf[(x, at.1)].bg, Color::Reset, "{row}");
}

/// The foreground of every cell with this mark.
fn colours_of(buf: &Buffer, mark: &str) -> BTreeSet<String> {
    buf.content().iter().filter(|c| c.symbol() == mark).map(|c| format!("{:?}", c.fg)).collect()
}

#[test]
fn zones_of_memory_are_a_colour_and_a_pattern() {
    let model = scenes::ramp();
    let view = after("2", &model);
    for (palette, kills, holds) in [(Palette::Dark, "Red", "Yellow"), (Palette::Plain, "Reset", "Reset")] {
        let buf = frame(&model, &view, Theme::new(palette, Marker::Braille), (200, 60));
        // The bar of progress has the same mark, and is faint.
        assert!(colours_of(&buf, "░").contains(kills), "{:?}", colours_of(&buf, "░"));
        assert!(colours_of(&buf, "·").contains(holds), "{:?}", colours_of(&buf, "·"));
        let shown = text(&buf);
        assert!(shown.contains("OOM kills here") && shown.contains("the guard holds here"), "{shown}");
    }
}

#[test]
fn what_is_used_more_than_once_over_is_no_calm_full_bar() {
    let buf = frame(&scenes::hold(), &View::new(), Theme::default(), (120, 40));
    let at = find(&buf, "▶ 762 %").unwrap_or_else(|| panic!("{}", text(&buf)));
    assert_eq!(buf[at].fg, Color::Yellow);
    assert_eq!(buf[(at.0 - 1, at.1)].fg, Color::Yellow);
}

#[test]
fn what_comes_first_is_a_sentence_with_its_cure() {
    let next = |model: &Model, size| {
        let shown = text(&frame(model, &View::new(), Theme::default(), size));
        shown
            .lines()
            .find(|l| l.contains("NEXT") || l.contains(" at ") && l.contains("connections"))
            .unwrap_or_default()
            .to_owned()
    };
    let shown = next(&scenes::warning(), (200, 60));
    for part in
        ["conntrack table, 46 % used, full at 900 k connections, in 12 s", "fix  sysctl -w net.netfilter.nf_conn"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = next(&scenes::ramp(), (120, 40));
    assert!(shown.contains("nothing before the target; beyond it system open files at 1.23 M"), "{shown}");
    let shown = text(&frame(&scenes::stopped(), &View::new(), Theme::default(), (120, 40)));
    assert!(shown.contains("HIT") && shown.contains("client: open files is used up: 200,000 of 200,000"), "{shown}");
    let shown = text(&frame(&scenes::guarded(), &View::new(), Theme::default(), (120, 40)));
    assert!(shown.contains("GUARD") && shown.contains("the guard holds the ramp at"), "{shown}");
}

#[test]
fn at_hold_it_lives() {
    let shown = text(&frame(&scenes::traffic(), &View::new(), Theme::default(), (200, 60)));
    for part in [
        "held for 1 min 30 s of 10 min 00 s",
        "lost    10",
        "reconnected    10",
        "memory +60.0 MiB/min, rising",
        "messages     6,600/s",
        "echo 99 %",
        "nothing is wrong now; one warning earlier",
    ] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    let still = text(&frame(&scenes::hold(), &View::new(), Theme::default(), (200, 60)));
    assert!(still.contains("/min, steady"), "{still}");
}

#[test]
fn a_server_whose_client_holds_is_not_ramping() {
    let model = scenes::traffic();
    let shown = text(&frame(&model, &after("4", &model), Theme::default(), (120, 40)));
    let state = shown.lines().find(|l| l.contains("│ state")).unwrap();
    assert_eq!(state.matches("holding").count(), 2, "{state}");
}

#[test]
fn an_event_that_is_enlarged_shows_proof_cure_and_curve() {
    let model = scenes::hold();
    let mut view = View::new();
    for _ in 0..5 {
        if !text(&frame(&model, &view, Theme::default(), (200, 60))).contains("▸00:00:19 CRITICAL") {
            press(&mut view, &model, KeyCode::Down);
        }
    }
    press(&mut view, &model, KeyCode::Char('e'));
    let shown = text(&frame(&model, &view, Theme::default(), (120, 40)));
    for part in [
        "proof    used: 1,9",
        "limit: 2,080,000",
        "cure     sysctl -w fs.file-max=",
        "(needs root)",
        "system open files over the run, peak 2,001,500",
        "▸00:00:19 CRITICAL",
    ] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    let large = text(&frame(&model, &view, Theme::default(), (200, 60)));
    assert!(large.contains("Over time") && large.contains("at 00:00:19"), "what else went on then:\n{large}");
}

#[test]
fn every_listener_is_on_a_small_screen() {
    let shown = text(&frame(&scenes::ports(), &View::new(), Theme::default(), (80, 24)));
    for listener in ["*:80 ", "*:443 ", "[::1]:8404 "] {
        assert!(shown.contains(listener), "{listener}:\n{shown}");
    }
}

#[test]
fn with_nothing_to_watch_it_says_how_to_begin() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let shown = text(&frame(&scenes::host(), &View::new(), Theme::default(), size));
        for part in ["To begin", "c1m-top --server --client", "c1m-top --attach", "c1m-top check"] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
    }
}

#[test]
fn no_color_means_none_at_all() {
    for (name, make) in scenes::ALL {
        let model = make();
        for keys in ["1", "2", "3", "4", "?", "c", "f"] {
            let buf = frame(&model, &after(keys, &model), Theme::new(Palette::Plain, Marker::Braille), (120, 40));
            let colours: BTreeSet<String> =
                buf.content().iter().flat_map(|c| [format!("{:?}", c.fg), format!("{:?}", c.bg)]).collect();
            assert_eq!(colours, BTreeSet::from(["Reset".to_owned()]), "{name} {keys}");
        }
    }
    let buf = frame(&scenes::died(), &View::new(), Theme::new(Palette::Plain, Marker::Braille), (120, 40));
    let at = find(&buf, "DIED").unwrap();
    assert!(buf[at].modifier.contains(Modifier::REVERSED));
}

#[test]
fn the_dot_marker_needs_no_braille_and_no_boxes() {
    let model = scenes::ramp();
    for keys in ["1", "2", "2t", "3"] {
        let shown = text(&frame(&model, &after(keys, &model), Theme::new(Palette::Dark, Marker::Dot), (120, 40)));
        let odd: BTreeSet<char> = shown
            .chars()
            .filter(|c| ('\u{2500}'..='\u{25ff}').contains(c) || ('\u{2800}'..='\u{28ff}').contains(c))
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}

/// The digits of a row become `0`, so that two frames can be compared by where their numbers end.
fn ends_of_numbers(line: &str) -> Vec<usize> {
    let cells: Vec<char> = line.chars().collect();
    (0..cells.len())
        .filter(|&i| {
            cells[i].is_ascii_digit() && cells.get(i + 1).is_none_or(|c| !c.is_ascii_digit() && *c != ',' && *c != '.')
        })
        .collect()
}

#[test]
fn numbers_stay_where_they_are() {
    let rows_of = |seconds: usize| {
        let shown = text(&frame(&scenes::ramp_to(seconds), &View::new(), Theme::default(), (120, 40)));
        shown.lines().take(5).map(str::to_owned).collect::<Vec<_>>()
    };
    // From five digits to six, and from one-digit seconds to two.
    let (early, late) = (rows_of(2), rows_of(17));
    for row in [0, 3, 4] {
        assert_eq!(ends_of_numbers(&early[row]), ends_of_numbers(&late[row]), "\n{}\n{}", early[row], late[row]);
    }
    for (row, word) in [(2, " %"), (2, "of 1,000,000"), (3, "/s"), (3, " to go")] {
        let column = |line: &str| line.find(word).map(|at| line[..at].chars().count());
        assert!(column(&early[row]).is_some(), "{word}\n{}", early[row]);
        assert_eq!(column(&early[row]), column(&late[row]), "{word}\n{}\n{}", early[row], late[row]);
    }
}

#[test]
fn a_frozen_screen_keeps_its_numbers_while_the_model_goes_on() {
    let early = scenes::ramp_to(5);
    let mut view = View::new();
    assert_eq!(press(&mut view, &early, KeyCode::Char('f')), Some(Action::Redraw));
    let late = scenes::ramp_to(17);
    let shown = text(&frame(&late, &view, Theme::default(), (80, 24)));
    assert!(shown.contains("192,100 of") && shown.contains("FROZEN"), "{shown}");
    press(&mut view, &late, KeyCode::Char('f'));
    assert!(text(&frame(&late, &view, Theme::default(), (80, 24))).contains("653,140 of"));
}

#[test]
fn closing_asks_first_and_so_does_quitting_with_many() {
    let model = scenes::ramp();
    for (asked, yes) in [(KeyCode::Char('c'), Action::Close), (KeyCode::Char('q'), Action::Quit)] {
        for (answer, want) in [
            (KeyCode::Char('y'), yes),
            (KeyCode::Char('n'), Action::Redraw),
            (KeyCode::Char('q'), Action::Redraw),
            (KeyCode::Esc, Action::Redraw),
        ] {
            let mut view = View::new();
            assert_eq!(press(&mut view, &model, asked), Some(Action::Redraw), "653,140 connections are this program's");
            assert_eq!(press(&mut view, &model, answer), Some(want), "{answer:?}");
            let again = press(&mut view, &model, KeyCode::Char('y'));
            assert!(!matches!(again, Some(Action::Close | Action::Quit)), "the question is gone");
        }
    }
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    for before in ["", "c", "q", "?"] {
        for (key, want) in [('c', Action::Quit), ('z', Action::Suspend)] {
            assert_eq!(after(before, &model).on_key(control(key), &model), Some(want), "{before}: never asks");
        }
    }
    assert_eq!(View::new().on_key(control('q'), &model), None, "no other chord is ours");
    assert_eq!(press(&mut View::new(), &scenes::foreign(), KeyCode::Char('q')), Some(Action::Quit), "nothing to close");
}

#[test]
fn keys_that_drive_the_client_need_one() {
    let (ours, foreign) = (scenes::ramp(), scenes::foreign());
    for (key, action) in [('p', Action::PauseToggle), ('+', Action::RateUp), ('-', Action::RateDown)] {
        assert_eq!(press(&mut View::new(), &ours, KeyCode::Char(key)), Some(action));
        let mut view = View::new();
        assert_eq!(press(&mut view, &foreign, KeyCode::Char(key)), Some(Action::Redraw), "{key}");
        let shown = text(&frame(&foreign, &view, Theme::default(), (120, 40)));
        assert!(shown.contains("no client of this dashboard runs here"), "{shown}");
    }
    let mut view = View::new();
    press(&mut view, &foreign, KeyCode::Char('c'));
    assert_eq!(press(&mut view, &foreign, KeyCode::Char('y')), Some(Action::Redraw), "nothing was asked");
    let bar = |model| text(&frame(model, &View::new(), Theme::default(), (120, 40))).lines().last().unwrap().to_owned();
    assert!(bar(&ours).contains("pause") && !bar(&foreign).contains("pause"));
}

#[test]
fn escape_closes_what_is_open_then_goes_back_and_never_ends_a_run() {
    let model = scenes::hold();
    let mut view = after("fj?", &model);
    let now = |view: &View| text(&frame(&model, view, Theme::default(), (120, 40)));
    for (shows, not) in
        [("Keys and words", ""), ("from 2 of", "Keys and words"), ("FROZEN", "from 2 of"), ("", "FROZEN")]
    {
        let shown = now(&view);
        assert!(shown.contains(shows) && (not.is_empty() || !shown.contains(not)), "{shows}, not {not}:\n{shown}");
        assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Redraw), "{shows}");
    }
    assert_eq!(press(&mut view, &model, KeyCode::Esc), None, "there is nothing left to close");
}

#[test]
fn lists_scroll_to_their_end_and_not_beyond() {
    let model = scenes::hold();
    let mut view = View::new().on(Screen::Limits);
    for _ in 0..1000 {
        press(&mut view, &model, KeyCode::Down);
    }
    let shown = text(&frame(&model, &view, Theme::default(), (80, 24)));
    let last = model.limits().last().unwrap().info.label;
    assert!(shown.contains(last), "{last} missing in\n{shown}");
    for _ in 0..model.limits().len() {
        press(&mut view, &model, KeyCode::Up);
    }
    let shown = text(&frame(&model, &view, Theme::default(), (80, 24)));
    assert!(shown.contains("(1 of"), "{shown}");
}

#[test]
fn the_chosen_limit_stays_chosen_when_rows_change_places() {
    let (early, late) = (scenes::ramp_to(5), scenes::ramp_to(17));
    let row = |model: &Model, id: &str| model.limits().iter().position(|l| l.info.name == id).unwrap();
    let mut view = View::new().on(Screen::Limits);
    for _ in 0..row(&early, "tcp_mem") {
        press(&mut view, &early, KeyCode::Down);
    }
    for model in [&early, &late] {
        let shown = text(&frame(model, &view, Theme::default(), (120, 40)));
        assert!(shown.contains("▸TCP buffers") && shown.contains("╭─ TCP buffers, host ─"), "{shown}");
        assert!(shown.contains("Buffers of all TCP sockets") && shown.contains("fix: read faster"), "{shown}");
    }
    assert_ne!(row(&early, "tcp_mem"), 0);
    // The graph rises with the run.
    let view = View::new().on(Screen::Limits);
    let shown = text(&frame(&late, &view, Theme::default(), (120, 40)));
    assert!(shown.contains("Use over the run, peak"), "{shown}");
    let full = |columns: std::ops::Range<usize>| {
        shown.lines().filter(|l| l.chars().skip(columns.start).take(columns.len()).all(|c| c == '█')).count()
    };
    assert!(full(110..115) > full(10..15), "{shown}");
}

#[test]
fn an_event_leads_to_its_limit() {
    let (hold, stopped, died) = (scenes::hold(), scenes::stopped(), scenes::died());
    for (model, id, limit) in [
        (&hold, "limit/file-max/host", "╭─ system open files, host ─"),
        (&stopped, "nofile/client/socket/EMFILE", "╭─ client: open files ─"),
        (&stopped, "phase/stopped", "╭─ client: open files ─"),
        (&died, "death/client", "╭─ cgroup memory, /c1m ─"),
    ] {
        let events = model.events().all();
        let ids: Vec<&str> = events.iter().rev().map(|e| e.id.as_str()).collect();
        let place = ids.iter().position(|e| e.starts_with(id)).unwrap_or_else(|| panic!("{id}: {ids:?}"));
        let mut view = View::new();
        for _ in 0..place {
            press(&mut view, model, KeyCode::Down);
        }
        assert_eq!(press(&mut view, model, KeyCode::Enter), Some(Action::Redraw), "{id}");
        let shown = text(&frame(model, &view, Theme::default(), (120, 40)));
        assert!(shown.contains(limit), "{id}: {shown}");
    }
    let ramp = scenes::ramp();
    let mut view = View::new();
    press(&mut view, &ramp, KeyCode::Enter);
    let shown = text(&frame(&ramp, &view, Theme::default(), (120, 40)));
    assert!(shown.contains("Events enlarged"), "a start is about no limit and is read whole: {shown}");
}

/// A ramp at 5,000 connections, changed.
fn changed(change: impl Fn(&mut Sample)) -> String {
    let mut model = Model::new(Setup { target: Some(100_000), ..Setup::default() });
    for (t_ms, open) in [(0, 0), (1000, 5_000), (2000, 5_000)] {
        let mut sample = synthetic::sample(open, t_ms);
        change(&mut sample);
        model.update(&sample);
    }
    text(&frame(&model, &View::new(), Theme::default(), (120, 40)))
}

#[test]
fn a_server_that_refuses_is_told_beside_the_count() {
    let shown = changed(|sample| {
        let client = synthetic::engine(sample, Role::Client).unwrap();
        (client.lost, client.refused, client.backoff_ms) = (4_072, 12, 3_893);
    });
    for part in ["backing off 3 s", "lost   4,072", "refused      12"] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
}

#[test]
fn an_engine_that_does_not_run_is_a_banner() {
    let shown = changed(|sample| synthetic::engine(sample, Role::Server).unwrap().silent_ms = 5_400);
    assert!(shown.contains("server SILENT for 5 s: stopped, or getting no CPU. Its figures are old"), "{shown}");
    let shown = changed(|sample| synthetic::engine(sample, Role::Server).unwrap().silent_ms = 1_900);
    assert!(!shown.contains("SILENT"), "{shown}");
}

/// The document that has the table of keys, and the table in it.
fn documented_keys() -> (PathBuf, String, std::ops::Range<usize>) {
    const START: &str = "<!-- keys: made by `ui::keys_table`, held by a test -->\n";
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files =
        std::iter::once(root.join("README.md")).chain(docs.filter(|p| p.extension().is_some_and(|e| e == "md")));
    let (path, text) = files
        .find_map(|p| Some((p.clone(), std::fs::read_to_string(p).ok()?)).filter(|f| f.1.contains(START)))
        .unwrap();
    let from = text.find(START).unwrap() + START.len();
    let to = from + text[from..].find("<!-- end of keys -->").unwrap();
    (path, text, from..to)
}

#[test]
fn the_documented_table_of_keys_is_the_programs() {
    let (path, text, table) = documented_keys();
    let want = ui::keys_table();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() && text[table.clone()] != want {
        std::fs::write(&path, format!("{}{want}{}", &text[..table.start], &text[table.end..])).unwrap();
        return;
    }
    assert_eq!(text[table], want, "{} (UPDATE_SNAPSHOTS=1 rewrites it)", path.display());
}

#[test]
fn a_failed_helper_is_a_banner() {
    let model = scenes::ramp();
    let mut view = View::new();
    view.fail("thread probe failed at src/probe/mod.rs:12: index out of bounds");
    let buf = frame(&model, &view, Theme::default(), (80, 24));
    let at = find(&buf, "DASHBOARD FAULT").expect("the banner");
    assert_eq!(buf[at].bg, Color::Red);
}
