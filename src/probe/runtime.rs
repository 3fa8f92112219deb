//! A limit that a program's own runtime keeps: in its command line or its environment, which are read once. A program that
//! writes a title over its command line takes its options with it. Only limits that are written there are found, and BEAM's default.

use super::beam::is_beam;
use super::source::Source;
use crate::sample::kernel::{Absent, Reading, Runtime, RuntimeLimit};

/// Ports of BEAM without `+Q` (erl(1), since OTP R16); more where more descriptors are allowed.
const PORTS: u64 = 65_536;
/// Fewest and most that `+Q` and `ERL_MAX_PORTS` can ask for (erl(1)).
const PORTS_RANGE: (u64, u64) = (1024, 134_217_727);

/// Half of V8's young generation at the most, unless set (`v8.getHeapStatistics().heap_size_limit` of node 20 is three of
/// these above the old space).
const SEMI_SPACE: u64 = 16 << 20;

/// Options of `node` that take the next word, as far as they are in use before the name of a script (node(1)).
const NODE_TAKES: [&str; 11] = [
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "-e",
    "--eval",
    "-p",
    "--print",
];
/// The same of `java` (java(1)).
const JAVA_TAKES: [&str; 10] = [
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--upgrade-module-path",
    "--add-modules",
    "--add-reads",
    "--add-exports",
    "--add-opens",
];

/// Reads the two files. `program` is the name of the executable, where that can be read; `descriptors` the soft
/// `RLIMIT_NOFILE` that BEAM was started with.
pub(crate) fn read(
    mut cmdline: Source,
    mut environ: Source,
    program: Option<&str>,
    descriptors: Option<u64>,
    buf: &mut Vec<u8>,
) -> Reading<Option<RuntimeLimit>> {
    let words = |text: &str| text.split_terminator('\0').map(ToOwned::to_owned).collect();
    let args: Vec<String> = cmdline.read(buf).map(words)?;
    // A thread of the kernel.
    if args.is_empty() {
        return Ok(None);
    }
    let environ = environ.read(buf).map(words);
    Start { args, environ }.limit(program, descriptors)
}

/// How a program was started.
struct Start {
    args: Vec<String>,
    environ: Reading<Vec<String>>,
}

impl Start {
    fn limit(&self, program: Option<&str>, descriptors: Option<u64>) -> Reading<Option<RuntimeLimit>> {
        // A program may call itself as it likes in its first argument; then its executable tells.
        let named = self.args.first().map(|arg| arg.rsplit('/').next().unwrap_or(arg));
        let runtime = named.and_then(runtime_of).or_else(|| program.and_then(runtime_of)).unwrap_or(Runtime::Go);
        let found = match runtime {
            Runtime::Beam if self.has_no_ports() => return Ok(None),
            Runtime::Beam => Some(self.ports(descriptors)),
            Runtime::V8 => self.heap_of_node(),
            Runtime::Jvm => self.heap_of_java(),
            Runtime::Go => self.var("GOMEMLIMIT").and_then(|v| Some((go_bytes(v)?, format!("GOMEMLIMIT={v}")))),
        };
        match (found, &self.environ) {
            (Some((limit, set_by)), _) => {
                let besides = if runtime == Runtime::V8 { self.young_of_node() } else { 0 };
                Ok(Some(RuntimeLimit { runtime, limit, set_by, besides }))
            }
            (None, Ok(_)) => Ok(None),
            (None, Err(why)) => {
                Err(Absent::Because(format!("none on its command line; its environment: {why}").into()))
            }
        }
    }

