//! The terminal as a resource: taken once, given back on every way out.

use std::any::Any;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use crossterm::clipboard::CopyToClipboard;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue, style, terminal};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect, Size};

use super::outlet::{self, Collector, Outlet, Wake};

/// Whether the screen is ours now. Swapped, so that the terminal is given back exactly once whoever comes first.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the mouse is ours as well.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// What a helper thread said when it panicked while the screen was ours.
static HELPER_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// In every cell of a buffer, it makes the next frame a whole one: of a plane for private use, nothing drawn is ever this.
const NEVER_DRAWN: &str = "\u{f0000}";

/// Taken by its presses and its wheel, in coordinates that go beyond column 223 (SGR). Not crossterm's own, which also asks
/// for every movement.
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// The terminal in raw mode on the alternate screen; given back when dropped.
#[derive(Debug)]
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Collector>>,
    out: Rc<RefCell<Outlet>>,
    size: Size,
}

impl Terminal {
    /// Takes the terminal and installs the panic hook. The mouse is not captured, so that text can be selected. `wake` is
    /// called when the terminal is free again after a frame was dropped.
    ///
    /// # Errors
    /// When the terminal refuses raw mode or cannot be written to; it is as before then.
    pub fn enter(wake: Wake) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| install_panic_hook(thread::current().id()));
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        Self::start(wake).inspect_err(|_| restore())
    }

    fn start(wake: Wake) -> io::Result<Self> {
        // The theme knows of NO_COLOR; whoever asks for colours in spite of it shall have them.
        style::force_color_output(true);
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide, terminal::Clear(terminal::ClearType::All))?;
        // Past the standard library's buffer, which looks for ends of lines.
        let direct = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let out = Rc::new(RefCell::new(Outlet::start(direct, wake)?));
        let inner = ratatui::Terminal::new(CrosstermBackend::new(Collector(Rc::clone(&out))))?;
        let size = inner.size()?;
        Ok(Self { inner, out, size })
    }

    /// Makes the next frame a whole one: what the terminal did with the screen when its size changed is not known, not even
    /// when the size is the one before again. Every cell is written over; nothing is cleared, so that nothing flickers.
    ///
    /// # Errors
    /// When the terminal cannot be written to: it is gone.
    pub fn repaint(&mut self) -> io::Result<()> {
        self.size = self.inner.size()?;
        let collected = self.out.borrow().len();
        self.inner.resize(Rect::from((Position::ORIGIN, self.size)))?;
        // ratatui clears the screen there.
        self.out.borrow_mut().truncate(collected);
        for cell in &mut self.inner.current_buffer_mut().content {
            cell.set_symbol(NEVER_DRAWN);
        }
        self.inner.swap_buffers();
        Ok(())
    }

    /// Draws one frame, wrapped in a synchronized update so that it appears at once. False where the terminal has not yet
    /// taken the last one: this one is dropped, and `wake` tells when to draw again.
    ///
    /// # Errors
    /// When the terminal cannot be written to: it is gone.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<bool> {
        if !self.out.borrow_mut().is_free()? {
            return Ok(false);
        }
        if self.inner.size()? != self.size {
            self.repaint()?;
        }
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        self.inner.draw(render)?;
        queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        self.out.borrow_mut().send()?;
        Ok(true)
    }

    /// Sends `text` to the terminal's clipboard (OSC 52). Whether it is taken the terminal does not say.
    ///
    /// # Errors
    /// When the terminal cannot be written to: it is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.inner.backend_mut(), CopyToClipboard::to_clipboard_from(text))?;
        self.out.borrow_mut().send()
    }

    /// Takes the mouse, or gives it back so that text can be selected.
    ///
    /// # Errors
    /// When the terminal cannot be written to: it is gone.
    pub fn mouse(&mut self, on: bool) -> io::Result<()> {
        MOUSE.store(on, Ordering::SeqCst);
        let mut outlet = self.out.borrow_mut();
        outlet.write_all(if on { MOUSE_ON } else { MOUSE_OFF })?;
        outlet.send()
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
        let mouse = MOUSE.swap(false, Ordering::SeqCst);
        // Nothing is left to do about an error here: the terminal is gone or we are leaving anyway.
        outlet::leave(|| {
            let mut out = io::stdout();
            // CAN ends a sequence that was cut short.
            let _ = out.write_all(b"\x18");
            if mouse {
                let _ = out.write_all(MOUSE_OFF);
            }
            let _ = execute!(out, EndSynchronizedUpdate, LeaveAlternateScreen, cursor::Show);
        });
        let _ = terminal::disable_raw_mode();
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
