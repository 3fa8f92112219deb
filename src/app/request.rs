//! What is asked of the metrics page over HTTP, and what is answered.

use std::sync::Arc;

use crate::output::metrics::Format;

/// Header lines of a request that are looked at.
const MOST_LINES: usize = 64;

/// Where the page is.
pub(super) const PATH: &str = "/metrics";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// The page.
    Page {
        format: Format,
        /// Not its text, only how long it is.
        head_only: bool,
    },
    /// What there is.
    Root { head_only: bool },
    /// Something that there is not.
    Missing,
    /// Something other than to read.
    Method,
    /// It comes with a body.
    Body,
    /// Its head is too long.
    TooLong,
    /// It is no HTTP.
    Unreadable,
}

/// Reads a request's head; `None` while it is not whole.
pub(super) fn read(bytes: &[u8], most: usize) -> Option<Head> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() >= most => Some(Head::TooLong),
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(length)) if length > most => Some(Head::TooLong),
        Err(httparse::Error::TooManyHeaders) => Some(Head::TooLong),
        Err(_) => Some(Head::Unreadable),
        Ok(httparse::Status::Complete(_)) => Some(head(&request)),
    }
}

fn head(request: &httparse::Request<'_, '_>) -> Head {
    let values = |name: &'static str| {
        let lines = request.headers.iter().filter(move |line| line.name.eq_ignore_ascii_case(name));
        lines.filter_map(|line| std::str::from_utf8(line.value).ok())
    };
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Head::Method,
    };
    if values("transfer-encoding").next().is_some() || values("content-length").any(|n| n.trim() != "0") {
        return Head::Body;
    }
    match request.path.map(|path| path.split('?').next().unwrap_or(path)) {
        Some(PATH) => Head::Page { format: format(&values("accept").collect::<Vec<_>>().join(",")), head_only },
        Some("/") => Head::Root { head_only },
        _ => Head::Missing,
    }
}

/// The format that is preferred: `OpenMetrics` where it is named, and the other is not preferred to it.
fn format(accept: &str) -> Format {
    let wish = |name: &str| {
        let named = accept.split(',').filter_map(|part| {
            let mut parts = part.split(';').map(str::trim);
            let kind = parts.next()?;
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f64>().ok())?;
            kind.eq_ignore_ascii_case(name).then_some(weight)
        });
        named.fold(0.0, f64::max)
    };
    let open = wish("application/openmetrics-text");
    if open > 0.0 && open >= wish("text/plain") { Format::OpenMetrics } else { Format::Prometheus }
}

/// What is sent back.
#[derive(Debug)]
pub(super) struct Answer {
    head: String,
    page: Option<Arc<str>>,
    head_only: bool,
}

impl Answer {
    /// To a request; the page is made only where it is asked for.
    pub(super) fn to(request: Head, page: impl FnOnce(Format) -> Option<Arc<str>>) -> Self {
        const PLAIN: &str = "text/plain; charset=utf-8";
        let said = |status, text: &str, head_only| Self::of(status, PLAIN, "", Arc::from(text), head_only);
        match request {
            Head::Page { format, head_only } => match page(format) {
                Some(page) => Self::of("200 OK", format.content_type(), "", page, head_only),
                None => said("503 Service Unavailable", "There are no figures yet.\n", head_only),
            },
            Head::Root { head_only } => said("200 OK", "c1m-top: the metrics are at /metrics\n", head_only),
            Head::Missing => said("404 Not Found", "The metrics are at /metrics\n", false),
            Head::Method => {
                let text = Arc::from("Metrics can only be read (GET, HEAD).\n");
                Self::of("405 Method Not Allowed", PLAIN, "Allow: GET, HEAD\r\n", text, false)
            }
            Head::Body => said("413 Content Too Large", "A request for metrics has no body.\n", false),
            Head::TooLong => said("431 Request Header Fields Too Large", "The request's head is too long.\n", false),
            Head::Unreadable => said("400 Bad Request", "This is not an HTTP request.\n", false),
        }
    }

    fn of(status: &str, kind: &str, more: &str, page: Arc<str>, head_only: bool) -> Self {
        let length = page.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
        );
        Self { head, page: Some(page), head_only }
    }

    /// What is left after so many bytes, as far as it is in one piece.
    pub(super) fn rest(&self, sent: usize) -> &[u8] {
        let body = self.page.as_ref().filter(|_| !self.head_only).map_or(&[][..], |page| page.as_bytes());
        match sent.checked_sub(self.head.len()) {
            None => &self.head.as_bytes()[sent..],
            Some(sent) => body.get(sent..).unwrap_or_default(),
        }
    }

    /// The text that was sent, where it was.
    pub(super) fn page(&self) -> Option<&Arc<str>> {
        self.page.as_ref().filter(|_| !self.head_only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8192;

    fn asked(text: &str) -> Option<Head> {
        read(text.as_bytes(), MOST)
    }

    #[test]
    fn requests_are_read_as_they_are_meant() {
        let page = |format| Some(Head::Page { format, head_only: false });
        // What Prometheus 2.42 sends.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (text, want) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), page(Format::Prometheus)),
            (format!("GET /metrics HTTP/1.1\r\naccept: {prometheus}\r\n\r\n"), page(Format::OpenMetrics)),
            ("GET /metrics?a=b HTTP/1.0\r\n\r\n".to_owned(), page(Format::Prometheus)),
            (
                "GET /metrics HTTP/1.1\r\nAccept: text/plain, application/openmetrics-text;q=0.5\r\n\r\n".to_owned(),
                page(Format::Prometheus),
            ),
            (
                "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;q=0\r\n\r\n".to_owned(),
                page(Format::Prometheus),
            ),
            ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), Some(Head::Root { head_only: true })),
            ("GET /metrics/ HTTP/1.1\r\n\r\n".to_owned(), Some(Head::Missing)),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned(), Some(Head::Method)),
            ("GET /metrics HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n".to_owned(), Some(Head::Body)),
            ("GET /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), page(Format::Prometheus)),
            ("\u{16}\u{3}\u{1} tls".to_owned(), Some(Head::Unreadable)),
            ("GET /metrics HTTP/1.1\r\nHos".to_owned(), None),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MOST)), Some(Head::TooLong)),
            (format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MOST)), Some(Head::TooLong)),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MOST_LINES + 1)), Some(Head::TooLong)),
        ] {
            assert_eq!(asked(&text), want, "{text}");
        }
    }

    #[test]
    fn an_answer_says_how_long_it_is_and_a_head_has_no_text() {
        let answer = |text: &str| {
            let answer = Answer::to(asked(text).unwrap(), |_| Some(Arc::from("a 1\n")));
            let mut all = Vec::new();
            while !answer.rest(all.len()).is_empty() {
                // A byte at a time.
                all.push(answer.rest(all.len())[0]);
            }
            String::from_utf8(all).unwrap()
        };
        let got = answer("GET /metrics HTTP/1.1\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{got}");
        assert!(got.contains("Content-Length: 4\r\n") && got.ends_with("\r\n\r\na 1\n"), "{got}");
        let head = answer("HEAD /metrics HTTP/1.1\r\n\r\n");
        assert_eq!(head, got.trim_end_matches("a 1\n"));
        assert!(answer("PUT / HTTP/1.1\r\n\r\n").contains("Allow: GET, HEAD\r\n"));
        let none = Answer::to(asked("GET /metrics HTTP/1.1\r\n\r\n").unwrap(), |_| None);
        assert!(none.rest(0).starts_with(b"HTTP/1.1 503 "));
    }
}
