//! Every key: what it does to the screen, what it asks of the program, what it says.

use c1m_top::model::Model;
use c1m_top::ui::{Action, Keys, Palette, Playing, Remote, Screen, Stroke, Theme, View};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use super::{frame, press, scenes, text};

const WIDE: (u16, u16) = (120, 40);

fn shown(view: &View, model: &Model) -> String {
    text(&frame(model, view, Theme::default(), WIDE))
}

fn footer(view: &View, model: &Model) -> String {
    shown(view, model).lines().last().unwrap_or_default().to_owned()
}

fn typed(view: &mut View, model: &Model, keys: &str) -> Option<Action> {
    keys.chars().map(|key| press(view, model, if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) })).last()?
}

fn shifted(view: &mut View, model: &Model, code: KeyCode) -> Option<Action> {
    view.on_key(KeyEvent::new(code, KeyModifiers::SHIFT), model)
}

/// A line typed after a colon.
fn command(model: &Model, line: &str) -> (View, Option<Action>) {
    let mut view = View::new();
    let action = typed(&mut view, model, &format!(":{line}\n"));
    (view, action)
}

fn stroke(label: &str) -> KeyEvent {
    let code = match label.trim_start_matches("Shift-") {
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PageUp" => KeyCode::PageUp,
        "PageDown" => KeyCode::PageDown,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "Tab" if label.starts_with("Shift") => KeyCode::BackTab,
        "Tab" => KeyCode::Tab,
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Space" => KeyCode::Char(' '),
        "F1" => KeyCode::F(1),
        other => KeyCode::Char(other.chars().next().unwrap()),
    };
    let shift = if label.starts_with("Shift-") { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    KeyEvent::new(code, shift)
}

#[test]
fn no_key_is_silent_on_any_screen() {
    for (name, make) in scenes::ALL {
        let model = make();
        for screen in [Screen::Overview, Screen::Memory, Screen::Limits, Screen::Engines] {
            let before = shown(&View::new().on(screen), &model);
            for (command, labels) in Keys::defaults() {
                for label in labels {
                    let mut view = View::new().on(screen);
                    let action = view.on_key(stroke(&label), &model);
                    let seen = shown(&view, &model) != before;
                    // The view that is there already; nothing to close.
                    let same = screen_of(command) == Some(screen) || command == "back";
                    let acts = action.as_ref().is_some_and(|action| *action != Action::Redraw);
                    assert!(
                        seen || acts || same,
                        "{name}, {screen:?}: {label} ({command}) does nothing and says nothing"
                    );
                }
            }
        }
    }
    let model = scenes::ramp();
    let mut view = View::new();
    press(&mut view, &model, KeyCode::Char('Q'));
    assert!(footer(&view, &model).contains("Q does nothing here; ? lists the keys"), "{}", footer(&view, &model));
}

fn screen_of(command: &str) -> Option<Screen> {
    Screen::NAMED.iter().find(|(name, _)| *name == command).map(|(_, screen)| *screen)
}

#[test]
fn quit_help_and_the_keys_of_the_panel_stand_in_every_footer() {
    for (_, make) in scenes::ALL {
        let model = make();
        for size in [(40, 12), (80, 24), (120, 40), (200, 60)] {
            let shown = text(&frame(&model, &View::new(), Theme::default(), size));
            let footer = shown.lines().last().unwrap();
            assert!(footer.trim_start().starts_with("q quit  ? help"), "{footer}");
        }
    }
    let ramp = scenes::ramp();
    for (screen, keys) in [
        (Screen::Overview, "q quit  ? help  ↑↓ choose  Enter open  / filter  s sort  y copy fix"),
        (Screen::Limits, "q quit  ? help  ↑↓ choose  Enter enlarge  / filter  s sort  y copy fix"),
        (Screen::Memory, "q quit  ? help  z range  t time axis  ←→ time  [] events"),
    ] {
        let footer = footer(&View::new().on(screen), &ramp);
        assert!(footer.trim_start().starts_with(keys), "{footer}");
    }
}

#[test]
fn tab_goes_round_all_panels_and_back() {
    let model = scenes::ramp();
    let mut view = View::new();
    let mut seen = Vec::new();
    for _ in 0..20 {
        press(&mut view, &model, KeyCode::Tab);
        let said = footer(&view, &model).trim().to_owned();
        if seen.contains(&said) {
            break;
        }
        seen.push(said);
    }
    for panel in ["Memory", "Limits", "Events", "Cost", "Connections"] {
        assert!(seen.iter().any(|said| said == panel), "{panel}: {seen:?}");
    }
    press(&mut view, &model, KeyCode::Tab);
    let here = footer(&view, &model);
    press(&mut view, &model, KeyCode::Tab);
    press(&mut view, &model, KeyCode::BackTab);
    assert_eq!(footer(&view, &model), here);
}

/// A view with the limits in focus.
fn at_limits(model: &Model) -> View {
    let mut view = View::new();
    for _ in 0..20 {
        press(&mut view, model, KeyCode::Tab);
        if footer(&view, model).trim() == "Limits" {
            return view;
        }
    }
    panic!("no limits on the screen:\n{}", shown(&view, model));
}

#[test]
fn a_panel_has_the_screen_to_itself_until_escape() {
    let model = scenes::hold();
    let mut view = at_limits(&model);
    let before = shown(&view, &model);
    press(&mut view, &model, KeyCode::Char('e'));
    let enlarged = shown(&view, &model);
    assert!(
        enlarged.contains("Limits enlarged; Esc brings") && !enlarged.contains("Events, newest first"),
        "{enlarged}"
    );
    press(&mut view, &model, KeyCode::Esc);
    let rows = |text: &str| text.lines().take(39).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&shown(&view, &model)), rows(&before));
    press(&mut view, &model, KeyCode::Char('e'));
    press(&mut view, &model, KeyCode::Char('e'));
    assert_eq!(rows(&shown(&view, &model)), rows(&before));
}

