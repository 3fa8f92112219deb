//! How many connections a server is configured to hold, from its command line and its configuration. Nothing is asked of the
//! server: what was changed while it runs (`CONFIG SET maxclients` of Redis) is not seen.
//!
//! Each rule was measured: the server over loopback with a small limit, connections opened until no more were held, and 4,000
//! further ones, one after another, to see what it does then.
//!
//! | server | setting | held | when full |
//! | --- | --- | --- | --- |
//! | nginx 1.22.1, one worker | `worker_connections 500` | 498; 495 with four listeners; 444 if idle | closes at once, 15,000 to 40,000 a second |
//! | nginx, the default; two workers of 2000; of 500, `reuseport` | 512; 2000; 500 | 510; 3996; 996 | the same |
//! | HAProxy 2.6.12 | `maxconn 300`; `frontend` 200 of 900; `defaults` 250; `-n 220` | 300; 200; 250; 220 | stops accepting, and as many more wait in the accept queue |
//! | Redis 7.0.15 | `maxclients 400` | 400 | says so and closes at once, 15,000 to 30,000 a second |
//! | Mosquitto 2.0.11 | `max_connections 300`; 200 and 100 | 300; 200 and 100 | closes at once, 17,000 to 32,000 a second |
//! | PostgreSQL 15.18 | `max_connections 60`; `-N 40` | 57; 37 (60 by superusers) | says so and closes, 210 to 260 a second: each costs a process |
//! | Memcached 1.6.18 | `-c 300`; 1024, the default | 274; 998 | says so and closes at once, 10,000 to 28,000 a second |
//! | Memcached | `-c 300 -o no_maxconns_fast` | 275 | stops accepting |

use std::collections::{HashMap, HashSet};

use super::config_files::{ConfigFile, ConfigFiles};
use super::listeners;
use super::namespace::same_network;
use super::process::{self, first_sockets};
use super::source::{Roots, Source, reason};
use crate::sample::kernel::{Absent, AppLimit, Reading};

/// What a limit that no file and no option names is called.
const DEFAULT: &str = "the default";
/// What an option of the program is called.
const COMMAND_LINE: &str = "its command line";
/// Files that include others, one in another.
const DEPTH: usize = 8;
/// The state in which a TCP socket listens, as a bit (`include/net/tcp_states.h`).
const LISTEN: u32 = 1 << 10;

/// The configured limit of a process; `None` for a program that is not known, or whose limit cannot be known.
pub(crate) fn read(roots: &Roots, pid: u32) -> Reading<Option<AppLimit>> {
    let mut buf = Vec::new();
    let (comm, parent) = identity(roots, pid, &mut buf)?;
    let Some(server) = Server::of(&comm) else { return Ok(None) };
    let own = words(roots, pid, "cmdline", &mut buf)?;
    let parent = identity(roots, parent, &mut buf).is_ok_and(|(name, _)| name == comm).then_some(parent);
    let owner = match (server.reads(&own), parent) {
        (Reader::Itself, _) => pid,
        (Reader::Parent, Some(parent)) => parent,
        (Reader::ParentIfAny, parent) => parent.unwrap_or(pid),
        (Reader::Parent, None) | (Reader::Nobody, _) => return Ok(None),
    };
    // A worker has read the configuration anew since its master was started; PostgreSQL's children never do.
    let reader = if server == Server::Postgres { owner } else { pid };
    let files = ConfigFiles::of(roots, owner, reader);
    let start = Start {
        words: words(roots, owner, "cmdline", &mut buf)?,
        exe: if server == Server::Nginx { Some(executable(roots, owner)?) } else { None },
        data: if server == Server::Postgres { variable(roots, owner, "PGDATA", &mut buf) } else { None },
        units: if server == Server::Redis { units(roots, pid, &mut buf) } else { Vec::new() },
        descriptors: descriptors(roots, pid, &mut buf),
        listeners: if server.counts_listeners() { listening(roots, pid, &mut buf).unwrap_or(1).max(1) } else { 0 },
        look: &|pattern| files.look(pattern),
    };
    server.limit(&comm, &start)
}

/// Name and parent of a process.
fn identity(roots: &Roots, pid: u32, buf: &mut Vec<u8>) -> Reading<(String, u32)> {
    let mut stat = Source::open_once(roots, format!("/proc/{pid}/stat"), Absent::ProcessEnded);
    stat.get(buf, |text| process::stat(text).map(|stat| (stat.comm.to_owned(), stat.parent)))
}

/// The words of `cmdline` or `environ`.
fn words(roots: &Roots, pid: u32, file: &str, buf: &mut Vec<u8>) -> Reading<Vec<String>> {
    let mut source = Source::open_once(roots, format!("/proc/{pid}/{file}"), Absent::ProcessEnded);
    source.read(buf).map(|text| text.split_terminator('\0').map(ToOwned::to_owned).collect())
}

/// A variable of its environment.
fn variable(roots: &Roots, pid: u32, name: &str, buf: &mut Vec<u8>) -> Option<String> {
    let words = words(roots, pid, "environ", buf).ok()?;
    words.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(ToOwned::to_owned))
}

/// The path of its program, in its own mount namespace; one that has been replaced since is the same to us.
fn executable(roots: &Roots, pid: u32) -> Reading<String> {
    let shown = format!("/proc/{pid}/exe");
    let path = std::fs::read_link(roots.place(&shown));
    let path = path.map_err(|error| reason(&error, &shown, Some(&Absent::ProcessEnded)))?;
    let path = path.to_string_lossy();
    Ok(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

/// The parts of the paths of its cgroups, among which is the name of its systemd unit.
fn units(roots: &Roots, pid: u32, buf: &mut Vec<u8>) -> Vec<String> {
    let mut source = Source::open_once(roots, format!("/proc/{pid}/cgroup"), Absent::ProcessEnded);
    let text = source.read(buf).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/')).filter(|part| part.ends_with(".service")).map(ToOwned::to_owned).collect()
}

/// Its soft `RLIMIT_NOFILE`.
fn descriptors(roots: &Roots, pid: u32, buf: &mut Vec<u8>) -> Option<u64> {
    let mut source = Source::open_once(roots, format!("/proc/{pid}/limits"), Absent::ProcessEnded);
    source.get(buf, |text| process::limit(text, "Max open files")).ok().map(|limit| limit.soft)
}

/// Addresses that it listens on. Several sockets of one address (`reuseport`) are one for each worker.
fn listening(roots: &Roots, pid: u32, buf: &mut Vec<u8>) -> Reading<u64> {
    let socket = listeners::open(roots, (same_network(&roots.proc, pid) == Some(false)).then_some(pid))?;
    let mut addresses = HashMap::new();
    // `struct inet_diag_msg`: the family, then port and address.
    listeners::each(&socket, LISTEN, buf, &mut |message| {
        let local =
            (message.first().copied(), message.get(4..6).map(<[u8]>::to_vec), message.get(8..24).map(<[u8]>::to_vec));
        addresses.insert(u64::from(listeners::word(message, 68)?), local);
        Ok(())
    })?;
    let sockets = first_sockets(roots, pid).map(|(sockets, _)| sockets).unwrap_or_default();
    let own: HashSet<_> = sockets.keys().filter_map(|inode| addresses.get(inode)).collect();
    Ok(own.len() as u64)
}

/// The servers whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Nginx,
    Haproxy,
    /// Also Valkey and `KeyDB`, which are copies of it.
    Redis,
    Mosquitto,
    Postgres,
    Memcached,
}

/// Whose command line tells what a process was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Itself,
    Parent,
    ParentIfAny,
    Nobody,
}

