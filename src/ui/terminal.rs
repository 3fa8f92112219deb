//! The terminal as a resource: taken once, given back on every way out.

use std::any::Any;
use std::io::{self, BufWriter, Stdout, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue, terminal};
use ratatui::Frame;
use ratatui::backend::{Backend, ClearType, CrosstermBackend};
use ratatui::layout::{Position, Rect};

/// Whether the screen is ours now. Swapped, so that the terminal is given back exactly once whoever comes first.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// What a helper thread said when it panicked while the screen was ours.
static HELPER_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// A frame of 200x60 cells with colours is some 40 KiB: one buffer, one write, no tearing.
const FRAME_BYTES: usize = 64 * 1024;

/// The terminal in raw mode on the alternate screen; given back when dropped.
#[derive(Debug)]
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    /// Takes the terminal and installs the panic hook. The mouse is not captured, so that text can be selected.
    ///
    /// # Errors
    /// When the terminal refuses raw mode or cannot be written to; it is as before then.
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| install_panic_hook(thread::current().id()));
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        Self::start().inspect_err(|_| restore())
    }

    fn start() -> io::Result<Self> {
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, io::stdout()));
        let mut inner = ratatui::Terminal::new(backend)?;
        // Not Terminal::clear(): ratatui 0.30.1 and 0.30.2 ask the terminal for the cursor there, and one that does not
        // answer stalls us for 2 s.
        inner.backend_mut().clear_region(ClearType::All)?;
        Ok(Self { inner })
    }

    /// Makes the next frame a whole one: what the terminal did with the screen when its size changed is not known, not even
    /// when the size is the one before again.
    ///
    /// # Errors
    /// When the terminal cannot be written to: it is gone.
    pub fn repaint(&mut self) -> io::Result<()> {
        let size = self.inner.size()?;
        // Clears and forgets what was drawn, without asking the terminal for the cursor.
        self.inner.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Draws one frame, wrapped in a synchronized update so that it appears at once.
    ///
    /// # Errors
    /// When the terminal cannot be written to: it is gone.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        self.inner.draw(render)?;
        queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        Write::flush(self.inner.backend_mut())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back if it is ours: for a signal's thread, a panic, an early exit. Any thread, any number of times.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nothing is left to do about an error here: the terminal is gone or we are leaving anyway.
        let _ = terminal::disable_raw_mode();
        let _ = execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, cursor::Show);
    }
}

/// The panic of a helper thread, once: the screen shows it as a banner.
pub fn take_helper_panic() -> Option<String> {
    HELPER_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A panic on the UI's thread restores, then prints; on another thread it must not write across the screen and is kept
/// for the banner.
fn install_panic_hook(ui: ThreadId) {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let current = thread::current();
        if TAKEN.load(Ordering::SeqCst) && current.id() != ui {
            let place = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
            let text = format!(
                "thread {} failed{place}: {}",
                current.name().unwrap_or("without a name"),
                message(info.payload())
            );
            *HELPER_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        } else {
            restore();
            previous(info);
        }
    }));
}

/// The text of a panic.
fn message(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_text_is_found_in_both_forms() {
        assert_eq!(message(&"literal"), "literal");
        assert_eq!(message(&String::from("made")), "made");
        assert_eq!(message(&7), "no message");
    }

    #[test]
    fn restoring_what_was_never_taken_writes_nothing() {
        assert!(!TAKEN.load(Ordering::SeqCst));
        restore();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }
}
