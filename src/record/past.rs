//! Any moment of a recording: the run as it was then, made from the nearest state that was kept on the way there.

use super::course::Course;
use super::read::{Entries, Recording};

/// States that are kept. More make a seek shorter and cost memory: one is a model, though most of its history is shared with the
/// one before.
const MOST: usize = 300;

/// The past of a recording.
#[derive(Debug)]
pub struct Past {
    /// States before a frame, in order.
    kept: Vec<(usize, Course)>,
    /// Frames between two of them.
    stride: usize,
    /// The first frame that no state leads up to.
    known: usize,
    /// The state before the frame that was looked at last: what is played goes on from there.
    here: Option<(usize, Course)>,
}

impl Default for Past {
    fn default() -> Self {
        Self { kept: Vec::new(), stride: 1, known: 0, here: None }
    }
}

impl Past {
    /// Plays the recording from the beginning, or on from where it was left, for one frame; whether there was one. Until it has
    /// come to the end a seek beyond what it has reached takes as long as playing up to there.
    pub fn prepare(&mut self, recording: &Recording) -> bool {
        if self.known >= recording.frames() {
            return false;
        }
        let (frame, mut course) = self.nearest(recording, self.known);
        let to = (frame + self.stride).max(self.known + 1).min(recording.frames());
        play(recording, frame, to, &mut course);
        self.keep(to, course);
        true
    }

    /// How many states are kept.
    #[cfg(test)]
    pub(crate) fn states(&self) -> usize {
        self.kept.len() + usize::from(self.here.is_some())
    }

    /// The run as far as it has been prepared.
    pub fn furthest(&self) -> Option<&Course> {
        self.kept.last().map(|(_, course)| course)
    }

    /// The run as it was at this moment, milliseconds since the dashboard started: after the last sample up to then, with what
    /// was told of it.
    pub fn at(&mut self, recording: &Recording, t_ms: u64) -> Course {
        let frame = recording.frame_of(t_ms);
        let (from, mut course) = self.nearest(recording, frame);
        // On the way past what is known states are kept as if it had been prepared.
        let mut at = from;
        while at + self.stride <= frame {
            let to = at + self.stride;
            play(recording, at, to, &mut course);
            if to > self.known {
                self.keep(to, course.clone());
            }
            at = to;
        }
        play(recording, at, frame, &mut course);
        self.here = Some((frame, course.clone()));
        for entry in recording.entries_of(frame) {
            // What is told after a sample is of its moment.
            if entry.t_ms().is_some_and(|t| t > t_ms) {
                break;
            }
            course.take(&entry);
        }
        course
    }

    /// The state that is kept nearest before a frame, or the beginning.
    fn nearest(&self, recording: &Recording, frame: usize) -> (usize, Course) {
        let after = self.kept.partition_point(|(kept, _)| *kept <= frame);
        let kept = after.checked_sub(1).and_then(|i| self.kept.get(i));
        let here = self.here.as_ref().filter(|(here, _)| *here <= frame);
        match kept.into_iter().chain(here).max_by_key(|(at, _)| *at) {
            Some((at, course)) => (*at, course.clone()),
            None => (0, Course::new(recording.header().setup.clone())),
        }
    }

    /// Keeps a state, and every other one alone where they become too many.
    fn keep(&mut self, frame: usize, course: Course) {
        self.known = self.known.max(frame);
        self.kept.push((frame, course));
        if self.kept.len() > MOST {
            // The last one stays: it is gone on from.
            let mut left = self.kept.len();
            self.kept.retain(|_| {
                left -= 1;
                left.is_multiple_of(2)
            });
            self.stride *= 2;
        }
    }
}

/// Plays the frames from one up to another.
fn play(recording: &Recording, from: usize, to: usize, course: &mut Course) {
    if from < to {
        let mut entries: Entries<'_> = recording.entries_of(from);
        while let Some(entry) = entries.next_within(to) {
            course.take(&entry);
        }
    }
}