impl Server {
    fn of(comm: &str) -> Option<Self> {
        match comm {
            "nginx" => Some(Self::Nginx),
            "haproxy" => Some(Self::Haproxy),
            "redis-server" | "valkey-server" | "keydb-server" => Some(Self::Redis),
            "mosquitto" => Some(Self::Mosquitto),
            "postgres" | "postmaster" => Some(Self::Postgres),
            "memcached" => Some(Self::Memcached),
            _ => None,
        }
    }

    fn reads(self, words: &[String]) -> Reader {
        let title = words.first().map_or("", String::as_str);
        match self {
            Self::Nginx if title.starts_with("nginx: worker process") => Reader::Parent,
            // What keeps its caches serves nobody.
            Self::Nginx if title.starts_with("nginx: ") && !title.starts_with(MASTER) => Reader::Nobody,
            Self::Postgres if title.starts_with("postgres: ") => Reader::Parent,
            // A worker is confined to an empty directory by chroot(2), its master (-W) is not.
            Self::Haproxy => Reader::ParentIfAny,
            _ => Reader::Itself,
        }
    }

    /// Whether listening sockets take of the limit.
    fn counts_listeners(self) -> bool {
        matches!(self, Self::Nginx | Self::Memcached)
    }

    fn limit(self, comm: &str, start: &Start<'_>) -> Reading<Option<AppLimit>> {
        match self {
            Self::Nginx => nginx(start),
            Self::Haproxy => haproxy(start),
            Self::Redis => redis(comm, start),
            Self::Mosquitto => mosquitto(start),
            Self::Postgres => postgres(start),
            Self::Memcached => Ok(memcached(start)),
        }
    }
}

/// How a server was started, and a way to its files.
struct Start<'a> {
    words: Vec<String>,
    exe: Option<String>,
    /// `PGDATA`.
    data: Option<String>,
    units: Vec<String>,
    /// Its soft `RLIMIT_NOFILE`.
    descriptors: Option<u64>,
    listeners: u64,
    look: Look<'a>,
}

/// The files of a path or a pattern.
type Look<'a> = &'a dyn Fn(&str) -> Reading<Vec<ConfigFile>>;

/// A number, and where it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    value: u64,
    place: String,
}

impl Set {
    fn new(value: u64, place: &str) -> Self {
        Self { value, place: place.to_owned() }
    }

    fn parse(value: &str, place: &str) -> Option<Self> {
        Some(Self::new(value.parse().ok()?, place))
    }

    /// The limit, less what the server keeps of it.
    fn limit(self, setting: &str, less: u64, closes: bool) -> AppLimit {
        let set_in = match less {
            0 => self.place,
            _ => format!("{}, {} less {less} of its own", self.place, self.value),
        };
        let limit = self.value.saturating_sub(less);
        AppLimit { limit, idle: None, each_process: false, closes, setting: setting.to_owned(), set_in }
    }
}

/// The one file of a path.
fn file(look: Look<'_>, path: &str) -> Reading<ConfigFile> {
    let missing = || Absent::Because(format!("its configuration {path} cannot be found").into());
    look(path)?.into_iter().next().ok_or_else(missing)
}

/// A path that stands in a file of another one.
fn beside(path: &str, dir: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{dir}/{path}") }
}

/// The directory of a path.
fn dir(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(dir, _)| dir)
}

/// The words of a line, quotes taken off, up to a comment.
fn line_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (_, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (_, None) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The values of an option that takes the next word: `-f a -f b`.
fn values<'a>(words: &'a [String], names: &[&str]) -> Vec<&'a str> {
    let pairs = words.windows(2).skip(1).filter(|pair| names.contains(&pair[0].as_str()));
    pairs.map(|pair| pair[1].as_str()).collect()
}

/// Options as getopt(3) reads them, those of one letter as `-c`; `takes` are the letters that take a value. A word after a long
/// option may be its value or not.
fn options(words: &[String], takes: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = words.iter().skip(1).map(String::as_str).peekable();
    while let Some(word) = rest.next() {
        if let Some((name, value)) = word.strip_prefix("--").and_then(|long| long.split_once('=')) {
            found.push((format!("--{name}"), value.to_owned()));
        } else if word.starts_with("--") {
            found.push((word.to_owned(), (*rest.peek().unwrap_or(&"")).to_owned()));
        } else if let Some(letters) = word.strip_prefix('-') {
            for (at, letter) in letters.char_indices() {
                let name = format!("-{letter}");
                if takes.contains(letter) {
                    let glued = &letters[at + letter.len_utf8()..];
                    let value = if glued.is_empty() { rest.next().unwrap_or_default() } else { glued };
                    found.push((name, value.to_owned()));
                    break;
                }
                found.push((name, String::new()));
            }
        }
    }
    found
}

/// Begins the title of nginx's first process, which its command line follows.
const MASTER: &str = "nginx: master process ";
/// `worker_connections` where none is set (`DEFAULT_CONNECTIONS` in `src/event/ngx_event.c`).
const NGINX_CONNECTIONS: u64 = 512;

