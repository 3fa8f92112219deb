//! What the viewer has chosen: which screen and panel, which moment, what is chosen in a list.

use ratatui::layout::Rect;

use super::keys::{Keys, Screen};
use super::notice::Notice;
use super::panels::Panel;
use super::playing::Playing;
use super::prompt::Prompt;
use super::remote::Remote;
use crate::limits::LimitId;
use crate::model::chart::XAxis;
use crate::model::{Basis, Model, Range, RunPhase};
use crate::protocol::Role;
use crate::sample::{Peers, Reading};

/// A question that is asked before something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Close every connection.
    Close,
    /// Quit, which closes them too.
    Quit,
    /// Count the peers of a port, which so many sockets make costly.
    Peers { port: u16, sockets: u64 },
}

/// The order of the rows of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// The list's own: nearest, newest, as the program has them.
    #[default]
    Given,
    /// The largest first: share, severity, connections.
    Largest,
    /// By name.
    Name,
}

impl Sort {
    /// The next one, and after the last the first.
    pub(super) fn next(self) -> Self {
        match self {
            Sort::Given => Sort::Largest,
            Sort::Largest => Sort::Name,
            Sort::Name => Sort::Given,
        }
    }

    /// What it is called on the screen.
    pub(super) fn word(self) -> &'static str {
        match self {
            Sort::Given => "as they come",
            Sort::Largest => "largest first",
            Sort::Name => "by name",
        }
    }
}

/// The row chosen in a list that has a line with more behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Chosen<T> {
    /// Whichever is first.
    #[default]
    First,
    /// This one, wherever it stands.
    One(T),
    /// The line with more behind it.
    Fold,
}

/// The listener whose peers are on the screen.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) port: u16,
    /// They are being counted.
    pub(super) counting: bool,
    /// The last answer.
    pub(super) told: Option<Told>,
    /// The row chosen among its networks.
    pub(super) row: usize,
}

impl Opened {
    /// Rows of its networks.
    pub(super) fn networks(&self) -> usize {
        self.told.as_ref().and_then(|t| t.peers.as_ref().ok()).map_or(0, |p| p.top.len())
    }
}

/// Where one was before something was opened.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) screen: Screen,
    pub(super) focus: Panel,
    pub(super) enlarged: Option<Panel>,
    pub(super) event: Option<String>,
    pub(super) limit: Chosen<(LimitId, String)>,
    pub(super) member: Option<u32>,
    pub(super) listener: Option<u16>,
}

/// An answer, and when it came.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) peers: Reading<Peers>,
    pub(super) at_ms: u64,
}

/// The viewer's choices.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct View {
    pub(super) screen: Screen,
    /// `None` until chosen: connections for a run, time for watching.
    pub(super) axis: Option<XAxis>,
    pub(super) help: bool,
    /// The question that is open.
    pub(super) question: Option<Question>,
    /// The panel that has the focus, if it is on the screen (`panels::focused`).
    pub(super) focus: Panel,
    /// The panel that has the screen to itself.
    pub(super) enlarged: Option<Panel>,
    /// Where the time cursor stands, milliseconds since the dashboard started. `None` is now.
    pub(super) cursor: Option<u64>,
    /// How far the chart of memory reaches; `None` is what is usual.
    pub(super) range: Option<Range>,
    /// What the rows of a list must contain; empty lets all. It holds for `filtered`.
    pub(super) filter: String,
    /// The list that is filtered.
    pub(super) filtered: Panel,
    /// The order of rows. It holds for `sorted`.
    pub(super) sort: Sort,
    /// The list that is sorted.
    pub(super) sorted: Panel,
    /// Whether the limits of no interest, folded into one line, are opened.
    pub(super) unfolded: bool,
    /// The model as it was when the screen was frozen.
    pub(super) frozen: Option<Box<Model>>,
    /// How the run goes on, where it is replayed.
    pub(super) playing: Option<Playing>,
    /// Which run it is, where that is another host's.
    pub(super) remote: Option<Remote>,
    /// The model as it was where the time cursor stands.
    pub(super) past: Option<Box<Model>>,
    /// The screen's size, for what depends on where the panels are.
    pub(super) area: Rect,
    /// The event chosen, by id: new ones come in above it. `None` is the first.
    pub(super) event: Option<String>,
    /// The limit chosen, by id and scope: rows change places.
    pub(super) limit: Chosen<(LimitId, String)>,
    /// The process chosen, by number. `None` is the first.
    pub(super) member: Option<u32>,
    /// The listener chosen, by port: others come and go. `None` is the first.
    pub(super) listener: Option<u16>,
    /// The peers that are looked at.
    pub(super) opened: Option<Opened>,
    /// Where to go back to from what was opened.
    pub(super) from: Option<Place>,
    /// The line that is being typed.
    pub(super) prompt: Option<Prompt>,
    /// The first row of the help on the screen.
    pub(super) help_row: usize,
    /// Which key does what.
    pub(super) keys: Keys,
    /// Whether the mouse is ours.
    pub(super) mouse: bool,
    /// Whether keys are written without arrows.
    pub(super) ascii: bool,
    /// What the last key did or could not do, and when.
    notice: Notice,
    /// What a helper thread died of.
    pub(super) failure: Option<String>,
}