#[test]
fn a_filter_leaves_the_rows_that_have_it_and_escape_brings_all_back() {
    let model = scenes::hold();
    let mut view = View::new().on(Screen::Limits);
    let all = shown(&view, &model);
    typed(&mut view, &model, "/");
    assert!(footer(&view, &model).contains('/') && footer(&view, &model).contains("Esc shows all rows"));
    typed(&mut view, &model, "MEMO");
    assert!(shown(&view, &model).contains("memory") && !shown(&view, &model).contains("TIME_WAIT "));
    typed(&mut view, &model, "\n");
    assert!(footer(&view, &model).contains("Limits with 'MEMO'"), "{}", footer(&view, &model));
    press(&mut view, &model, KeyCode::Esc);
    press(&mut view, &model, KeyCode::Esc);
    assert_eq!(shown(&view, &model), all);
    // Dropped while typing, it leaves nothing behind.
    typed(&mut view, &model, "/zzz");
    assert!(shown(&view, &model).contains("(0 of 0)"), "{}", shown(&view, &model));
    press(&mut view, &model, KeyCode::Esc);
    assert_eq!(shown(&view, &model), all);
    // Keys that mean something else go into the line.
    typed(&mut view, &model, "/q");
    assert!(footer(&view, &model).contains("/q"));
    let mut view = View::new().on(Screen::Memory);
    typed(&mut view, &model, "/");
    assert!(footer(&view, &model).contains("can be filtered"), "{}", footer(&view, &model));
}

#[test]
fn rows_are_sorted_three_ways() {
    let model = scenes::hold();
    let mut view = View::new().on(Screen::Limits);
    let first = |view: &View| -> String {
        let shown = shown(view, &model);
        let row = shown.lines().find(|line| line.contains('▸')).unwrap_or_default();
        row.split('▸').nth(1).unwrap_or_default().chars().take(16).collect()
    };
    let given = first(&view);
    let mut seen = vec![given.clone()];
    for word in ["largest first", "by name"] {
        typed(&mut view, &model, "s");
        assert!(footer(&view, &model).contains(word), "{}", footer(&view, &model));
        seen.push(first(&view));
    }
    typed(&mut view, &model, "s");
    assert_eq!(first(&view), given, "as they come");
    assert!(seen.iter().any(|row| *row != given), "{seen:?}");
}

