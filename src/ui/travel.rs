//! The time cursor: one for every chart; moved back from now it is the scroll back.

use super::action::Action;
use super::playing::Playing;
use super::state::View;
use crate::model::{Model, Quantity};
use crate::units;

/// One step of the cursor is this part of the run, but a whole number of seconds and one at least.
const STEPS: u64 = 300;

/// Moments in which a count is looked for.
const MOMENTS: usize = 600;

impl View {
    /// A replay is at this moment, milliseconds since the dashboard started (`None`: at the end), and goes on so.
    pub fn play(&mut self, at: Option<u64>, playing: Playing) {
        self.cursor = at;
        self.playing = Some(playing);
        if at.is_none() {
            self.past = None;
        }
    }

    /// The last moment there is.
    fn end(&self, model: &Model) -> u64 {
        self.frozen.as_deref().unwrap_or(model).now().t_ms
    }

    /// Moves the time cursor.
    fn seek(&mut self, model: &Model, to: u64) -> Action {
        let end = self.end(model);
        let start = model.timespan().map_or(0, |(start, _)| start);
        if to >= end {
            return self.back_to_now();
        }
        let to = to.max(start.min(end));
        if self.cursor == Some(to) && to == start {
            self.say("the run begins here");
        }
        self.cursor = Some(to);
        Action::Seek(self.cursor)
    }

    /// The time cursor is where now is.
    pub(super) fn back_to_now(&mut self) -> Action {
        self.say(if self.cursor.is_some() { "back to now" } else { "already at now" });
        (self.cursor, self.past) = (None, None);
        Action::Seek(None)
    }

    /// Moves the time cursor by so many steps; at the end of time it is now again.
    pub(super) fn travel(&mut self, model: &Model, steps: i64) -> Action {
        let end = self.end(model);
        let one = (end / STEPS / 1000).max(1) * 1000;
        let from = self.cursor.unwrap_or(end);
        let to = from.saturating_add_signed(steps.saturating_mul(one.cast_signed()));
        if self.cursor.is_none() && steps > 0 {
            return self.back_to_now();
        }
        // Steps fall on whole ones, so that there and back again is the same moment.
        let to = if steps < 0 { to.div_ceil(one) * one } else { to / one * one };
        self.seek(model, if to == from && steps < 0 { from.saturating_sub(one) } else { to })
    }

    /// Moves the time cursor to the event before it, or after.
    pub(super) fn seek_event(&mut self, model: &Model, later: bool) -> Action {
        let from = self.cursor.unwrap_or_else(|| self.end(model));
        let times = model.events().all().iter().map(|e| (e.t_ms, e.text.clone()));
        let next = if later {
            times.filter(|(t, _)| *t > from).min_by_key(|(t, _)| *t)
        } else {
            times.filter(|(t, _)| *t < from).max_by_key(|(t, _)| *t)
        };
        let Some((at, text)) = next else {
            self.say(if later { "no later event" } else { "no earlier event" });
            return Action::Redraw;
        };
        let action = self.seek(model, at);
        self.say(format!("{}  {text}", units::clock(at)));
        action
    }

    /// Moves the time cursor to a time, milliseconds since the start.
    pub(super) fn seek_time(&mut self, model: &Model, at: u64) -> Action {
        let end = self.end(model);
        let action = self.seek(model, at);
        if at > end {
            self.say(format!("the run is only {} old: this is now", units::clock(end)));
        }
        action
    }

    /// Moves the time cursor to the first moment at which so many connections were open.
    pub(super) fn seek_count(&mut self, model: &Model, count: u64) -> Action {
        let Some((start, end)) = model.timespan().filter(|(start, end)| end > start) else {
            self.say("nothing recorded yet");
            return Action::Redraw;
        };
        let columns = model.over_time(Quantity::Connections, (start, end), MOMENTS);
        let place = columns.iter().position(|open| *open >= count as f64);
        let Some(place) = place else {
            let most = columns.iter().copied().fold(0.0, f64::max);
            let most = units::grouped(units::whole(most));
            self.say(format!("not yet at {} connections: the most so far is {most}", units::grouped(count)));
            return Action::Redraw;
        };
        let step = (end - start) as f64 / columns.len() as f64;
        self.seek(model, start + units::whole(step * place as f64))
    }
}