impl View {
    /// The overview, live; until it is fitted, for a screen of 120 columns and 40 rows.
    pub fn new() -> Self {
        Self { area: Rect::new(0, 0, 120, 40), ..Self::default() }
    }

    /// Starts at another screen.
    #[must_use]
    pub fn on(mut self, screen: Screen) -> Self {
        self.go_to(screen);
        self
    }

    /// Goes to a screen, where its own panel has the focus and nothing is chosen.
    pub(super) fn go_to(&mut self, screen: Screen) {
        self.screen = screen;
        self.focus = match screen {
            Screen::Overview => Panel::Events,
            Screen::Memory => Panel::Memory,
            Screen::Limits => Panel::Limits,
            Screen::Engines => Panel::Listeners,
        };
        self.choose_nothing();
        (self.enlarged, self.opened, self.from, self.help) = (None, None, None, false);
    }

    /// The first row of every list.
    pub(super) fn choose_nothing(&mut self) {
        (self.event, self.limit, self.member, self.listener) = (None, Chosen::First, None, None);
    }

    /// The screen has this size.
    pub fn fit(&mut self, area: Rect) {
        self.area = area;
    }

    /// What is to be shown of the past, where the time cursor stands; `None` is the present.
    pub fn show_past(&mut self, past: Option<Box<Model>>) {
        self.past = past;
    }

    /// What is on the screen: the past, or the model that was frozen, or the model.
    pub(super) fn shown<'a>(&'a self, model: &'a Model) -> &'a Model {
        self.past.as_deref().or(self.frozen.as_deref()).unwrap_or(model)
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

    /// What the rows of a list must contain, in lower case; `None` where all are let through.
    pub(super) fn filter_of(&self, panel: Panel) -> Option<String> {
        (self.filtered == panel && !self.filter.is_empty()).then(|| self.filter.to_lowercase())
    }

    /// Whether the filter lets a row with these words through.
    pub(super) fn lets(&self, panel: Panel, words: &str) -> bool {
        self.filter_of(panel).is_none_or(|filter| words.to_lowercase().contains(&filter))
    }

    /// The order of the rows of a list.
    pub(super) fn sort_of(&self, panel: Panel) -> Sort {
        if self.sorted == panel { self.sort } else { Sort::Given }
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

    /// How far the chart of memory reaches now; `None` while there is no chart.
    pub(super) fn range_of(&self, model: &Model) -> Option<Range> {
        self.shown(model).chart(self.axis(model), self.range).range
    }

    /// Whether the mouse is ours.
    pub fn has_mouse(&self) -> bool {
        self.mouse
    }

    /// Shows a banner for a helper thread that failed: what is on the screen may be stale from here on.
    pub fn fail(&mut self, text: impl Into<String>) {
        self.failure = Some(text.into());
    }

    /// The run is another host's.
    pub fn look_at(&mut self, remote: Remote) {
        self.remote = Some(remote);
    }

    /// What runs along the chart's x axis. A count that nobody drives hardly moves: watching is drawn
    /// over time, until what a connection takes shows.
    pub(super) fn axis(&self, model: &Model) -> XAxis {
        let cost = model.cost();
        let grows = cost.user.is_some() && cost.basis != Some(Basis::Quotient);
        let driven = model.setup().target.is_some() || model.now().phase != RunPhase::Watching || grows;
        self.axis.unwrap_or(if driven { XAxis::Connections } else { XAxis::Time })
    }

    /// The peers of a port have been counted: shown, if they are still looked at.
    pub fn peers_told(&mut self, port: u16, peers: Reading<Peers>, model: &Model) {
        if let Some(opened) = self.opened.as_mut().filter(|opened| opened.port == port) {
            opened.counting = false;
            opened.row = opened.row.min(peers.as_ref().map_or(0, |p| p.top.len().saturating_sub(1)));
            opened.told = Some(Told { peers, at_ms: model.now().t_ms });
        }
    }
}

/// Whether a program is watched that listens somewhere.
pub(super) fn has_listeners(model: &Model) -> bool {
    let program = model.last_sample().and_then(|sample| sample.kernel.program.as_ref());
    program.is_some_and(|program| program.ports().next().is_some())
}

/// Whether there is a client engine to pause, to speed up or to close.
pub(super) fn can_drive(model: &Model, view: &View) -> bool {
    view.remote.is_none() && model.engine(Role::Client).is_some_and(|e| e.alive)
}