#[test]
fn the_line_with_more_behind_it_opens_and_closes() {
    let model = scenes::hold();
    let mut view = at_limits(&model);
    let before = shown(&view, &model);
    assert!(before.contains("more"), "{before}");
    for _ in 0..40 {
        press(&mut view, &model, KeyCode::Down);
    }
    press(&mut view, &model, KeyCode::Enter);
    let opened = shown(&view, &model);
    assert!(!opened.contains("or not limiting"), "{opened}");
    press(&mut view, &model, KeyCode::Esc);
    assert!(shown(&view, &model).contains("or not limiting"), "{}", shown(&view, &model));
}

#[test]
fn what_was_opened_closes_to_where_one_was() {
    let model = scenes::hold();
    let mut view = View::new();
    press(&mut view, &model, KeyCode::Down);
    let before = shown(&view, &model);
    press(&mut view, &model, KeyCode::Up);
    for _ in 0..20 {
        // The first event that is about a limit.
        press(&mut view, &model, KeyCode::Enter);
        if shown(&view, &model).contains("Limits, nearest first (") {
            break;
        }
        press(&mut view, &model, KeyCode::Esc);
        press(&mut view, &model, KeyCode::Down);
    }
    assert!(shown(&view, &model).contains("Limits, nearest first ("), "{}", shown(&view, &model));
    press(&mut view, &model, KeyCode::Esc);
    let after = shown(&view, &model);
    assert!(after.contains("Events"), "{after}");
    assert_eq!(after.lines().count(), before.lines().count());
    // A limit of the overview opens its details, and Esc goes back to it.
    let mut view = at_limits(&model);
    press(&mut view, &model, KeyCode::Enter);
    assert!(shown(&view, &model).contains("fix: "), "{}", shown(&view, &model));
    press(&mut view, &model, KeyCode::Esc);
    assert!(shown(&view, &model).contains("Memory over connections"), "{}", shown(&view, &model));
}

#[test]
fn the_time_cursor_moves_by_steps_by_tens_by_events_and_back() {
    let model = scenes::hold();
    let end = model.now().t_ms;
    let mut view = View::new().on(Screen::Memory);
    let at = |action: Option<Action>| match action {
        Some(Action::Seek(at)) => at,
        other => panic!("{other:?}"),
    };
    let one = at(press(&mut view, &model, KeyCode::Left)).unwrap();
    assert!(one < end && end - one <= 1000, "{one} of {end}");
    assert!(footer(&view, &model).contains(" AT 00:"), "{}", footer(&view, &model));
    assert_eq!(at(press(&mut view, &model, KeyCode::Char('h'))), Some(one.div_ceil(1000) * 1000 - 1000));
    let ten = at(shifted(&mut view, &model, KeyCode::Left)).unwrap();
    assert_eq!(ten, (one.div_ceil(1000) * 1000 - 1000).saturating_sub(10_000));
    assert_eq!(at(press(&mut view, &model, KeyCode::Char('L'))), Some(ten + 10_000));
    at(press(&mut view, &model, KeyCode::Char('H')));
    assert_eq!(at(press(&mut view, &model, KeyCode::Char('l'))), Some(ten + 1000));
    assert_eq!(at(press(&mut view, &model, KeyCode::End)), None);
    assert!(footer(&view, &model).contains("back to now"), "{}", footer(&view, &model));
    // Beyond now there is nothing; before the beginning neither.
    assert_eq!(at(press(&mut view, &model, KeyCode::Right)), None);
    for _ in 0..100 {
        shifted(&mut view, &model, KeyCode::Left);
    }
    assert!(footer(&view, &model).contains("the run begins here"), "{}", footer(&view, &model));
    // Back up to now, Esc does the same as End.
    assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Seek(None)));

    let times: Vec<u64> = model.events().all().iter().map(|e| e.t_ms).collect();
    let mut view = View::new();
    let last = times.iter().copied().filter(|t| *t < end).max().unwrap();
    assert_eq!(at(typed(&mut view, &model, "[")), Some(last));
    let said = footer(&view, &model);
    let event = model.events().all().iter().rfind(|e| e.t_ms == last).unwrap();
    assert!(said.contains(&event.text[..10]), "{said}");
    let before = times.iter().copied().filter(|t| *t < last).max();
    let action = typed(&mut view, &model, "[");
    assert!(before.is_none() || action == Some(Action::Seek(before)), "{action:?}");
    typed(&mut view, &model, "]");
    assert!(typed(&mut view, &model, "]").is_some());
}