/// `worker_connections`, of each worker, less one for the channel to its master and one for each address it listens on
/// (measured: 500 hold 498 with one, 495 with four; two workers of 2,000 hold 3,996, 512 hold 510).
///
/// That many are held while all of them are at work. From the last sixteenth on it closes idle ones (nothing sent yet, or kept
/// alive), the oldest first and up to 32 at a time, to make room (`ngx_drain_connections`): 700 idle connections to a worker of
/// 500 left 444 open, and none was refused. A connection that it hands on to another server takes two.
/// Where `RLIMIT_NOFILE` is lower it warns, and that is met first.
fn nginx(start: &Start<'_>) -> Reading<Option<AppLimit>> {
    let line = NginxLine::of(&start.words);
    let mut events = NginxEvents::default();
    events.read(&ConfigFile { path: COMMAND_LINE.to_owned(), text: line.directives.clone() }, "", start.look)?;
    if !events.found {
        let Some(path) = line.configuration(start.exe.as_deref()) else { return Ok(None) };
        let main = file(start.look, &path)?;
        events.read(&main, dir(&path), start.look)?;
    }
    // Without a block of events it would not have started: another file was read.
    if !events.found {
        return Ok(None);
    }
    let set = events.connections.unwrap_or_else(|| Set::new(NGINX_CONNECTIONS, DEFAULT));
    let limit = set.limit("worker_connections", 1 + start.listeners, true);
    let idle = limit.limit.saturating_sub((limit.limit + 1 + start.listeners) / 16);
    Ok(Some(AppLimit { idle: Some(idle), each_process: true, ..limit }))
}

/// What the command line of nginx says.
#[derive(Debug, Default, PartialEq, Eq)]
struct NginxLine {
    conf: Option<String>,
    prefix: Option<String>,
    directives: String,
}

impl NginxLine {
    /// The title has the words without their quotes.
    fn of(words: &[String]) -> Self {
        let first = words.first().map_or("", String::as_str);
        let split: Vec<&str> = match first.strip_prefix(MASTER) {
            Some(title) => title.split_ascii_whitespace().collect(),
            None => words.iter().map(String::as_str).collect(),
        };
        let mut line = Self::default();
        let mut rest = split.into_iter().skip(1).peekable();
        while let Some(word) = rest.next() {
            let Some(flag) = word.get(..2).filter(|flag| ["-c", "-p", "-g", "-e"].contains(flag)) else { continue };
            let glued = word.get(2..).filter(|glued| !glued.is_empty());
            let mut value = glued.or_else(|| rest.next()).unwrap_or_default().to_owned();
            match flag {
                "-c" => line.conf = Some(value),
                "-p" => line.prefix = Some(value),
                "-g" => {
                    while let Some(more) = rest.next_if(|more| !more.starts_with('-')) {
                        value = format!("{value} {more}");
                    }
                    line.directives = value;
                }
                _ => {}
            }
        }
        line
    }

    /// The file it reads. The default is built in: a distribution's program has `/etc/nginx/nginx.conf`, one that was built
    /// from source `conf/nginx.conf` where it was installed.
    fn configuration(&self, exe: Option<&str>) -> Option<String> {
        let packaged = exe.is_some_and(|exe| ["/usr/sbin", "/usr/bin", "/sbin"].contains(&dir(exe)));
        let built = exe.and_then(|exe| exe.strip_suffix("/sbin/nginx")).filter(|_| !packaged);
        let prefix = self.prefix.as_deref().map(|prefix| prefix.trim_end_matches('/')).or(built);
        match &self.conf {
            Some(conf) if conf.starts_with('/') => Some(conf.clone()),
            Some(conf) => Some(format!("{}/{conf}", prefix?)),
            None if packaged => Some("/etc/nginx/nginx.conf".to_owned()),
            None => Some(format!("{}/conf/nginx.conf", prefix.filter(|_| exe.is_some())?)),
        }
    }
}

/// A piece of nginx's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// Takes nginx's configuration apart.
fn nginx_tokens(text: &str) -> Vec<Token> {
    let (mut tokens, mut word) = (Vec::new(), None::<String>);
    let mut chars = text.chars();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_none() => _ = chars.by_ref().find(|c| *c == '\n'),
            '"' | '\'' if word.is_none() => {
                let mut quoted = String::new();
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    quoted.push(if inner == '\\' { chars.next().unwrap_or(inner) } else { inner });
                }
                tokens.push(Token::Word(quoted));
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            // A variable: ${name}.
            '{' if before == '$' => word.get_or_insert_default().push(c),
            '}' if word.as_ref().is_some_and(|word| word.contains("${")) => word.get_or_insert_default().push(c),
            '{' | '}' | ';' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(match c {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                });
            }
            _ if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            _ => word.get_or_insert_default().push(c),
        }
        before = c;
    }
    tokens.extend(word.map(Token::Word));
    tokens
}

/// The block of events.
#[derive(Debug, Default)]
struct NginxEvents {
    found: bool,
    connections: Option<Set>,
    inside: bool,
    depth: usize,
}

impl NginxEvents {
    /// Reads a file, and those that it includes outside any block or in that of events. `home` is where the first one is.
    fn read(&mut self, file: &ConfigFile, home: &str, look: Look<'_>) -> Reading<()> {
        let mut directive: Vec<String> = Vec::new();
        let mut level = 0_usize;
        for token in nginx_tokens(&file.text) {
            match token {
                Token::Word(word) => directive.push(word),
                Token::Open => {
                    if level == 0 && !self.inside && directive.first().is_some_and(|name| name == "events") {
                        (self.found, self.inside) = (true, true);
                    }
                    level += 1;
                    directive.clear();
                }
                Token::Close => {
                    level = level.saturating_sub(1);
                    self.inside &= level > 0;
                    directive.clear();
                }
                Token::End => {
                    if self.inside || level == 0 {
                        self.directive(&directive, &file.path, home, look)?;
                    }
                    directive.clear();
                }
            }
        }
        Ok(())
    }

    fn directive(&mut self, words: &[String], path: &str, home: &str, look: Look<'_>) -> Reading<()> {
        match words {
            [name, value] if self.inside && name == "worker_connections" => self.connections = Set::parse(value, path),
            [name, pattern] if name == "include" && self.depth < DEPTH => {
                self.depth += 1;
                for included in look(&beside(pattern, home))? {
                    let inside = self.inside;
                    self.read(&included, home, look)?;
                    self.inside = inside;
                }
                self.depth -= 1;
            }
            _ => {}
        }
        Ok(())
    }
}

