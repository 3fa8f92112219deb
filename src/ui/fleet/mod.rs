//! The screen of a fleet: all of its workers as one, and a row for each.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `board` | what is known of the fleet, and what the viewer has chosen |
//! | `frame` | what is where at which size |
//! | `total`, `next` | the sum; what will stop it, and whether anything is wrong |
//! | `rows`, `table`, `cells` | which workers are listed; the list; what stands in a row |
//! | `worker` | one worker, opened |
//! | `events`, `memory` | what happened, with its host; the server's memory over the fleet's connections |
//! | `here`, `press`, `footer` | which keys mean something here; what they do; how they are shown |

mod board;
mod cells;
mod events;
mod footer;
mod frame;
mod here;
mod memory;
mod next;
mod press;
mod rows;
mod table;
mod total;
mod worker;

pub use board::Board;
pub use frame::draw;
