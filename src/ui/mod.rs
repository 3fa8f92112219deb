//! Terminal, input, views, widgets, theme. Draws a [`crate::model::Model`]; touches neither `/proc` nor a network socket.
//!
//! | file | draws |
//! | --- | --- |
//! | `frame` | the layout for a size; calls the panels |
//! | `header`, `banner`, `statusbar`, `help` | what every screen has |
//! | `connections`, `limits`, `cost`, `events`, `engines` | one panel each |
//! | `program`, `peers` | a watched program: its processes and listeners; who is connected to one of them |
//! | `limit_table` | the screen of all limits, and what there is to know of the chosen one |
//! | `chart`, `lines`, `raster` | memory over connections or time |
//! | `panel`, `text` | rule, bar, percentage; cut, pad, wrap |
//! | `theme` | every colour and mark |
//! | `keys`, `state` | the one table of keys, and what they change |
//! | [`terminal`], [`input`] | the terminal itself |

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a screen draws counts far below 2^52 as floats, on at most 65535 lines and columns"
)]

mod banner;
mod chart;
mod connections;
mod cost;
mod engines;
mod events;
mod frame;
mod header;
mod help;
pub mod input;
mod keys;
mod limit_table;
mod limits;
mod lines;
mod panel;
mod peers;
mod program;
mod raster;
mod state;
mod statusbar;
pub mod terminal;
mod text;
mod theme;

pub use frame::draw;
pub use input::Input;
pub use keys::{Screen, readme_table};
pub use state::{Action, View};
pub use terminal::Terminal;
pub use theme::{Marker, Palette, Theme};
