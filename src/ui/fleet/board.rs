//! What is known of the fleet, and what the viewer has chosen.

use ratatui::layout::Rect;

use super::cells::heard;
use crate::fleet::{FleetView, Row, Standing};
use crate::ui::keys::Keys;
use crate::ui::notice::Notice;
use crate::ui::prompt::Prompt;
use crate::ui::state::Chosen;

/// Points of the curve that are kept; above that every second one goes.
const POINTS: usize = 2_000;

/// A panel of this screen that can have the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pane {
    #[default]
    Workers,
    Memory,
    Events,
}

impl Pane {
    /// Its name, as a person says it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Pane::Workers => "Workers",
            Pane::Memory => "Memory",
            Pane::Events => "Events",
        }
    }
}

/// The order of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// Servers, then by part, then by host.
    #[default]
    Given,
    /// Those first that have the least of their target.
    Behind,
    /// Those first whose limit comes first.
    Limit,
    /// By the name of the host.
    Host,
}

impl Order {
    /// The next one, and after the last the first.
    pub(super) fn next(self) -> Self {
        match self {
            Order::Given => Order::Behind,
            Order::Behind => Order::Limit,
            Order::Limit => Order::Host,
            Order::Host => Order::Given,
        }
    }

    /// What it is called on the screen.
    pub(super) fn word(self) -> &'static str {
        match self {
            Order::Given => "by part",
            Order::Behind => "furthest behind first",
            Order::Limit => "nearest limit first",
            Order::Host => "by host",
        }
    }
}

/// The fleet's screen.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Board {
    /// The fleet as it was last seen; `None` before any worker has come.
    pub(super) view: Option<FleetView>,
    /// Where it meets, without its secrets.
    pub(super) place: String,
    /// Why the store does not answer.
    pub(super) trouble: Option<String>,
    /// Memory of the server's machine in use, bytes, over connections of the fleet, as they rose.
    pub(super) curve: Vec<(f64, f64)>,
    /// Whether this screen may give commands: it has the fleet's token.
    pub(super) commands: bool,
    pub(super) order: Order,
    /// What a row must contain; empty lets all.
    pub(super) filter: String,
    /// The worker chosen, by its id: rows change places.
    pub(super) chosen: Chosen<String>,
    /// Whether the workers that there is nothing to say of are listed too.
    pub(super) unfolded: bool,
    /// Whether the chosen worker has the screen to itself.
    pub(super) opened: bool,
    pub(super) focus: Pane,
    /// The panel that has the screen to itself.
    pub(super) enlarged: Option<Pane>,
    /// The first event on the screen.
    pub(super) event: usize,
    pub(super) help: bool,
    /// The question whether all connections are to be closed is open.
    pub(super) closes: bool,
    pub(super) prompt: Option<Prompt>,
    /// Whether what is typed is a filter, and not a command.
    pub(super) filtering: bool,
    pub(super) keys: Keys,
    /// Whether keys are written without arrows.
    pub(super) ascii: bool,
    pub(super) mouse: bool,
    pub(super) area: Rect,
    notice: Notice,
}

impl Board {
    /// An empty screen of the fleet that meets at `place`; with the fleet's token it may also give `commands`.
    pub fn new(place: &str, commands: bool) -> Self {
        let area = Rect::new(0, 0, 120, 40);
        Self { place: place.to_owned(), commands, area, ..Self::default() }
    }

    /// With other keys than the usual ones.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Whether the mouse is taken, and whether keys are written without arrows.
    #[must_use]
    pub fn with(mut self, mouse: bool, ascii: bool) -> Self {
        (self.mouse, self.ascii) = (mouse, ascii);
        self
    }

    /// The screen has this size.
    pub fn fit(&mut self, area: Rect) {
        self.area = area;
    }

    /// The fleet is like this now; `None`: no worker has come.
    pub fn take(&mut self, view: Option<FleetView>) {
        self.trouble = None;
        let Some(view) = view else { return };
        if self.view.as_ref().is_some_and(|before| before.name != view.name || before.rows.len() > view.rows.len()) {
            self.curve.clear();
        }
        self.remember(&view);
        self.view = Some(view);
    }

    /// The fleet as it was last seen; `None` before any worker has come.
    pub fn view(&self) -> Option<&FleetView> {
        self.view.as_ref()
    }

    /// The store does not answer: what is shown is what was last known.
    pub fn lose(&mut self, why: &str) {
        self.trouble = Some(why.to_owned());
    }

    /// Where the fleet meets, without its secrets.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether the mouse is ours.
    pub fn has_mouse(&self) -> bool {
        self.mouse
    }

    /// The mouse is ours, or not.
    pub fn set_mouse(&mut self, on: bool) {
        self.mouse = on;
    }

    /// Adds to the curve while connections rise: what follows, a close, has another slope.
    fn remember(&mut self, view: &FleetView) {
        let Some(bytes) = view.memory.as_ref().and_then(|m| m.mem_used_bytes) else { return };
        let point = (view.totals.connections as f64, bytes as f64);
        if self.curve.last().is_none_or(|last| last.0 < point.0) {
            self.curve.push(point);
        }
        if self.curve.len() > POINTS {
            let mut odd = false;
            self.curve.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    /// The id of the worker that is opened, if one is.
    pub fn opened(&self) -> Option<&str> {
        match &self.chosen {
            Chosen::One(id) if self.opened => Some(id),
            _ => None,
        }
    }

    /// The same worker; `None` also where the fleet has it no more.
    pub fn opened_row(&self) -> Option<&Row> {
        let (view, id) = self.view.as_ref().zip(self.opened())?;
        view.rows.iter().find(|row| row.state.who.id == id)
    }

    /// Whether something is being typed or asked, which another screen must not take away.
    pub fn is_asking(&self) -> bool {
        self.prompt.is_some() || self.closes
    }

    /// Closes the worker that is opened.
    pub fn close(&mut self) {
        self.opened = false;
    }

    /// Why what is shown of a worker is old, in a few words.
    pub fn trouble_of(&self, row: &Row) -> Option<String> {
        match row.standing {
            Standing::Left => Some("its run has ended".to_owned()),
            Standing::Silent | Standing::Lost => Some(format!("last heard from {} ago", heard(row.age_ms))),
            _ => self.trouble.as_ref().map(|_| "store unreachable".to_owned()),
        }
    }

    /// Says in the footer what a key did, or why it did nothing.
    pub fn say(&mut self, text: impl Into<String>) {
        self.notice.say(text.into());
    }

    /// Nothing more is said; whether something was.
    pub(super) fn hush(&mut self) -> bool {
        self.notice.hush()
    }

    /// What is said now.
    pub(super) fn notice(&self) -> Option<&str> {
        self.notice.text()
    }
}