/// `maxconn` of `global`, which `-n` overrides, or that of the only frontend where it is lower. It stops accepting (measured:
/// exactly as many accepted, and as many again in the queue, for it is the backlog as well).
///
/// Without one it computes it from its descriptors, less what checks, servers and pipes take, or from the memory it may use: not
/// known here.
fn haproxy(start: &Start<'_>) -> Reading<Option<AppLimit>> {
    let mut found = Haproxy { default: last_number(&start.words, "-N"), ..Haproxy::default() };
    for file in haproxy_files(&start.words, start.look)? {
        found.read(&file);
    }
    if found.unclear {
        return Ok(None);
    }
    let each_process = found.processes > 1;
    let global = last_number(&start.words, "-n").map(|n| Set::new(n, COMMAND_LINE)).or(found.global);
    let only = match found.frontends.as_mut_slice() {
        [only] => only.take().filter(|only| only.value > 0),
        _ => None,
    };
    let computed = || start.descriptors.map_or(0, |n| (n / 2).saturating_sub(HAPROXY_OWN));
    let set = match (global.filter(|global| global.value > 0), only) {
        (Some(global), Some(only)) if only.value < global.value => only,
        (Some(global), _) => global,
        // Whatever it computes: half of its descriptors at least, less a few.
        (None, Some(only)) if only.value <= computed() => only,
        (None, _) => return Ok(None),
    };
    Ok(Some(AppLimit { each_process, ..set.limit("maxconn", 0, false) }))
}

/// Descriptors that `HAProxy` may use itself, halved: 9 were measured (1,000 descriptors: 491 connections).
const HAPROXY_OWN: u64 = 64;

/// The words with which a section of `HAProxy` begins, but for those that matter here.
const HAPROXY_SECTIONS: [&str; 16] = [
    "backend",
    "peers",
    "resolvers",
    "userlist",
    "mailers",
    "program",
    "http-errors",
    "cache",
    "ring",
    "log-forward",
    "fcgi-app",
    "crt-list",
    "crt-store",
    "traces",
    "log-profile",
    "acme",
];

fn last_number(words: &[String], name: &str) -> Option<u64> {
    values(words, &[name]).last()?.parse().ok()
}

/// All of its files, in order; a directory stands for the `.cfg` in it.
fn haproxy_files(words: &[String], look: Look<'_>) -> Reading<Vec<ConfigFile>> {
    let home = values(words, &["-C"]).last().copied();
    let after = words.iter().skip_while(|word| *word != "--").skip(1).map(String::as_str);
    let mut found = Vec::new();
    for name in values(words, &["-f"]).into_iter().chain(after) {
        let path = home.map_or_else(|| name.to_owned(), |home| beside(name, home));
        let mut files = look(&path)?;
        if files.is_empty() {
            files = look(&format!("{}/*.cfg", path.trim_end_matches('/')))?;
        }
        if files.is_empty() {
            file(look, &path)?;
        }
        found.extend(files);
    }
    Ok(found)
}

/// The sections of `HAProxy`'s configuration.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Section {
    #[default]
    Other,
    Global,
    Defaults,
    Frontend,
}

#[derive(Debug, Default)]
struct Haproxy {
    section: Section,
    global: Option<Set>,
    /// Of the `defaults` that hold now.
    default: Option<u64>,
    default_place: String,
    frontends: Vec<Option<Set>>,
    processes: u64,
    /// Something that cannot be followed: conditions, or a number that is a variable.
    unclear: bool,
}