    /// A variable of the environment.
    fn var(&self, name: &str) -> Option<&str> {
        let environ = self.environ.as_ref().ok()?;
        environ.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The ports that BEAM has room for. Its table is a power of two (measured, OTP 25). erlexec, which starts the emulator,
    /// moves its flags to the front, writes `-` for `+`, and takes them out of `ERL_FLAGS` and the like.
    fn ports(&self, descriptors: Option<u64>) -> (u64, String) {
        let mut words = self.args.iter().skip(1).take_while(|word| *word != "--");
        let mut flag = None;
        while let Some(word) = words.next() {
            let Some(glued) = word.strip_prefix("-Q").or_else(|| word.strip_prefix("+Q")) else { continue };
            let value = if glued.is_empty() { words.next().map_or("", String::as_str) } else { glued };
            // `+Q legacy` names no number.
            flag = value.parse::<u64>().ok().or(flag);
        }
        let (asked, set_by) = match (flag, self.var("ERL_MAX_PORTS")) {
            (Some(ports), _) => (ports, format!("+Q {ports}")),
            // What is no number counts as 0, and as the least.
            (None, Some(ports)) => (ports.trim().parse().unwrap_or(0), format!("ERL_MAX_PORTS={ports}")),
            (None, None) => {
                let unless = match &self.environ {
                    Ok(_) => String::new(),
                    Err(why) => format!(", unless its environment names ERL_MAX_PORTS: {why}"),
                };
                (PORTS.max(descriptors.unwrap_or(0)), format!("the default{unless}"))
            }
        };
        (asked.clamp(PORTS_RANGE.0, PORTS_RANGE.1).next_power_of_two(), set_by)
    }

    /// Whether BEAM's sockets are those of the `socket` module, which take no ports (`inet_backend` of kernel(6); measured).
    fn has_no_ports(&self) -> bool {
        self.args.windows(2).any(|pair| pair == ["inet_backend", "socket"])
    }

    /// `--max-old-space-size=`, MiB.
    fn heap_of_node(&self) -> Option<(u64, String)> {
        self.mib_of_node("--max-old-space-size")
    }

    /// What V8's young generation takes at the most: two halves of `--max-semi-space-size=`.
    fn young_of_node(&self) -> u64 {
        let half = self.mib_of_node("--max-semi-space-size").map_or(SEMI_SPACE, |found| found.0);
        half.saturating_mul(2)
    }

    /// An option of V8 in MiB; the last one counts, the command line's after that of `NODE_OPTIONS`.
    fn mib_of_node(&self, option: &str) -> Option<(u64, String)> {
        let vars = self.var("NODE_OPTIONS").unwrap_or_default().split_ascii_whitespace();
        let words = vars.chain(options(&self.args, &NODE_TAKES));
        let sizes = words.filter_map(|word| {
            // V8 takes either mark within a name.
            let (name, value) = word.split_once('=')?;
            let mib: u64 = value.parse().ok()?;
            (name.replace('_', "-") == option && mib > 0).then(|| (mib.saturating_mul(1 << 20), word.to_owned()))
        });
        sizes.last()
    }

    /// `-Xmx`, or its other name; the last one counts.
    fn heap_of_java(&self) -> Option<(u64, String)> {
        let var = |name| self.var(name).unwrap_or_default().split_ascii_whitespace();
        let before = var("JAVA_TOOL_OPTIONS").chain(var("JDK_JAVA_OPTIONS"));
        let words = before.chain(options(&self.args, &JAVA_TAKES)).chain(var("_JAVA_OPTIONS"));
        let heaps = words.filter_map(|word| {
            let size = word.strip_prefix("-Xmx").or_else(|| word.strip_prefix("-XX:MaxHeapSize="))?;
            Some((java_bytes(size)?, word.to_owned()))
        });
        heaps.last()
    }
}

/// The runtime that an executable of this name is.
fn runtime_of(name: &str) -> Option<Runtime> {
    match name {
        "node" | "nodejs" => Some(Runtime::V8),
        "java" => Some(Runtime::Jvm),
        _ if is_beam(name) => Some(Runtime::Beam),
        _ => None,
    }
}

/// The options before the name of what is run: that one's own words are not the runtime's.
fn options<'a>(args: &'a [String], take_next: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let mut words = args.iter().skip(1).map(String::as_str);
    std::iter::from_fn(move || {
        let word = words.next().filter(|word| word.starts_with('-') && *word != "--")?;
        if take_next.contains(&word) {
            words.next();
        }
        Some(word)
    })
}