#[test]
fn the_past_is_shown_where_somebody_keeps_it() {
    let (early, late) = (scenes::ramp_to(5), scenes::ramp_to(17));
    let mut view = View::new();
    assert!(matches!(press(&mut view, &late, KeyCode::Left), Some(Action::Seek(Some(_)))));
    view.show_past(Some(Box::new(early)));
    assert!(shown(&view, &late).contains("192,100"), "{}", shown(&view, &late));
    assert_eq!(press(&mut view, &late, KeyCode::End), Some(Action::Seek(None)));
    assert!(shown(&view, &late).contains("653,140"), "{}", shown(&view, &late));
}

#[test]
fn the_range_goes_round_and_says_so() {
    let model = scenes::ramp();
    let mut view = View::new().on(Screen::Memory);
    let said: Vec<String> = (0..4)
        .map(|_| {
            typed(&mut view, &model, "z");
            footer(&view, &model).trim().to_owned()
        })
        .collect();
    for word in ["memory: measured", "memory: to target", "memory: to first limit", "memory: all limits"] {
        assert!(said.iter().any(|s| s == word), "{word}: {said:?}");
    }
    typed(&mut view, &model, "t");
    assert!(footer(&view, &model).contains("memory over time"));
}

#[test]
fn the_help_scrolls_to_its_end() {
    let model = scenes::ramp();
    let mut view = View::new();
    view.fit(Rect::new(0, 0, 80, 24));
    let shown = |view: &View| text(&frame(&model, view, Theme::default(), (80, 24)));
    press(&mut view, &model, KeyCode::F(1));
    assert!(shown(&view).contains("Keys and words") && shown(&view).contains("1-22 of"), "{}", shown(&view));
    press(&mut view, &model, KeyCode::Down);
    assert!(shown(&view).contains("2-23 of"), "{}", shown(&view));
    press(&mut view, &model, KeyCode::Up);
    for _ in 0..10 {
        press(&mut view, &model, KeyCode::PageDown);
    }
    assert!(shown(&view).contains("what this dashboard costs"), "{}", shown(&view));
    press(&mut view, &model, KeyCode::Home);
    assert!(shown(&view).contains("1-22 of"));
    press(&mut view, &model, KeyCode::Esc);
    assert!(!shown(&view).contains("Keys and words"));
    // Every row of the table is in it.
    let whole = text(&frame(
        &model,
        &{
            let mut v = View::new();
            v.fit(Rect::new(0, 0, 120, 120));
            typed(&mut v, &model, "?");
            v
        },
        Theme::default(),
        (120, 120),
    ));
    for part in ["(also k j)", "(also F1)", "theme light", "Shift-←", "OSC 52"] {
        assert!(whole.contains(part), "{part}:\n{whole}");
    }
}