impl Haproxy {
    fn read(&mut self, file: &ConfigFile) {
        for line in file.text.lines() {
            let words = line_words(line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.line(&words, &file.path);
        }
    }

    fn line(&mut self, words: &[&str], path: &str) {
        match (words, self.section) {
            (["global", ..], _) => self.section = Section::Global,
            (["defaults", rest @ ..], _) => {
                self.section = Section::Defaults;
                // Those of another section, by its name.
                self.unclear |= rest.contains(&"from");
                self.default = None;
            }
            (["frontend" | "listen", rest @ ..], _) => {
                self.section = Section::Frontend;
                self.unclear |= rest.contains(&"from");
                let place = if self.default_place.is_empty() { COMMAND_LINE } else { &self.default_place };
                self.frontends.push(self.default.map(|n| Set::new(n, place)));
            }
            ([name, ..], _) if HAPROXY_SECTIONS.contains(name) => self.section = Section::Other,
            ([".if" | ".elif", ..], _) => self.unclear = true,
            (["nbproc", n, ..], Section::Global) => self.processes = n.parse().unwrap_or(0),
            (["maxconn", n, ..], Section::Global | Section::Defaults | Section::Frontend) => self.maxconn(n, path),
            _ => {}
        }
    }

    fn maxconn(&mut self, value: &str, path: &str) {
        let Some(set) = Set::parse(value, path) else {
            self.unclear = true;
            return;
        };
        match (self.section, self.frontends.last_mut()) {
            (Section::Global, _) => self.global = Some(set),
            (Section::Frontend, Some(frontend)) => *frontend = Some(set),
            _ => (self.default, self.default_place) = (Some(set.value), set.place),
        }
    }
}

/// `maxclients` where none is set, and descriptors that Redis keeps for itself (`CONFIG_MIN_RESERVED_FDS` in `server.h`).
const REDIS_CLIENTS: u64 = 10_000;
const REDIS_OWN: u64 = 32;

/// `maxclients`, or what its descriptors leave where that is less: it raises `RLIMIT_NOFILE` as far as it may, and lowers itself
/// to what it got less 32 (measured: 400 hold 400; 700 descriptors, 668).
///
/// It writes a title (`redis-server 127.0.0.1:6379`) over its command line and the beginning of its environment. Even where the
/// title is made to show its file (`proc-title-template`), options that were given beside it are gone, so that its limit is known
/// in two cases only: `set-proc-title no`, and a unit whose file is known.
fn redis(comm: &str, start: &Start<'_>) -> Reading<Option<AppLimit>> {
    let mut found = None;
    let options = start.words.get(1..).unwrap_or_default();
    if options.iter().any(|word| !word.is_empty()) {
        let (path, given) = match options {
            [path, given @ ..] if !path.starts_with('-') => (Some(path), given),
            given => (None, given),
        };
        // It changes its working directory after it has read the file. A lone - is its standard input.
        if path.is_some_and(|path| !path.starts_with('/')) || given.iter().any(|word| word == "-") {
            return Ok(None);
        }
        if let Some(path) = path {
            let main = file(start.look, path)?;
            if !redis_file(&main, start.look, 0, &mut found)? {
                return Ok(None);
            }
        }
        let option = given.windows(2).rev().find(|pair| pair[0].eq_ignore_ascii_case("--maxclients"));
        if let Some([_, value]) = option {
            found = Set::parse(value, COMMAND_LINE);
        }
    } else {
        let Some(path) = redis_file_of_unit(comm, &start.units) else { return Ok(None) };
        let Some(main) = (start.look)(&path)?.into_iter().next() else { return Ok(None) };
        if !redis_file(&main, start.look, 0, &mut found)? {
            return Ok(None);
        }
    }
    let mut set = found.unwrap_or_else(|| Set::new(REDIS_CLIENTS, DEFAULT));
    if let Some(room) = start.descriptors.map(|n| n.saturating_sub(REDIS_OWN)).filter(|room| *room < set.value) {
        set = Set::new(room, &format!("{}, {} lowered to its open-file limit less {REDIS_OWN}", set.place, set.value));
    }
    Ok(Some(set.limit("maxclients", 0, true)))
}

/// The file that the packages' units name: `redis-server.service`, and `redis-server@NAME.service` of Debian.
fn redis_file_of_unit(comm: &str, units: &[String]) -> Option<String> {
    let short = comm.strip_suffix("-server")?;
    units.iter().find_map(|unit| match unit.strip_prefix(comm)?.strip_suffix(".service")? {
        "" => Some(format!("/etc/{short}/{short}.conf")),
        instance => Some(format!("/etc/{short}/{short}-{}.conf", instance.strip_prefix('@')?)),
    })
}

/// Reads a file of Redis; false where one that it includes cannot be told.
fn redis_file(file: &ConfigFile, look: Look<'_>, depth: usize, found: &mut Option<Set>) -> Reading<bool> {
    for line in file.text.lines() {
        let words = line_words(line);
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [name, value] if name.eq_ignore_ascii_case("maxclients") => *found = Set::parse(value, &file.path),
            [name, pattern] if name.eq_ignore_ascii_case("include") => {
                if !pattern.starts_with('/') || depth == DEPTH {
                    return Ok(false);
                }
                for included in look(pattern)? {
                    if !redis_file(&included, look, depth + 1, found)? {
                        return Ok(false);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(true)
}

/// Words that have Mosquitto open its default listener though others are named (`config__read` in `src/conf.c`).
const MOSQUITTO_DEFAULT: [&str; 12] = [
    "port",
    "bind_address",
    "bind_interface",
    "max_connections",
    "mount_point",
    "protocol",
    "socket_domain",
    "cafile",
    "capath",
    "certfile",
    "keyfile",
    "use_username_as_clientid",
];

/// `max_connections` of its listeners, summed, if each has one (measured: 300 hold 300; two listeners of 200 and 100 hold as many
/// each). One that stands before the first `listener` is that of a default listener, which it opens, and no limit of the others
/// (measured: 250 there, and the listener held 400 of 400). Without `-c` it reads no file. Those who have connected and say
/// nothing count as well.
fn mosquitto(start: &Start<'_>) -> Reading<Option<AppLimit>> {
    // Each port of the command line is a listener without a limit.
    if !values(&start.words, &["-p", "--port"]).is_empty() {
        return Ok(None);
    }
    let paths = values(&start.words, &["-c", "--config-file"]);
    let Some(path) = paths.last() else { return Ok(None) };
    let main = file(start.look, path)?;
    let mut found = Mosquitto { listeners: vec![None], ..Mosquitto::default() };
    found.read(&main, start.look, 0)?;
    if found.unclear {
        return Ok(None);
    }
    if found.listeners.len() > 1 && !found.default {
        found.listeners.remove(0);
    }
    let set: Option<Vec<u64>> = found.listeners.into_iter().collect();
    Ok(set.map(|set| Set::new(set.into_iter().sum(), &main.path).limit("max_connections", 0, true)))
}

#[derive(Debug, Default)]
struct Mosquitto {
    /// The default listener, then those that are named.
    listeners: Vec<Option<u64>>,
    default: bool,
    /// What was not measured: a limit of all listeners (2.1), and those of `WebSocket`s.
    unclear: bool,
}

impl Mosquitto {
    fn read(&mut self, file: &ConfigFile, look: Look<'_>, depth: usize) -> Reading<()> {
        for line in file.text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(name) = words.first() else { continue };
            self.default |= self.listeners.len() == 1 && MOSQUITTO_DEFAULT.contains(name);
            match words.as_slice() {
                ["listener", ..] => self.listeners.push(None),
                ["max_connections", n] => {
                    if let Some(last) = self.listeners.last_mut() {
                        // -1 is no limit.
                        *last = n.parse().ok().filter(|n| *n > 0);
                    }
                }
                ["global_max_connections", ..] | ["protocol", "websockets"] => self.unclear = true,
                ["include_dir", dir] if depth < DEPTH => {
                    for included in look(&format!("{}/*.conf", dir.trim_end_matches('/')))? {
                        self.read(&included, look, depth + 1)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Options of `postgres` that take a value (postgres(1)).
const POSTGRES_TAKES: &str = "BcCDdfhkNprStvW";
/// `max_connections` and `superuser_reserved_connections` where none is set.
const POSTGRES_CONNECTIONS: u64 = 100;
const POSTGRES_RESERVED: u64 = 3;

/// `max_connections` less those that are reserved for superusers (and, since 16, for a role): what anybody else may open
/// (measured: 60 hold 57, and 60 by a superuser). Who connects and never says who he is takes none (measured: 299 held beside
/// 60), and is closed after `authentication_timeout`. The process that was started has none of the connections, each has a
/// process of its own.
fn postgres(start: &Start<'_>) -> Reading<Option<AppLimit>> {
    let mut line = Postgres::default();
    for (name, value) in options(&start.words, POSTGRES_TAKES) {
        match (name.as_str(), value.split_once('=')) {
            ("-N", _) => line.set("max_connections", &value, COMMAND_LINE),
            ("-D", _) => line.set("data", &value, COMMAND_LINE),
            ("-c", Some((name, value))) => line.set(name, value, COMMAND_LINE),
            (long, _) => line.set(long.trim_start_matches("--"), &value, COMMAND_LINE),
        }
    }
    // It works in its directory of data. Relative paths began in another one, which nobody knows any more.
    let home = line.text("data").or(start.data.as_deref()).filter(|home| home.starts_with('/'));
    let path = match (line.text("config_file"), home) {
        (Some(path), _) => path.to_owned(),
        (None, Some(home)) => format!("{}/postgresql.conf", home.trim_end_matches('/')),
        (None, None) => "postgresql.conf".to_owned(),
    };
    let mut found = Postgres::default();
    found.read(&file(start.look, &path)?, start.look, 0)?;
    // Written by ALTER SYSTEM.
    for file in (start.look)("postgresql.auto.conf")? {
        found.read(&file, start.look, 0)?;
    }
    found.settings.extend(line.settings);
    let number = |name, default| match found.settings.get(name) {
        Some((value, place)) => Set::parse(value, place),
        None => Some(Set::new(default, DEFAULT)),
    };
    let reserved = [("superuser_reserved_connections", POSTGRES_RESERVED), ("reserved_connections", 0)];
    let reserved: Option<u64> = reserved.into_iter().map(|(name, n)| number(name, n).map(|set| set.value)).sum();
    let (Some(set), Some(reserved)) = (number("max_connections", POSTGRES_CONNECTIONS), reserved) else {
        return Ok(None);
    };
    let set_in = format!("{}, {} less {reserved} reserved for superusers", set.place, set.value);
    let limit = set.limit("max_connections", reserved, true);
    Ok(Some(if reserved == 0 { limit } else { AppLimit { set_in, ..limit } }))
}

/// What is set, and where.
#[derive(Debug, Default)]
struct Postgres {
    settings: HashMap<String, (String, String)>,
}

impl Postgres {
    fn set(&mut self, name: &str, value: &str, place: &str) {
        let name = name.to_ascii_lowercase().replace('-', "_");
        self.settings.insert(name, (value.to_owned(), place.to_owned()));
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|(value, _)| value.as_str())
    }

    fn read(&mut self, file: &ConfigFile, look: Look<'_>, depth: usize) -> Reading<()> {
        for line in file.text.lines() {
            let Some((name, value)) = postgres_line(line) else { continue };
            let path = beside(value, dir(&file.path));
            let pattern = match name {
                "include" | "include_if_exists" => path,
                "include_dir" => format!("{}/*.conf", path.trim_end_matches('/')),
                _ => {
                    self.set(name, value, &file.path);
                    continue;
                }
            };
            if depth < DEPTH {
                for included in look(&pattern)? {
                    self.read(&included, look, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

/// `name = value`, `name value`, `name = 'value' # why`.
fn postgres_line(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let (name, rest) = line.split_at(line.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c)))?);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => quoted.split('\'').next(),
        None => rest.split(|c: char| c.is_whitespace() || c == '#').next(),
    };
    value.filter(|value| !name.is_empty() && !value.is_empty()).map(|value| (name, value))
}

/// Options of `memcached` that take a value (memcached(1)).
const MEMCACHED_TAKES: &str = "aspUmclPuftDRCnbBIeoNY";
/// `-c` and `-t` where none is given, and what it keeps besides: a few, and some for each thread.
const MEMCACHED_CONNECTIONS: u64 = 1024;
const MEMCACHED_THREADS: u64 = 4;
const MEMCACHED_OWN: u64 = 9;
const MEMCACHED_PER_THREAD: u64 = 4;

/// `-c`, less what it keeps: 9, one for each address it listens on, 4 for each thread (measured with `-c 300`: 286, 282, 274 and
/// 258 held by 1, 2, 4 and 8 threads; 273 by 4 with two listeners), and one more for each thread with UDP (270). It sets
/// `RLIMIT_NOFILE` to `-c`, so that this is met one descriptor before that.
fn memcached(start: &Start<'_>) -> Option<AppLimit> {
    let mut set = Set::new(MEMCACHED_CONNECTIONS, DEFAULT);
    let (mut threads, mut udp, mut closes) = (MEMCACHED_THREADS, false, true);
    for (name, value) in options(&start.words, MEMCACHED_TAKES) {
        match name.as_str() {
            "-c" | "--conn-limit" => set = Set::parse(&value, COMMAND_LINE)?,
            "-t" | "--threads" => threads = value.parse().ok()?,
            "-U" | "--udp-port" => udp = value != "0",
            // With it, it stops accepting (measured: 275 accepted of 300, the rest in the accept queue).
            "-o" | "--extended" => closes &= !value.split(',').any(|word| word == "no_maxconns_fast"),
            _ => {}
        }
    }
    let each = MEMCACHED_PER_THREAD + u64::from(udp);
    // What stops accepting does so one connection later.
    let own = MEMCACHED_OWN + start.listeners + each.saturating_mul(threads) - u64::from(!closes);
    Some(set.limit("-c", own, closes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server finds: its command line, words apart by `|`, and its files.
    struct Case<'a> {
        comm: &'a str,
        files: &'a [(&'a str, &'a str)],
        start: Start<'a>,
    }

    const NO_FILE: Look<'static> = &|_| Ok(Vec::new());

    impl<'a> Case<'a> {
        fn new(comm: &'a str, files: &'a [(&'a str, &'a str)]) -> Self {
            let exe = Some(format!("/usr/sbin/{comm}"));
            let (words, units) = (Vec::new(), Vec::new());
            let start = Start { words, exe, data: None, units, descriptors: Some(20_000), listeners: 1, look: NO_FILE };
            Self { comm, files, start }
        }

        fn find(&self, words: &str) -> Reading<Option<AppLimit>> {
            let look = |pattern: &str| {
                // As the working directory of all of them.
                let pattern = beside(pattern, "/cwd");
                let fits = |path: &str| match pattern.split_once('*') {
                    Some((before, after)) => path.starts_with(before) && path.ends_with(after),
                    None => path == pattern,
                };
                let files = self.files.iter().filter(|(path, _)| fits(path));
                Ok(files.map(|(path, text)| ConfigFile { path: (*path).into(), text: (*text).into() }).collect())
            };
            let Start { exe, data, units, descriptors, listeners, .. } = &self.start;
            let start = Start {
                words: words.split('|').map(ToOwned::to_owned).collect(),
                exe: exe.clone(),
                data: data.clone(),
                units: units.clone(),
                descriptors: *descriptors,
                listeners: *listeners,
                look: &look,
            };
            Server::of(self.comm).unwrap().limit(self.comm, &start)
        }

        #[track_caller]
        fn is(&self, words: &str, limit: u64, set_in: &str) {
            let found = self.find(words).unwrap().unwrap_or_else(|| panic!("none: {words}"));
            assert_eq!((found.limit, found.set_in.as_str()), (limit, set_in), "{words}");
        }

        #[track_caller]
        fn is_none(&self, words: &str) {
            assert_eq!(self.find(words), Ok(None), "{words}");
        }
    }

    #[test]
    fn workers_of_nginx() {
        let files = [
            (
                "/etc/nginx/nginx.conf",
                "user www-data;\n# events { worker_connections 1; }\nevents {\n\tworker_connections 768; # x\n}\n",
            ),
            ("/n/a.conf", "events{worker_connections 500;}http{log_format j '{\"a\":\"$b\"}';server{listen 80;}}"),
            ("/n/default.conf", "events { multi_accept on; } http { }"),
            (
                "/n/late.conf",
                "include mods/*.conf;\nhttp { include x; map $a ${b} { default '}'; } }\nevents { include e.inc; }",
            ),
            ("/n/mods/m.conf", "load_module m.so;"),
            ("/n/e.inc", "worker_connections 99;"),
            ("/n/stream.conf", "stream { worker_connections 9; }"),
            ("/p/conf/nginx.conf", "events { worker_connections 50; }"),
        ];
        let case = Case::new("nginx", &files);
        // Title and words as nginx 1.22 shows them.
        case.is(
            "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;|",
            766,
            "/etc/nginx/nginx.conf, 768 less 2 of its own",
        );
        case.is(
            "nginx: master process nginx -c /n/a.conf -g worker_rlimit_nofile 5000;",
            498,
            "/n/a.conf, 500 less 2 of its own",
        );
        case.is("nginx|-c|/n/a.conf|-e|/x", 498, "/n/a.conf, 500 less 2 of its own");
        case.is("nginx|-p|/n/|-ca.conf", 498, "/n/a.conf, 500 less 2 of its own");
        case.is("nginx|-c|/n/default.conf", 510, "the default, 512 less 2 of its own");
        case.is("nginx|-c|/n/late.conf", 97, "/n/e.inc, 99 less 2 of its own");
        case.is(
            "nginx|-c|/n/stream.conf|-g|events { worker_connections 20; }",
            18,
            "its command line, 20 less 2 of its own",
        );
        case.is_none("nginx|-c|/n/stream.conf");
        case.is_none("nginx|-c|relative.conf");
        assert!(case.find("nginx|-c|/none").is_err());
        let found = case.find("nginx|-c|/n/a.conf").unwrap().unwrap();
        assert_eq!((found.each_process, found.closes, found.setting.as_str()), (true, true, "worker_connections"));

        let mut four = Case::new("nginx", &files);
        (four.start.listeners, four.start.exe) = (4, Some("/p/sbin/nginx".into()));
        four.is("nginx: master process /p/sbin/nginx", 45, "/p/conf/nginx.conf, 50 less 5 of its own");
        four.is("nginx|-c|/n/a.conf", 495, "/n/a.conf, 500 less 5 of its own");
        four.start.exe = Some("/opt/nginx".into());
        four.is_none("nginx");
    }

    #[test]
    fn who_reads_the_configuration() {
        let reads = |server: Server, title: &str| server.reads(&[title.to_owned()]);
        for (server, title, want) in [
            (Server::Nginx, "nginx: worker process", Reader::Parent),
            (Server::Nginx, "nginx: worker process is shutting down", Reader::Parent),
            (Server::Nginx, "nginx: cache manager process", Reader::Nobody),
            (Server::Nginx, "nginx: master process nginx", Reader::Itself),
            (Server::Nginx, "nginx", Reader::Itself),
            (Server::Postgres, "postgres: checkpointer ", Reader::Parent),
            (Server::Postgres, "/usr/lib/postgresql/15/bin/postgres", Reader::Itself),
            (Server::Haproxy, "haproxy", Reader::ParentIfAny),
            (Server::Redis, "redis-server *:6379", Reader::Itself),
        ] {
            assert_eq!(reads(server, title), want, "{title}");
        }
        assert_eq!((Server::of("node"), Server::of("nginx-exporter")), (None, None));
    }

    #[test]
    fn haproxy_and_its_frontends() {
        let files = [
            (
                "/h/g.cfg",
                "global\n maxconn 300\ndefaults\n mode http\nfrontend f\n bind :1\nbackend b\n fullconn 9\n server s :2 maxconn 5\n",
            ),
            ("/h/f.cfg", "global\n maxconn 900 # x\ndefaults\nfrontend f\n maxconn 200\n"),
            ("/h/d.cfg", "global\n maxconn 300\ndefaults\n maxconn 250\nlisten l\n bind :1\n"),
            ("/h/two.cfg", "global\n maxconn 900\nfrontend a\nfrontend b\n maxconn 100\n"),
            ("/h/none.cfg", "global\n daemon\ndefaults\nfrontend f\n"),
            ("/h/only.cfg", "frontend f\n maxconn 200\n"),
            ("/h/env.cfg", "global\n maxconn \"${MAX}\"\nfrontend f\n"),
            ("/h/if.cfg", "global\n maxconn 3\n.if defined(X)\n maxconn 4\n.endif\n"),
            ("/h/procs.cfg", "global\n maxconn 30\n nbproc 4\n"),
            ("/h/d/1.cfg", "global\n maxconn 70\n"),
            ("/h/d/2.cfg", "frontend f\n bind :1\n"),
        ];
        let mut case = Case::new("haproxy", &files);
        for (words, limit, set_in) in [
            ("haproxy|-W|-f|/h/g.cfg", 300, "/h/g.cfg"),
            ("haproxy|-f|/h/g.cfg|-n|220", 220, "its command line"),
            ("haproxy|-f|/h/f.cfg", 200, "/h/f.cfg"),
            ("haproxy|-f|/h/d.cfg", 250, "/h/d.cfg"),
            ("haproxy|-f|/h/two.cfg", 900, "/h/two.cfg"),
            ("haproxy|-f|/h/only.cfg", 200, "/h/only.cfg"),
            ("haproxy|-f|/h/d", 70, "/h/d/1.cfg"),
            ("haproxy|-C|/h|-f|g.cfg", 300, "/h/g.cfg"),
            ("haproxy|-db|--|/h/none.cfg|/h/g.cfg", 300, "/h/g.cfg"),
            ("haproxy|-f|/h/procs.cfg", 30, "/h/procs.cfg"),
        ] {
            case.is(words, limit, set_in);
        }
        for words in ["haproxy|-f|/h/none.cfg", "haproxy|-f|/h/env.cfg", "haproxy|-f|/h/if.cfg", "haproxy"] {
            case.is_none(words);
        }
        assert!(case.find("haproxy|-f|/h/gone.cfg").is_err());
        let found = case.find("haproxy|-f|/h/procs.cfg").unwrap().unwrap();
        assert_eq!((found.each_process, found.closes, found.setting.as_str()), (true, false, "maxconn"));
        // What it computes from so few may be lower.
        case.start.descriptors = Some(400);
        case.is_none("haproxy|-f|/h/only.cfg");
    }

    #[test]
    fn clients_of_redis() {
        let files = [
            ("/etc/redis/redis.conf", "port 6379\n# maxclients 1\nMaxClients 400\n"),
            ("/etc/redis/redis-two.conf", "include /etc/redis/redis.conf\n"),
            ("/r/plain.conf", "set-proc-title no\n"),
            ("/r/relative.conf", "include more.conf\n"),
        ];
        let mut case = Case::new("redis-server", &files);
        let title = "redis-server 127.0.0.1:6379||||";
        case.is_none(title);
        case.is_none("redis-server 127.0.0.1:6379  /r/plain.conf|");
        case.is("redis-server|/r/plain.conf", 10_000, "the default");
        case.is("redis-server|/etc/redis/redis.conf|--port|1", 400, "/etc/redis/redis.conf");
        case.is("redis-server|/etc/redis/redis.conf|--maxclients|333", 333, "its command line");
        case.is("redis-server|--set-proc-title|no|--maxclients|50", 50, "its command line");
        for words in ["redis-server|redis.conf", "redis-server|-", "redis-server|/r/relative.conf"] {
            case.is_none(words);
        }
        assert!(case.find("redis-server|/r/none.conf").is_err());
        case.start.units = vec!["redis-server.service".into()];
        case.is(title, 400, "/etc/redis/redis.conf");
        case.start.units = vec!["user@0.service".into(), "redis-server@two.service".into()];
        case.is(title, 400, "/etc/redis/redis.conf");
        case.start.units = vec!["redis-server@three.service".into()];
        case.is_none(title);
        case.start.descriptors = Some(700);
        case.is("redis-server|/r/plain.conf", 668, "the default, 10000 lowered to its open-file limit less 32");
    }

    #[test]
    fn listeners_of_mosquitto() {
        let files = [
            ("/m/one.conf", "listener 1884 127.0.0.1\nallow_anonymous true\nmax_connections 300\n"),
            ("/m/port.conf", "port 1884\n  max_connections 220\n"),
            ("/m/before.conf", "max_connections 250\nlistener 1884\n"),
            ("/m/two.conf", "listener 1\nmax_connections 200\n#max_connections 1\nlistener 2\nmax_connections 100\n"),
            ("/m/half.conf", "listener 1\nmax_connections 200\nlistener 2\n"),
            ("/m/any.conf", "listener 1\nmax_connections -1\n"),
            ("/m/ws.conf", "listener 1\nprotocol websockets\nmax_connections 5\n"),
            ("/m/dir.conf", "persistence true\ninclude_dir /m/d\n"),
            ("/m/d/x.conf", "listener 1\nmax_connections 30\n"),
        ];
        let case = Case::new("mosquitto", &files);
        case.is("mosquitto|-c|/m/one.conf", 300, "/m/one.conf");
        case.is("mosquitto|-v|--config-file|/m/port.conf", 220, "/m/port.conf");
        case.is("mosquitto|-c|/m/two.conf|-d", 300, "/m/two.conf");
        case.is("mosquitto|-c|/m/dir.conf", 30, "/m/dir.conf");
        for words in
            ["-c|/m/before.conf", "-c|/m/half.conf", "-c|/m/any.conf", "-c|/m/ws.conf", "-c|/m/one.conf|-p|1", "-v"]
        {
            case.is_none(&format!("mosquitto|{words}"));
        }
    }

    #[test]
    fn connections_of_postgres() {
        let files = [
            ("/d/postgresql.conf", "port=1\nmax_connections = 60   # few\n#max_connections = 1\n"),
            (
                "/e/postgresql.conf",
                "Max_Connections '80'\nsuperuser_reserved_connections = 5\nreserved_connections 1\ninclude_dir = 'conf.d'\n",
            ),
            ("/e/conf.d/x.conf", "max_connections=90\n"),
            ("/f/postgresql.conf", "listen_addresses = '*'\n"),
            ("/g/postgresql.conf", "superuser_reserved_connections=0\n"),
        ];
        let mut case = Case::new("postgres", &files);
        let less =
            |place: &str, of: u64, reserved: u64| format!("{place}, {of} less {reserved} reserved for superusers");
        case.is("/usr/lib/postgresql/15/bin/postgres|-D|/d", 57, &less("/d/postgresql.conf", 60, 3));
        for words in ["-N|40", "-N40", "-c|max_connections=40", "--max-connections=40", "-i|-N|99|-cmax_connections=40"]
        {
            case.is(&format!("postgres|-D|/d|{words}"), 37, &less("its command line", 40, 3));
        }
        case.is("postgres|-D|/x|-c|config_file=/e/postgresql.conf", 84, &less("/e/conf.d/x.conf", 90, 6));
        case.is("postgres|-D/f", 97, &less("the default", 100, 3));
        case.is("postgres|-D|/g", 100, "the default");
        assert!(case.find("postgres").is_err());
        case.start.data = Some("/d".into());
        case.is("postgres", 57, &less("/d/postgresql.conf", 60, 3));

        let files = [
            ("/cwd/postgresql.conf", "max_connections = 60\n"),
            ("/cwd/postgresql.auto.conf", "# Do not edit\nmax_connections = '70'\n"),
        ];
        let case = Case::new("postgres", &files);
        case.is("postgres|-D|data", 67, &less("/cwd/postgresql.auto.conf", 70, 3));
        case.is("postgres|-D|data|-N|50", 47, &less("its command line", 50, 3));
    }

    #[test]
    fn connections_of_memcached() {
        let mut case = Case::new("memcached", &[]);
        let line = |of: u64, less: u64| format!("its command line, {of} less {less} of its own");
        case.is("memcached|-m|64|-l|127.0.0.1", 998, "the default, 1024 less 26 of its own");
        for words in ["-c|300", "-vc300", "-d|-c|300", "--conn-limit=300", "--conn-limit|300"] {
            case.is(&format!("memcached|{words}"), 274, &line(300, 26));
        }
        case.is("memcached|-c|300|-t|1", 286, &line(300, 14));
        case.is("memcached|-c|300|-t|8", 258, &line(300, 42));
        case.is("memcached|-c|300|-U|11211", 270, &line(300, 30));
        case.is("memcached|-c|300|-o|no_maxconns_fast", 275, &line(300, 25));
        assert!(!case.find("memcached|-o|x,no_maxconns_fast").unwrap().unwrap().closes);
        case.is_none("memcached|-c|many");
        case.start.listeners = 2;
        case.is("memcached|-c|300", 273, &line(300, 27));
    }

    #[test]
    fn this_process_is_no_server() {
        assert_eq!(read(&Roots::default(), std::process::id()), Ok(None));
        assert!(read(&Roots::default(), u32::MAX).is_err());
    }
}
