//! The reader thread: keys and resizes from the terminal into the program's one channel.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossterm::event::{self, Event, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};

use crate::sys::{self, Wait};

/// How long crossterm may look: with none at all its level-triggered source (`use-dev-tty`) does not look even once.
const LOOK: Duration = Duration::from_millis(10);

/// What the terminal sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A key was pressed or repeats.
    Key(KeyEvent),
    /// The size has changed: draw again.
    Resize,
    /// The terminal has taken a frame while others were dropped: there is a newer one to draw.
    Free,
    /// The mouse, which is ours: a press, or the wheel.
    Mouse(MouseEvent),
    /// The terminal is gone. Nothing follows.
    Gone,
}

/// How long to wait for a key before looking whether anybody still listens. A terminal that vanishes ends the wait at once.
const TICK: Duration = Duration::from_millis(500);

/// The descriptor crossterm reads: standard input, or the controlling terminal where that is redirected.
enum Tty {
    Stdin(io::Stdin),
    Opened(File),
}

impl Tty {
    fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() { Ok(Tty::Stdin(stdin)) } else { File::open("/dev/tty").map(Tty::Opened) }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Tty::Stdin(stdin) => stdin.as_fd(),
            Tty::Opened(file) => file.as_fd(),
        }
    }
}

/// Starts the reader thread. It ends after [`Input::Gone`], or when the channel's receiver is dropped.
///
/// # Errors
/// When there is no terminal to read or the thread cannot be started.
pub fn spawn<T>(to: SyncSender<T>) -> io::Result<JoinHandle<()>>
where
    T: From<Input> + Send + 'static,
{
    let tty = Tty::open()?;
    thread::Builder::new().name("input".into()).spawn(move || run(&tty, &to))
}

fn run<T: From<Input>>(tty: &Tty, to: &SyncSender<T>) {
    loop {
        // crossterm 0.29 spins inside its own poll once the terminal is gone (read gives 0 or EIO for ever), so that it
        // must not be the one that waits: we wait, and let it look only at a terminal that is there.
        let gone = match sys::wait_readable(tty.fd(), TICK) {
            Wait::HungUp => true,
            // And only at one that has something: its level-triggered source spins through the last millisecond of every wait,
            // which ten times a second cost more than all samples. A resize is told by the program's own SIGWINCH.
            Wait::Ready => drain(to).is_err(),
            Wait::Nothing => false,
        };
        if gone {
            // The receiver may be gone as well; either way there is nothing more to read.
            let _ = to.send(Input::Gone.into());
            return;
        }
    }
}

/// Forwards everything crossterm has; an error when it cannot read or nobody listens.
fn drain<T: From<Input>>(to: &SyncSender<T>) -> io::Result<()> {
    while event::poll(LOOK)? {
        if let Some(input) = understood(&event::read()?) {
            to.send(input.into()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
    }
    Ok(())
}

/// The events that mean something here.
fn understood(event: &Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Input::Key(*key)),
        Event::Resize(..) => Some(Input::Resize),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) | MouseEventKind::ScrollUp | MouseEventKind::ScrollDown => {
                Some(Input::Mouse(*mouse))
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    #[test]
    fn a_release_is_not_a_second_press() {
        let mut key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(understood(&Event::Key(key)), Some(Input::Key(key)));
        key.kind = KeyEventKind::Release;
        assert_eq!(understood(&Event::Key(key)), None);
        assert_eq!(understood(&Event::Resize(80, 24)), Some(Input::Resize));
        assert_eq!(understood(&Event::FocusGained), None);
        let mouse = |kind| MouseEvent { kind, column: 3, row: 4, modifiers: KeyModifiers::NONE };
        let (press, moved) = (mouse(MouseEventKind::Down(MouseButton::Left)), mouse(MouseEventKind::Moved));
        assert_eq!(understood(&Event::Mouse(press)), Some(Input::Mouse(press)));
        assert_eq!(understood(&Event::Mouse(moved)), None);
    }
}
