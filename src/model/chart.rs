//! What the memory chart shows, as data: curves, limit lines, the slope carried on.

/// What runs along the x axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XAxis {
    /// Connections.
    #[default]
    Connections,
    /// Seconds since the start.
    Time,
}

/// How far the axes reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// What has been measured.
    Data,
    /// Up to the target.
    Target,
    /// Up to the limit that comes first.
    FirstLimit,
    /// Every limit within twenty times the target, the first one wherever it is, and all of the memory.
    Everything,
}

impl Range {
    /// All of them, the nearest first.
    pub const ALL: [Self; 4] = [Self::Data, Self::Target, Self::FirstLimit, Self::Everything];

    /// The next one, and after the last the first.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// How far, in words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "measured",
            Self::Target => "to target",
            Self::FirstLimit => "to first limit",
            Self::Everything => "all limits",
        }
    }
}

/// Memory by what happens when so much is in use, from one size to another, bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zone {
    /// What it is.
    pub kind: ZoneKind,
    /// Where it begins.
    pub from: f64,
    /// Where it ends; infinite for what is above everything.
    pub to: f64,
}

/// See [`Zone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneKind {
    /// What may be used.
    Safe,
    /// The guard stops a ramp before it.
    Guard,
    /// The kernel kills here.
    Oom,
}

/// One curve. Points are (x, bytes); a gap in the data separates segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Short name: `memory in use`, `socket slab`.
    pub label: &'static str,
    /// Runs of points without a gap, each in the order of time.
    pub segments: Vec<Vec<(f64, f64)>>,
}

/// A limit as a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Label at the line: `memory 23.5 GiB`, `file-max at 1.23 M`.
    pub label: String,
    /// Where.
    pub at: LineAt,
    /// Whether this is the limit that comes first.
    pub nearest: bool,
}

/// Which way a limit line runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LineAt {
    /// Horizontal, at so many bytes.
    Bytes(f64),
    /// Vertical, at so many connections.
    Connections(f64),
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chart {
    /// What x is.
    pub x: XAxis,
    /// Whose memory it is; `None` is the machine's.
    pub of: Option<String>,
    /// Curves, the most important first.
    pub curves: Vec<Curve>,
    /// Limit lines within or just beyond the axes.
    pub lines: Vec<Line>,
    /// What happens at which size, the lowest first; empty where what is drawn is not bounded by the machine or a cgroup.
    pub zones: Vec<Zone>,
    /// How far the axes reach, where somebody or something chose.
    pub range: Option<Range>,
    /// Where the target is, connections; `None` without one.
    pub target: Option<u64>,
    /// The measured slope from the last point to the first limit: two points, or none while there is no slope.
    pub forecast: Option<[(f64, f64); 2]>,
    /// How far above and below its end the forecast may be off, y; 0 without one.
    pub band: f64,
    /// Axis bounds (low, high) of x: covers data, target and the nearest limit where sensible; changes in 1-2-5 steps so
    /// that the picture does not crawl.
    pub x_bounds: (f64, f64),
    /// Axis bounds of y, bytes.
    pub y_bounds: (f64, f64),
}
