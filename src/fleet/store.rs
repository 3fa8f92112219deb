//! The connection to the store: never waits for more than a second or two, and says in one line what is wrong.

use std::fmt;
use std::time::{Duration, Instant};

use redis::{Client, Connection, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerError};

use super::address::Address;
use super::clock::StoreClock;

/// How long a connect, or an answer, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Round trips that tell the store's time when a connection is new.
const READINGS: usize = 8;

/// What is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// It does not answer, or not yet: it may come back.
    Away(String),
    /// It answers, and does not let this program in or is none.
    Unusable(String),
}

/// Without where the store is.
impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Away(text) | StoreError::Unusable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StoreError {}

/// The store, and its clock.
pub(super) struct Store {
    client: Client,
    connection: Option<Connection>,
    shown: String,
    origin: Instant,
    clock: StoreClock,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("address", &self.shown).field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Store {
    /// The store of an address. Nothing is connected yet. `authority` are the certificates of the one that signed its own, PEM;
    /// without them those of the system count.
    ///
    /// # Errors
    /// One line: what cannot be.
    pub(super) fn new(address: &Address, authority: Option<&[u8]>) -> Result<Self, String> {
        let client = client(address, authority)?;
        let shown = address.to_string();
        Ok(Self { client, connection: None, shown, origin: Instant::now(), clock: StoreClock::default() })
    }

    /// Where it is, without user and password.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Connects, where it is not connected.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn connect(&mut self) -> Result<(), StoreError> {
        if self.connection.as_ref().is_some_and(redis::ConnectionLike::is_open) {
            return Ok(());
        }
        self.connection = None;
        let connected = self.client.get_connection_with_timeout(PATIENCE).and_then(|connection| {
            connection.set_read_timeout(Some(PATIENCE))?;
            connection.set_write_timeout(Some(PATIENCE))?;
            Ok(connection)
        });
        self.connection = Some(connected.map_err(|e| Self::explain(&e))?);
        for _ in 0..READINGS {
            self.read_clock()?;
        }
        Ok(())
    }

    /// One more reading of its clock.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn read_clock(&mut self) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("TIME");
        let before = self.mono_us(Instant::now());
        let ((seconds, micros),): ((u64, u64),) = self.ask(&pipe)?;
        let after = self.mono_us(Instant::now());
        self.clock.read(before, seconds.saturating_mul(1_000_000).saturating_add(micros), after);
        Ok(())
    }

    /// Sends commands, and waits for all answers.
    ///
    /// # Errors
    /// What is wrong; the connection is given up, for an answer may still be under way.
    pub(super) fn ask<T: FromRedisValue>(&mut self, pipe: &Pipeline) -> Result<T, StoreError> {
        let Some(connection) = &mut self.connection else {
            return Err(StoreError::Away("it is not connected".to_owned()));
        };
        pipe.query(connection).map_err(|e| {
            let error = Self::explain(&e);
            self.connection = None;
            error
        })
    }

    /// Its clock.
    pub(super) fn clock(&self) -> &StoreClock {
        &self.clock
    }

    /// A moment on this process' own scale, microseconds.
    pub(super) fn mono_us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }

    /// The moment that a number on that scale stands for.
    pub(super) fn instant(&self, mono_us: u64) -> Instant {
        self.origin + Duration::from_micros(mono_us)
    }

    /// Its time now, microseconds since the Unix epoch.
    pub(super) fn now_us(&self) -> u64 {
        self.clock.store_us(self.mono_us(Instant::now()))
    }

    /// In a sentence, without anything that is secret: what the library writes may quote an answer, but never what was sent.
    fn explain(e: &RedisError) -> StoreError {
        // Of a row of commands the first that failed says why.
        let failed = e.clone().into_server_errors();
        let first = failed.as_ref().and_then(|all| all.first()).map(|(_, error)| error);
        let code = first.map(ServerError::code).or(e.code()).unwrap_or_default();
        let detail = first.map_or(e.detail(), ServerError::details).unwrap_or_default();
        let unusable = |text: &str| StoreError::Unusable(text.to_owned());
        match (e.kind(), code) {
            (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS") => unusable("it refuses the user or the password"),
            (_, "NOAUTH") => unusable("it requires a password: redis://:PASSWORD@HOST/NAME, best in C1M_FLEET"),
            (_, "NOPERM") => unusable("its user may not use the commands and keys of a fleet"),
            (_, "WRONGTYPE") => unusable("another program uses this fleet's keys: choose another name"),
            (_, "READONLY") => unusable("it is a replica, which takes no writes: name the primary"),
            (_, "OOM") => StoreError::Away("it is out of memory".to_owned()),
            (_, "DENIED") => unusable("it runs in protected mode and takes only local clients: set a password"),
            (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => unusable("whatever answers there is not Redis"),
            (ErrorKind::Io, _) if e.is_timeout() => StoreError::Away("it does not answer within a second".to_owned()),
            (ErrorKind::Io, _) if e.is_connection_refusal() => StoreError::Away("it refuses connections".to_owned()),
            (ErrorKind::Io, _) if e.is_connection_dropped() => StoreError::Away("it closed the connection".to_owned()),
            (ErrorKind::Io, _) => {
                let text = e.to_string();
                let tls = ["certificate", "invalid peer", "received corrupt message", "HandshakeFailure"];
                if tls.iter().any(|word| text.contains(word)) {
                    return StoreError::Unusable(format!("no encrypted connection: {text}"));
                }
                StoreError::Away(text)
            }
            _ if detail.is_empty() => StoreError::Away(e.to_string()),
            _ => StoreError::Away(format!("it answers: {detail}")),
        }
    }
}

#[cfg(feature = "tls")]
fn client(address: &Address, authority: Option<&[u8]>) -> Result<Client, String> {
    if !address.is_tls() {
        return plain(address);
    }
    // Fails only where another has been installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root_cert = authority.map(<[u8]>::to_vec).or_else(system_authorities);
    let certificates = redis::TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(address.connection.clone(), certificates)
        .map_err(|e| format!("the certificates cannot be used: {e}"))
}

/// Where systems keep the authorities that they trust: Debian and Alpine, Red Hat, SUSE, others.
#[cfg(feature = "tls")]
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Those of this system; `None` where it keeps none, as in a container from scratch: those that are built in count then.
#[cfg(feature = "tls")]
fn system_authorities() -> Option<Vec<u8>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    named.into_iter().chain(BUNDLES.map(Into::into)).find_map(|path| std::fs::read(path).ok())
}

#[cfg(not(feature = "tls"))]
fn client(address: &Address, _: Option<&[u8]>) -> Result<Client, String> {
    if address.is_tls() {
        return Err("this program was built without TLS: rediss:// cannot be reached".to_owned());
    }
    plain(address)
}

fn plain(address: &Address) -> Result<Client, String> {
    Client::open(address.connection.clone()).map_err(|e| e.to_string())
}