#[test]
fn commands_do_what_keys_do_and_more() {
    let ramp = scenes::ramp();
    for (line, action) in [
        ("rate 20k", Action::Rate(Some(20_000))),
        ("rate max", Action::Rate(None)),
        ("target 2m", Action::Target(2_000_000)),
        ("pause", Action::PauseToggle),
        ("theme light", Action::Theme(Palette::Light)),
        ("5s", Action::Seek(Some(5000))),
    ] {
        assert_eq!(command(&ramp, line).1, Some(action), "{line}");
    }
    for line in ["close", "quit", "q"] {
        let (mut view, action) = command(&ramp, line);
        assert_eq!(action, Some(Action::Redraw), "{line} asks first");
        assert!(matches!(press(&mut view, &ramp, KeyCode::Char('y')), Some(Action::Close | Action::Quit)), "{line}");
    }
    for (line, said) in [
        ("targt 5", "did you mean target?"),
        ("rate", "rate needs a number"),
        ("xyzzy", "there are rate, target"),
        ("90m", "this is now"),
        ("900m conns", "not yet at 900,000,000 connections"),
    ] {
        let (view, _) = command(&ramp, line);
        assert!(footer(&view, &ramp).contains(said), "{line}: {}", footer(&view, &ramp));
    }
    // Half of the way there was half of the count.
    let (mut view, action) = command(&ramp, "300k conns");
    let Some(Action::Seek(Some(at))) = action else { panic!("{action:?}") };
    assert!((6_000..10_000).contains(&at), "{at}");
    view.show_past(None);
    assert!(footer(&view, &ramp).contains(" AT 00:00:0"));
    // Tab completes; what is being typed is on the screen; Esc leaves no trace.
    let mut view = View::new();
    typed(&mut view, &ramp, ":tar");
    press(&mut view, &ramp, KeyCode::Tab);
    typed(&mut view, &ramp, "2m");
    assert!(footer(&view, &ramp).contains(":target 2m"), "{}", footer(&view, &ramp));
    assert_eq!(press(&mut view, &ramp, KeyCode::Esc), Some(Action::Redraw));
    assert!(footer(&view, &ramp).contains("q quit"));
    let foreign = scenes::foreign();
    let (view, action) = command(&foreign, "rate 20k");
    assert!(action == Some(Action::Redraw) && footer(&view, &foreign).contains("nothing to pause, speed up or close"));
}

#[test]
fn the_fix_goes_to_the_terminals_clipboard() {
    let model = scenes::hold();
    let limit = &model.limits()[0];
    let wanted = limit.cure.0.iter().find_map(|r| r.command.clone()).unwrap();
    let mut view = View::new().on(Screen::Limits);
    assert_eq!(typed(&mut view, &model, "y"), Some(Action::Copy(wanted.clone())));
    assert!(footer(&view, &model).contains(&format!("sent to terminal: {wanted}")), "{}", footer(&view, &model));
    // Where neither a limit nor an event is chosen it is the fix of what comes first.
    let mut view = View::new().on(Screen::Memory);
    assert!(matches!(typed(&mut view, &model, "y"), Some(Action::Copy(_))));
    let ramp = scenes::ramp();
    let mut view = View::new();
    assert_eq!(typed(&mut view, &ramp, "y"), Some(Action::Redraw));
    assert!(footer(&view, &ramp).contains("no fix for this event"), "{}", footer(&view, &ramp));
}

#[test]
fn the_mouse_is_taken_and_given_back() {
    let model = scenes::ramp();
    let mut view = View::new();
    assert_eq!(typed(&mut view, &model, "m"), Some(Action::Mouse(true)));
    assert!(footer(&view, &model).contains("mouse: click"));
    assert_eq!(typed(&mut view, &model, "m"), Some(Action::Mouse(false)));
    assert!(footer(&view, &model).contains("text can be selected"));
}

fn mouse(view: &mut View, model: &Model, kind: MouseEventKind, column: usize, row: usize) -> Option<Action> {
    let (column, row) = (u16::try_from(column).unwrap(), u16::try_from(row).unwrap());
    view.on_mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }, model)
}

/// Column and row of a word on the screen.
fn place(shown: &str, word: &str) -> (usize, usize) {
    let found = shown.lines().enumerate().find_map(|(y, l)| l.find(word).map(|at| (l[..at].chars().count(), y)));
    found.unwrap_or_else(|| panic!("{word} is not in\n{shown}"))
}