/// `128m` as Java reads it: binary multiples, either case.
fn java_bytes(text: &str) -> Option<u64> {
    in_units(&text.to_ascii_lowercase(), &[("", 0), ("k", 10), ("m", 20), ("g", 30), ("t", 40)])
}

/// `GOMEMLIMIT` as the package runtime of Go documents it: bytes, with `B`, `KiB`, `MiB`, `GiB` or `TiB`; `off` is none.
fn go_bytes(text: &str) -> Option<u64> {
    let bytes = in_units(text, &[("", 0), ("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]);
    // The largest number of a signed 64-bit word is none too.
    bytes.filter(|bytes| *bytes < i64::MAX as u64)
}

/// A number above 0 and its unit, each with the power of two that it stands for.
fn in_units(text: &str, units: &[(&str, u32)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (_, shift) = units.iter().find(|(unit, _)| *unit == &text[digits.len()..])?;
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: Absent = Absent::because("needs root (/proc/7/environ)");

    fn find(args: &str, environ: Reading<&str>) -> Reading<Option<(Runtime, u64, String)>> {
        let words = |text: &str| text.split_terminator('|').map(ToOwned::to_owned).collect();
        let start = Start { args: words(args), environ: environ.map(words) };
        Ok(start.limit(None, Some(1024))?.map(|l| (l.runtime, l.limit, l.set_by)))
    }

    #[track_caller]
    fn is(args: &str, environ: &str, runtime: Runtime, limit: u64, set_by: &str) {
        assert_eq!(find(args, Ok(environ)), Ok(Some((runtime, limit, set_by.to_owned()))), "{args}");
    }

    #[test]
    fn ports_of_beam() {
        const BEAM: &str = "/usr/lib/erlang/erts-13.1.5/bin/beam.smp";
        const REST: &str = "--|-root|/usr/lib/erlang|-progname|erl|--|-home|/root|--|-noshell";
        let rows = [
            // Each as `erlang:system_info(port_limit)` says, OTP 25.
            (format!("{BEAM}|{REST}"), "", 65_536, "the default"),
            (format!("{BEAM}|-Q|5000|{REST}"), "ERL_MAX_PORTS=3000", 8192, "+Q 5000"),
            (format!("{BEAM}|-Q100000|{REST}"), "", 131_072, "+Q 100000"),
            (format!("{BEAM}|-Q|1024|-Q|5000|{REST}"), "", 8192, "+Q 5000"),
            (format!("{BEAM}|{REST}"), "A=1|ERL_MAX_PORTS=3000", 4096, "ERL_MAX_PORTS=3000"),
            (format!("{BEAM}|{REST}"), "ERL_MAX_PORTS=junk", 1024, "ERL_MAX_PORTS=junk"),
            (format!("{BEAM}|-Q|legacy|{REST}"), "", 65_536, "the default"),
            // Not the emulator's: erlexec has put its flags before the first --.
            (format!("{BEAM}|{REST}|-extra|+Q|9999"), "", 65_536, "the default"),
        ];
        for (args, environ, ports, set_by) in rows {
            is(&args, environ, Runtime::Beam, ports, set_by);
        }
        let hidden = find(&format!("{BEAM}|{REST}"), Err(HIDDEN)).unwrap().unwrap();
        assert_eq!((hidden.1, hidden.2.contains("unless its environment names ERL_MAX_PORTS")), (65_536, true));
        assert_eq!(find(&format!("{BEAM}|{REST}|-kernel|inet_backend|socket"), Ok("")), Ok(None));
        let many = Start { args: vec![BEAM.into()], environ: Ok(Vec::new()) }.limit(None, Some(100_000));
        assert_eq!(many.unwrap().unwrap().limit, 131_072, "as many as it may open descriptors");
    }

    #[test]
    fn heap_of_node() {
        const MIB: u64 = 1 << 20;
        is("node|--max-old-space-size=300|app.js", "", Runtime::V8, 300 * MIB, "--max-old-space-size=300");
        is("/usr/bin/node|--max_old_space_size=64|a", "", Runtime::V8, 64 * MIB, "--max_old_space_size=64");
        let both = "NODE_OPTIONS=--inspect --max-old-space-size=400";
        is("node|app.js", both, Runtime::V8, 400 * MIB, "--max-old-space-size=400");
        is("node|-r|dotenv|--max-old-space-size=300|a", both, Runtime::V8, 300 * MIB, "--max-old-space-size=300");
        for args in ["node|app.js|--max-old-space-size=300", "node|--max-old-space-size|300", "node|app.js", "node"] {
            assert_eq!(find(args, Ok("")), Ok(None), "{args}");
        }
        let young = |words: &str| {
            let args = words.split('|').map(ToOwned::to_owned).collect();
            Start { args, environ: Ok(Vec::new()) }.limit(None, None).unwrap().unwrap().besides
        };
        assert_eq!(young("node|--max-old-space-size=300|app.js"), 32 * MIB);
        assert_eq!(young("node|--max-old-space-size=300|--max_semi_space_size=64|app.js"), 128 * MIB);
        assert_eq!(young("java|-Xmx1g|Main"), 0);
        let why = find("node|app.js", Err(HIDDEN)).unwrap_err().to_string();
        assert_eq!(why, "none on its command line; its environment: needs root (/proc/7/environ)");
    }

    #[test]
    fn heap_of_java() {
        const MIB: u64 = 1 << 20;
        is("java|-Xmx64m|-Xmx128M|-jar|a.jar", "", Runtime::Jvm, 128 * MIB, "-Xmx128M");
        is("/opt/jdk/bin/java|-cp|a.jar|-Xmx1g|Main", "", Runtime::Jvm, 1024 * MIB, "-Xmx1g");
        is("java|-Xmx131072k|Main|-Xmx1g", "", Runtime::Jvm, 128 * MIB, "-Xmx131072k");
        is("java|-XX:MaxHeapSize=134217728|M", "", Runtime::Jvm, 128 * MIB, "-XX:MaxHeapSize=134217728");
        let vars = "JAVA_TOOL_OPTIONS=-Xmx64m -Dx=1|JDK_JAVA_OPTIONS=-Xmx80m";
        is("java|-jar|a.jar", vars, Runtime::Jvm, 80 * MIB, "-Xmx80m");
        is("java|-Xmx96m|M", vars, Runtime::Jvm, 96 * MIB, "-Xmx96m");
        is("java|-Xmx96m|M", "_JAVA_OPTIONS=-Xmx48m", Runtime::Jvm, 48 * MIB, "-Xmx48m");
        for args in ["java|-jar|a.jar|-Xmx1g", "java|-Xmx|M", "java|-Xmxlots|M", "java|-Xmx99999999999999999999g|M"] {
            assert_eq!(find(args, Ok("")), Ok(None), "{args}");
        }
    }

    #[test]
    fn any_other_program_may_be_a_go_one() {
        is("/srv/chat", "GOMEMLIMIT=2GiB", Runtime::Go, 2 << 30, "GOMEMLIMIT=2GiB");
        is("/srv/chat", "GOMEMLIMIT=1048576", Runtime::Go, 1 << 20, "GOMEMLIMIT=1048576");
        for environ in ["GOMEMLIMIT=off", "GOMEMLIMIT=2g", "GOMEMLIMIT=", "GOMEMLIMIT=9223372036854775807B", "X=1"] {
            assert_eq!(find("/srv/chat", Ok(environ)), Ok(None), "{environ}");
        }
        // A kernel thread, or a zombie: no argument at all.
        assert_eq!(find("", Ok("")), Ok(None));
        assert!(find("nginx", Err(HIDDEN)).is_err());
    }
}
