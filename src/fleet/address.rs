//! Where a fleet meets: `redis://[user:password@]host[:port][/db]/NAME`. What is secret in it is never written anywhere.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use redis::{ConnectionInfo, IntoConnectionInfo, parse_redis_url};

/// Most characters of a fleet's name.
const NAME: usize = 64;

/// How an address is written, for whoever wrote another.
const FORM: &str = "write for example redis://10.0.0.5:6379/night-run, the fleet's name last";

/// A store, and the fleet's name in it.
#[derive(Clone)]
pub struct Address {
    pub(super) connection: ConnectionInfo,
    name: String,
    tls: bool,
    /// Without user and password.
    shown: String,
}

impl Address {
    /// The variable that an address is read from, where no option names one.
    pub const VARIABLE: &str = "C1M_FLEET";

    /// What that variable says. Empty it says nothing.
    pub fn of_environment() -> Option<OsString> {
        std::env::var_os(Self::VARIABLE).filter(|text| !text.is_empty())
    }

    /// The fleet's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl FromStr for Address {
    type Err = String;

    /// No error repeats what was written: there may be a password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}; {FORM}");
        let mut url = parse_redis_url(text).ok_or_else(|| wrong("this is not the address of a store"))?;
        let tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(wrong("the address of a store begins with redis:// or rediss://")),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the address of a store has no ? and no # (write %3F and %23 in a password)"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("the address names no host"))?;
        let host = host.to_owned();
        let segments: Vec<String> = url.path_segments().into_iter().flatten().map(ToOwned::to_owned).collect();
        let (db, name) = match segments.as_slice() {
            [name] => ("0".to_owned(), name.clone()),
            [db, name] => (db.clone(), name.clone()),
            _ => return Err(wrong("after the host come the database, if it is not 0, and the fleet's name")),
        };
        let number = db.parse::<u32>().map_err(|_| wrong("the database of a store is a number"))?;
        if name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong("the fleet's name is missing"));
        }
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !letters || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > NAME {
            return Err(wrong(&format!(
                "a fleet's name begins with a letter and has letters, digits, '-', '_' and '.', {NAME} at the most"
            )));
        }
        let scheme = if tls { "rediss" } else { "redis" };
        let port = url.port().unwrap_or(6379);
        let between = if number == 0 { String::new() } else { format!("/{number}") };
        let shown = format!("{scheme}://{host}:{port}{between}/{name}");
        url.set_path(&format!("/{number}"));
        let connection = url.into_connection_info().map_err(|_| wrong("this is not the address of a store"))?;
        Ok(Self { connection, name, tls, shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_segment() {
        let read = |text: &str| text.parse::<Address>().unwrap();
        let plain = read("redis://10.0.0.5/night-run");
        assert_eq!((plain.name(), plain.to_string().as_str()), ("night-run", "redis://10.0.0.5:6379/night-run"));
        let full = read("rediss://me:s%2Fcret@[::1]:7000/3/a.b_c");
        assert_eq!((full.name(), full.is_tls()), ("a.b_c", true));
        assert_eq!(full.to_string(), "rediss://[::1]:7000/3/a.b_c");
        let settings = full.connection.redis_settings();
        assert_eq!((settings.db(), settings.username(), settings.password()), (3, Some("me"), Some("s/cret")));
    }

    #[test]
    fn what_is_wrong_is_said_without_what_is_secret() {
        for (text, part) in [
            ("http://h/x", "not the address"),
            ("redis://:geheim@h:6379", "name"),
            ("redis://:geheim@h:6379/3", "name is missing"),
            ("redis://:geheim@h/0/9lives", "begins with a letter"),
            ("redis://:geheim@h/zero/run", "is a number"),
            ("redis://:geheim@h/run/0/x", "after the host"),
            ("redis://:geheim@h/run?x=1", "no ?"),
            ("redis://:ge#heim@h/run", "not the address"),
            ("redis://:geheim@h/r%20n", "begins with a letter"),
            ("unix:///run/redis.sock", "begins with redis"),
        ] {
            let said = text.parse::<Address>().unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
            assert!(!said.contains("heim") && !said.contains('\n'), "{said}");
        }
        let secret = "redis://me:geheim@h/run".parse::<Address>().unwrap();
        assert!(!format!("{secret} {secret:?}").contains("geheim"));
    }
}
