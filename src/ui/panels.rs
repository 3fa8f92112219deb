//! The panels of the screen: what they are called, in which one rows can be chosen, which one has the focus.

use ratatui::layout::Rect;

/// One panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Panel {
    /// How many connections, of how many, how fast.
    Count,
    /// What will stop it, and when.
    Next,
    /// Memory over connections.
    Memory,
    /// What changes with time, on one axis.
    OverTime,
    /// The limits, a row each.
    Limits,
    /// What one connection costs.
    Cost,
    /// What happened.
    #[default]
    Events,
    /// The engines of a run.
    Engines,
    /// The processes of a watched program.
    Processes,
    /// What a watched program listens on.
    Listeners,
    /// Who is connected to one of its ports.
    Peers,
    /// How long connects and echoes take.
    Latency,
    /// How connections are spread over tables, ports and sources.
    Strips,
    /// How to begin, where nothing is watched.
    Begin,
}

impl Panel {
    /// Its name, as a person says it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Panel::Count => "Connections",
            Panel::Next => "Next limit",
            Panel::Memory => "Memory",
            Panel::OverTime => "Over time",
            Panel::Limits => "Limits",
            Panel::Cost => "Cost",
            Panel::Events => "Events",
            Panel::Engines => "Engines",
            Panel::Processes => "Processes",
            Panel::Listeners => "Listeners",
            Panel::Peers => "Peers",
            Panel::Latency => "Latency",
            Panel::Strips => "Spread",
            Panel::Begin => "How to begin",
        }
    }

    /// Whether it has rows of which one is chosen.
    pub(super) fn has_rows(self) -> bool {
        matches!(self, Panel::Limits | Panel::Events | Panel::Processes | Panel::Listeners | Panel::Peers)
    }

    /// Whether its rows can be filtered and sorted.
    pub(super) fn is_sorted(self) -> bool {
        self.has_rows() && self != Panel::Peers
    }
}

/// The panel that has the focus: the one that is wanted, or where that is not on the screen the first one with rows, or the first.
pub(super) fn focused(wanted: Panel, on_screen: &[(Panel, Rect)]) -> Option<Panel> {
    let panels = || on_screen.iter().map(|(panel, _)| *panel);
    panels().find(|panel| *panel == wanted).or_else(|| panels().find(|p| p.has_rows())).or_else(|| panels().next())
}

/// The panel `steps` after the one that has the focus, in the order of the screen and round again.
pub(super) fn after(wanted: Panel, on_screen: &[(Panel, Rect)], steps: isize) -> Option<Panel> {
    let now = focused(wanted, on_screen)?;
    let place = on_screen.iter().position(|(panel, _)| *panel == now)?;
    let many = on_screen.len().cast_signed();
    on_screen.get((place.cast_signed() + steps).rem_euclid(many).cast_unsigned()).map(|(panel, _)| *panel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_focus_goes_round_and_stays_on_the_screen() {
        let screen = [(Panel::Count, Rect::ZERO), (Panel::Memory, Rect::ZERO), (Panel::Limits, Rect::ZERO)];
        assert_eq!(focused(Panel::Memory, &screen), Some(Panel::Memory));
        assert_eq!(focused(Panel::Events, &screen), Some(Panel::Limits), "not there: the first with rows");
        assert_eq!(focused(Panel::Events, &screen[..2]), Some(Panel::Count));
        assert_eq!(focused(Panel::Events, &[]), None);
        for (from, steps, to) in [
            (Panel::Count, 1, Panel::Memory),
            (Panel::Limits, 1, Panel::Count),
            (Panel::Count, -1, Panel::Limits),
            (Panel::Events, 1, Panel::Count),
        ] {
            assert_eq!(after(from, &screen, steps), Some(to), "{from:?} {steps}");
        }
        assert_eq!(after(Panel::Count, &[], 1), None);
    }
}