#[test]
fn a_click_chooses_and_the_wheel_scrolls_and_zooms() {
    let press = MouseEventKind::Down(MouseButton::Left);
    let model = scenes::hold();
    // Every row of every list is the one that is clicked.
    for screen in [Screen::Limits, Screen::Overview] {
        let labels: Vec<String> = model.limits().iter().take(3).map(c1m_top::model::Limit::name).collect();
        for label in labels {
            let mut view = View::new().on(screen);
            let before = shown(&view, &model);
            let at = |line: &str| {
                let at = [' ', '▸'].iter().find_map(|mark| line.find(&format!("│{mark}{label}")))?;
                Some(line[..at].chars().count() + 2)
            };
            let found = before.lines().enumerate().find_map(|(y, line)| Some((at(line)?, y)));
            let (x, y) = found.unwrap_or_else(|| panic!("{label} is not in\n{before}"));
            mouse(&mut view, &model, press, x, y);
            let after = shown(&view, &model);
            let row = after.lines().nth(y).unwrap();
            assert!(row.contains(&format!("▸{label}")), "{screen:?} {label}:\n{after}");
        }
    }
    let ports = scenes::ports();
    let mut view = View::new().on(Screen::Engines);
    // The header names the ports as well.
    let listed = shown(&view, &ports);
    let y = listed.lines().skip(1).position(|line| line.contains("*:443 ")).unwrap() + 1;
    let x = 3;
    mouse(&mut view, &ports, press, x, y);
    assert!(shown(&view, &ports).contains("▸*:443"), "{}", shown(&view, &ports));
    mouse(&mut view, &ports, MouseEventKind::ScrollDown, x, y);
    assert!(!shown(&view, &ports).contains("▸*:443"), "{}", shown(&view, &ports));
    // Over the chart it is the range.
    let mut view = View::new().on(Screen::Memory);
    let (x, y) = place(&shown(&view, &model), "GiB ┤");
    let said = |view: &View| footer(view, &model).trim().to_owned();
    mouse(&mut view, &model, MouseEventKind::ScrollDown, x, y);
    let first = said(&view);
    mouse(&mut view, &model, MouseEventKind::ScrollDown, x, y);
    assert!(first.starts_with("memory: ") && said(&view) != first, "{first}");
    mouse(&mut view, &model, MouseEventKind::ScrollUp, x, y);
    assert_eq!(said(&view), first);
    // The help goes away with a click and scrolls with the wheel.
    view.fit(Rect::new(0, 0, 80, 24));
    super::press(&mut view, &model, KeyCode::Char('?'));
    mouse(&mut view, &model, MouseEventKind::ScrollDown, 5, 5);
    assert!(text(&frame(&model, &view, Theme::default(), (80, 24))).contains("4-25 of"));
    mouse(&mut view, &model, press, 5, 5);
    assert!(!shown(&view, &model).contains("Keys and words"));
    // A question is answered with keys.
    let ramp = scenes::ramp();
    let mut view = View::new();
    super::press(&mut view, &ramp, KeyCode::Char('c'));
    assert_eq!(mouse(&mut view, &ramp, press, 5, 5), None);
    assert_eq!(super::press(&mut view, &ramp, KeyCode::Char('y')), Some(Action::Close));
}

#[test]
fn another_key_is_in_the_footer_and_in_the_help() {
    let model = scenes::ramp();
    let mut keys = Keys::default();
    assert!(keys.bind("pause", &[Stroke::parse("F5").unwrap()]));
    let mut view = View::new().with_keys(keys);
    assert!(footer(&view, &model).contains("F5 pause"), "{}", footer(&view, &model));
    assert_eq!(press(&mut view, &model, KeyCode::F(5)), Some(Action::PauseToggle));
    assert_eq!(press(&mut view, &model, KeyCode::Char('p')), Some(Action::Redraw));
    assert!(footer(&view, &model).contains("p does nothing here"));
    press(&mut view, &model, KeyCode::Char('?'));
    assert!(shown(&view, &model).contains("F5  Pauses or resumes the ramp"), "{}", shown(&view, &model));
}

#[test]
fn keys_are_written_without_arrows_in_ascii() {
    let model = scenes::hold();
    let view = View::new().with(false, true);
    let theme = Theme::default().in_ascii();
    let shown = text(&frame(&model, &view, theme, WIDE));
    let footer = shown.lines().last().unwrap();
    assert!(footer.contains("Up/Down choose"), "{footer}");
}

