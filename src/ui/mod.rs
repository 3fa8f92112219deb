//! Terminal, input, views, widgets, theme. Draws a [`crate::model::Model`]; touches neither `/proc` nor a network socket.
//!
//! | file | draws |
//! | --- | --- |
//! | `frame` | the layout for a size; calls the panels |
//! | `header`, `banner`, `statusbar`, `help` | what every screen has |
//! | `connections`, `next`, `limits`, `cost`, `events`, `engines`, `given`, `latency`, `strips`, `begin` | one panel each |
//! | `over_time` | what changes with time, on one axis |
//! | `program`, `peers` | a watched program: its processes and listeners; who is connected to one of them |
//! | `limit_table` | the screen of all limits, and what there is to know of the chosen one |
//! | `fleet` | the screen of a fleet: its sum, a row a worker |
//! | `chart`, `lines`, `zones`, `raster` | memory over connections or time |
//! | `panel`, `spark`, `digits`, `text` | box, bar, percentage; filled graphs; large digits; cut, pad, wrap |
//! | `theme`, `colours`, `glyphs` | every style and mark by its meaning; the colours behind it; the characters a terminal has |
//! | `panels`, `rows` | which panels there are and which has the focus; what is in a list, in which order, and which row is chosen |
//! | `keys`, `press`, `action` | the one table of keys; what a press does to the view; what it asks of the program |
//! | `choose`, `open`, `travel` | choosing a row; opening it and going back; the time cursor |
//! | `prompt`, `typing`, `commands` | the line that is being typed; what becomes of it; what can be typed after a colon |
//! | `state`, `notice` | what the viewer has chosen; what the footer says for a moment |
//! | [`terminal`], `outlet`, [`input`] | the terminal itself; the thread that writes to it; the one that reads |

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a screen draws counts far below 2^52 as floats, on at most 65535 lines and columns"
)]

mod action;
mod banner;
mod begin;
mod chart;
mod choose;
mod colours;
mod commands;
mod connections;
mod cost;
mod digits;
mod engines;
mod events;
mod fleet;
mod frame;
mod given;
mod glyphs;
mod header;
mod help;
pub mod input;
mod keys;
mod latency;
mod limit_table;
mod limits;
mod lines;
mod mouse;
mod next;
mod notice;
mod open;
mod outlet;
mod over_time;
mod panel;
mod panels;
mod peers;
mod playing;
mod press;
mod program;
mod prompt;
mod raster;
mod remote;
mod rows;
mod spark;
mod state;
mod statusbar;
mod strips;
pub mod terminal;
mod text;
mod theme;
mod travel;
mod typing;
mod zones;

pub use action::Action;
pub use colours::Depth;
pub use fleet::{Board, draw as draw_fleet};
pub use frame::draw;
pub use glyphs::Charset;
pub use input::Input;
pub use keys::{Keys, Screen, Stroke, keys_table};
pub use outlet::Wake;
pub use playing::Playing;
pub use remote::Remote;
pub use state::View;
pub use terminal::Terminal;
pub use theme::{Marker, Palette, Theme};
