//! The machine interface: an object a line, each with the version of its keys.

use std::io::{self, Write};

use serde::Serialize;

use super::Output;
use crate::model::{Event, EventLine, Model, Summary};

/// Version of the machine interface. It rises when a key changes its meaning or goes; new keys leave it.
const SCHEMA: u32 = 2;

/// JSON objects.
#[derive(Debug)]
pub(super) struct Json;

impl Output for Json {
    fn sample(&mut self, to: &mut dyn Write, model: &Model) -> io::Result<()> {
        line(to, &model.sample_line())
    }

    fn event(&mut self, to: &mut dyn Write, event: &Event) -> io::Result<()> {
        line(to, &EventLine::from(event))
    }

    fn summary(&mut self, to: &mut dyn Write, _: &Model, summary: &Summary) -> io::Result<()> {
        line(to, summary)
    }
}

fn line(to: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    writeln!(to, "{}", object(value)?)
}

/// A value with its keys, and the version of the interface.
#[derive(Serialize)]
struct Versioned<'a, T> {
    schema: u32,
    #[serde(flatten)]
    value: &'a T,
}

/// One object of the machine interface, in one line.
///
/// # Errors
/// The value is not an object.
pub fn object(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&Versioned { schema: SCHEMA, value }).map(unobeyed)
}

/// JSON with nothing in it that a terminal obeys; it is read back as it was.
pub fn unobeyed(text: String) -> String {
    if !text.contains(is_obeyed) {
        return text;
    }
    // JSON escapes what is below a blank. A terminal obeys these too, and outside of strings there are none.
    let escape = |c: char| if is_obeyed(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// DEL and the control characters of Latin 1.
fn is_obeyed(c: char) -> bool {
    ('\u{7f}'..='\u{9f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Severity};

    #[test]
    fn each_object_has_its_version_and_nothing_that_a_terminal_obeys() {
        let text = "name \u{1b}[31m \u{9b}2J\n";
        let mut out = Vec::new();
        Json.event(&mut out, &Event::new(Kind::Program, Severity::Info, "a", text)).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with(r#"{"schema":2,"kind":"event","t_ms":0,"#), "{line}");
        assert!(!line.trim_end().contains(char::is_control), "{line:?}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["text"], text, "read back as it was");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(object(&[1, 2]).is_err());
    }
}