#[test]
fn where_the_guard_holds_the_ramp_is_a_line_in_the_chart() {
    let guarded = scenes::guarded();
    let mut view = View::new();
    typed(&mut view, &guarded, "2");
    assert!(shown(&view, &guarded).contains("guard at"), "{}", shown(&view, &guarded));
    // Over time it has no place.
    typed(&mut view, &guarded, "t");
    assert!(!shown(&view, &guarded).contains("guard at"), "{}", shown(&view, &guarded));
    // A client that has no guard has none either.
    let mut view = View::new();
    typed(&mut view, &scenes::ramp(), "2");
    assert!(!shown(&view, &scenes::ramp()).contains("guard at"), "{}", shown(&view, &scenes::ramp()));
}

#[test]
fn the_ports_that_have_most_and_fewest_stand_under_the_engines() {
    let model = scenes::ramp();
    let mut view = View::new();
    typed(&mut view, &model, "4");
    let tall = text(&frame(&model, &view, Theme::default(), (200, 60)));
    assert!(tall.contains("9900       6,532   1.00 %"), "{tall}");
    assert!(tall.contains("in between") && tall.contains("no. 2"), "{tall}");
}

#[test]
fn a_replay_has_keys_of_its_own() {
    let model = scenes::ramp();
    let mut live = View::new();
    for key in [',', '.'] {
        assert_eq!(press(&mut live, &model, KeyCode::Char(key)), Some(Action::Redraw));
        assert!(footer(&live, &model).contains("only in a replay"), "{}", footer(&live, &model));
    }
    assert!(!footer(&View::new(), &model).contains("speed"), "not among the keys of a run that goes on");
    let mut view = View::new();
    for (running, word) in [(true, "stop"), (false, "play")] {
        view.play(Some(1000), Playing { running, speed: 1, whole: true });
        for (key, action) in [(' ', Action::PlayToggle), (',', Action::Slower), ('.', Action::Faster)] {
            assert_eq!(press(&mut view, &model, KeyCode::Char(key)), Some(action));
        }
        let keys = footer(&view, &model);
        assert!(keys.contains(&format!("Space {word}")) && keys.contains("speed"), "{keys}");
        assert!(!keys.contains("pause"), "the run is over: {keys}");
    }
    // While a line is typed they are letters.
    assert_eq!(typed(&mut view, &model, ":."), Some(Action::Redraw));
}

#[test]
fn a_worker_of_a_fleet_is_looked_at_and_not_driven() {
    let mut model = scenes::ramp();
    model.disown();
    let mut view = View::new();
    assert!(footer(&view, &model).contains("pause"));
    view.look_at(Remote { name: "part 2/5 on web3".into(), old: None });
    let keys = footer(&view, &model);
    assert!(keys.starts_with(" part 2/5 on web3 ") && keys.contains("Esc back"), "{keys}");
    assert!(!keys.contains("pause") && !keys.contains("close"), "{keys}");
    let narrow = text(&frame(&model, &view, Theme::default(), (80, 24)));
    assert!(narrow.lines().last().unwrap().contains("Esc back"), "{narrow}");
    for keys in ["p", "+", "c", ":rate 20k\n", ":close\n"] {
        assert_eq!(typed(&mut view, &model, keys), Some(Action::Redraw), "{keys}");
        assert!(footer(&view, &model).contains("commands are for the whole fleet: Esc goes back"), "{keys}");
    }
    view.look_at(Remote { name: "part 2/5 on web3".into(), old: Some("not heard for 7.0 s".into()) });
    assert!(footer(&view, &model).starts_with(" part 2/5 on web3, not heard for 7.0 s "));
    // What is open closes first.
    typed(&mut view, &model, "e");
    assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Redraw));
    assert_eq!(press(&mut view, &model, KeyCode::Esc), Some(Action::Leave));
    assert_eq!(typed(&mut view, &model, "q"), Some(Action::Quit));
}
