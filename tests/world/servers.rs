//! How each server is started with a limit of a test's choice. All have their files in the directories of the test, listen on
//! the port that is theirs everywhere, and end with the namespace of the test.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::support::{Home, Started, is_running, succeed, wait_until};

/// Most descriptors that a server may give itself, where they are not what limits it.
const ENOUGH: u64 = 19_000;

/// Files that a server may open besides for its own ends: logs, a timer.
const FEW: u64 = 16;

/// A process and all that descend from it.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        at += 1;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().map(|w| w.parse::<u32>().unwrap()));
        }
    }
    found
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    /// The process to attach to.
    pub(crate) attach: u32,
    /// The process whose limits bound it.
    pid: u32,
    pub(crate) port: u16,
    /// The process that the test started: the same, or one above it.
    first: Started,
}

impl Server {
    /// Raises the soft limit of descriptors of the running process, as its owner may: root needs `CAP_SYS_RESOURCE` for what
    /// is not its own (prlimit(2)), which it may lack in a container.
    pub(crate) fn raise_descriptors(&self, to: u64) {
        let owner = fs::metadata(format!("/proc/{}", self.pid)).unwrap();
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", owner.uid())).arg(format!("--regid={}", owner.gid())).arg("--clear-groups");
        succeed(command.args(["prlimit", "--pid", &self.pid.to_string(), &format!("--nofile={to}:")]));
    }

    /// Files that it and its processes have open.
    pub(crate) fn open_files(&self) -> u64 {
        let open = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        descendants(self.attach).into_iter().map(open).sum::<usize>() as u64
    }

    /// Waits until it has no more files open than at rest: it has seen the end of all its connections. One that accepts what it
    /// does not look at never does.
    #[track_caller]
    pub(crate) fn until_at_rest(&self, rest: u64) {
        wait_until("the server having closed all its connections", || (self.open_files() <= rest + FEW).then_some(()));
    }

    /// A soft limit of it, by the name that /proc/PID/limits has for it.
    fn soft_limit(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/limits", self.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// What is needed to start one: a directory for it alone, which may belong to another user.
#[derive(Debug)]
struct Place {
    dir: PathBuf,
    user: Option<u32>,
}

impl Place {
    /// Of root.
    fn new() -> Self {
        Self::of(None)
    }

    /// Of a user who has a name, as Debian's packages make them.
    fn of_user(name: &str) -> Self {
        Self::of(Some(succeed(Command::new("id").args(["-u", name])).trim().parse().unwrap()))
    }

    fn of(user: Option<u32>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let home = Home::path();
        // Whoever the server becomes passes through.
        fs::set_permissions(&home, Permissions::from_mode(0o711)).unwrap();
        let dir = home.join(format!("server-{}", COUNT.fetch_add(1, Relaxed)));
        fs::create_dir(&dir).unwrap();
        chown(&dir, user, user).unwrap();
        Self { dir, user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes one of its files.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        chown(&path, self.user, self.user).unwrap();
        path
    }

    /// A command line that its user runs there, with so many descriptors, soft and hard.
    fn command(&self, descriptors: u64, program: impl AsRef<Path>) -> Command {
        self.command_with(&descriptors.to_string(), program)
    }

    /// As [`Place::command`], with descriptors as prlimit(1) takes them: `soft:hard`.
    fn command_with(&self, descriptors: &str, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={descriptors}")).arg("--core=0");
        if let Some(user) = self.user {
            command.args(["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
        }
        command.arg(program.as_ref()).current_dir(&self.dir);
        command
    }

    /// Starts what becomes a program of this name, and waits until it listens.
    #[track_caller]
    fn start(&self, command: &mut Command, name: &str, port: u16) -> Server {
        let first = Started::become_program(self.logged(command), name);
        self.wait_for(first.id(), port);
        Server { attach: first.id(), pid: first.id(), port, first }
    }

    /// What it prints goes to a file.
    fn logged<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log)
    }

    /// Waits until somebody listens on a port. Nothing connects, so that the server has had no connection.
    #[track_caller]
    fn wait_for(&self, pid: u32, port: u16) {
        wait_until(&format!("a listener on port {port}"), || {
            let said = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(is_running(pid), "ended before it listened on port {port}:\n{}", said());
            is_listening(port).then_some(())
        });
    }
}

/// Whether this network namespace has a listener on a port.
fn is_listening(port: u16) -> bool {
    let address = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        // Local address, remote address, state (proc(5)).
        text.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(&address)) && words.nth(1) == Some("0A")
        })
    })
}

/// nginx with two workers; each bounds itself, its listener and its channel to the master included.
pub(crate) fn nginx(worker_connections: u64) -> Server {
    let place = Place::new();
    let conf = format!(
        "user root;
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections {worker_connections}; }}
http {{
    access_log off;
    # Who says nothing is not sent away while the test runs.
    client_header_timeout 10m;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{ listen 127.0.0.1:8080; return 204; }}
}}
"
    );
    let conf = place.write("nginx.conf", &conf);
    let mut command = place.command(ENOUGH, "nginx");
    command.arg("-p").arg(&place.dir).arg("-c").arg(conf).arg("-e").arg(place.path("error.log"));
    place.start(&mut command, "nginx", 8080)
}

/// haproxy, which stops accepting at its limit.
pub(crate) fn haproxy(maxconn: u64) -> Server {
    let place = Place::new();
    let conf = format!(
        "global
    maxconn {maxconn}
    nbthread 1
defaults
    mode http
    timeout client 10m
    timeout http-request 10m
    timeout connect 5s
    timeout server 10m
frontend web
    bind 127.0.0.1:8081
    backlog 128
    http-request return status 204
"
    );
    let conf = place.write("haproxy.cfg", &conf);
    let mut command = place.command(ENOUGH, "haproxy");
    place.start(command.arg("-db").arg("-f").arg(conf), "haproxy", 8081)
}

/// redis.
pub(crate) fn redis(maxclients: u64) -> Server {
    let place = Place::new();
    let mut command = place.command(ENOUGH, "redis-server");
    command.args(["--port", "6379", "--bind", "127.0.0.1", "--save", ""]);
    // With its title it overwrites its command line, from which nobody could read the limit then.
    command.args(["--maxclients", &maxclients.to_string(), "--set-proc-title", "no"]);
    place.start(&mut command, "redis-server", 6379)
}

/// mosquitto. Its other settings are its defaults.
pub(crate) fn mosquitto(max_connections: u64) -> Server {
    let place = Place::new();
    let conf = format!("user root\nlistener 1883 127.0.0.1\nmax_connections {max_connections}\nallow_anonymous true\n");
    let conf = place.write("mosquitto.conf", &conf);
    let mut command = place.command(ENOUGH, "mosquitto");
    place.start(command.arg("-c").arg(conf), "mosquitto", 1883)
}

/// postgres, a process for each connection.
pub(crate) fn postgres(max_connections: u64) -> Server {
    let place = Place::of_user("postgres");
    // Debian keeps its programs out of PATH, one directory for each version.
    let versions = fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
    let bin = versions.max().unwrap().join("bin");
    let data = place.path("data");
    let mut init = place.command(ENOUGH, bin.join("initdb"));
    succeed(init.args(["--auth=trust", "--username=postgres", "--no-sync", "--pgdata"]).arg(&data));
    let conf = data.join("postgresql.conf");
    let ours = format!(
        "max_connections = {max_connections}\nlisten_addresses = '127.0.0.1'\nport = 5432\n\
         unix_socket_directories = ''\nshared_buffers = 16MB\nfsync = off\n"
    );
    fs::write(&conf, fs::read_to_string(&conf).unwrap() + &ours).unwrap();
    let mut command = place.command(ENOUGH, bin.join("postgres"));
    place.start(command.arg("-D").arg(&data), "postgres", 5432)
}

/// ejabberd with so many ports, and room for as many descriptors.
pub(crate) fn ejabberd_by_ports(ports: u64) -> Server {
    limits_conf("ejabberd", ENOUGH);
    // It does not stop accepting when it is full, and may take a breath while a machine has much to do.
    ejabberd(ports, 1024)
}

/// What `pam_limits(8)` gives whoever comes by su, where limits.conf says nothing: a soft limit as that of process 1.
pub(crate) const BY_PAM: u64 = 1024;

/// ejabberd with so many descriptors, and more ports than that.
pub(crate) fn ejabberd_by_descriptors(descriptors: u64) -> Server {
    if descriptors != BY_PAM {
        limits_conf("ejabberd", descriptors);
    }
    let server = ejabberd(8192, 128);
    assert_eq!(server.soft_limit("Max open files"), descriptors);
    server
}

/// ejabberd that was given more descriptors than it was started with, while it ran.
pub(crate) fn ejabberd_raised(descriptors: u64) -> Server {
    let server = ejabberd(8192, 128);
    server.raise_descriptors(descriptors);
    server
}

/// Says in limits.conf(5), as this test alone sees it, how many descriptors a user may have.
fn limits_conf(user: &str, descriptors: u64) {
    let place = Place::new();
    place.write("world.conf", &format!("{user} soft nofile {descriptors}\n"));
    let mount = Command::new("mount").arg("--bind").arg(&place.dir).arg("/etc/security/limits.d").status();
    assert!(mount.unwrap().success(), "a mount of the test's own namespace");
}

/// As [`ejabberd_by_descriptors`], attached to where it was started: `ejabberdctl`, far above the emulator.
pub(crate) fn ejabberd_from_above(descriptors: u64) -> Server {
    let server = ejabberd_by_descriptors(descriptors);
    Server { attach: server.first.id(), ..server }
}

/// ejabberd as its package starts it: `ejabberdctl`, `su`, a shell, the emulator, with so many ports, so long an accept
/// queue, and what descriptors PAM leaves it.
fn ejabberd(ports: u64, backlog: u64) -> Server {
    let place = Place::of_user("ejabberd");
    let conf = format!(
        "loglevel: error
hosts: [localhost]
negotiation_timeout: 1 hour
listen:
  - port: 5222
    ip: \"127.0.0.1\"
    module: ejabberd_c2s
    backlog: {backlog}
modules: {{}}
"
    );
    let conf = place.write("ejabberd.yml", &conf);
    let pid = place.path("pid");
    place.write(
        "ejabberdctl.cfg",
        &format!(
            "ERL_MAX_PORTS={ports}\nERL_OPTIONS=\"-env ERL_CRASH_DUMP_BYTES 0\"\nEJABBERD_PID_PATH={}\n",
            pid.display()
        ),
    );
    fs::copy("/etc/ejabberd/inetrc", place.path("inetrc")).unwrap();
    let mut command = Command::new("ejabberdctl");
    command.args(["--node", "world@localhost"]).arg("--config").arg(conf);
    for option in ["--config-dir", "--logs", "--spool"] {
        command.arg(option).arg(&place.dir);
    }
    let first = Started::spawn(place.logged(command.arg("foreground")));
    place.wait_for(first.id(), 5222);
    let emulator = wait_until("the number of the emulator", || fs::read_to_string(&pid).ok()?.trim().parse().ok());
    Server { attach: emulator, pid: emulator, port: 5222, first }
}

/// A program in node that holds what it accepts.
const NODE: &str = "require('net').createServer(s => {
  s.on('error', () => {});
  // What it remembers of a connection, on its heap.
  s.session = Array.from({ length: Number(process.argv[2]) }, (_, i) => i + 0.5);
}).listen(8082, '127.0.0.1', 511);
";

/// node with so many descriptors, soft and hard: it raises the soft limit itself.
pub(crate) fn node_by_descriptors(descriptors: u64) -> Server {
    let place = Place::new();
    let script = place.write("server.js", NODE);
    let mut command = place.command(descriptors, "node");
    place.start(command.arg(script).arg("0"), "node", 8082)
}

/// node with a heap of so many MiB, of which each connection takes some 40 kB.
pub(crate) fn node_by_heap(mib: u64) -> Server {
    let place = Place::new();
    let script = place.write("server.js", NODE);
    let mut command = place.command(ENOUGH, "node");
    command.arg(format!("--max-old-space-size={mib}")).arg(script).arg("5000");
    place.start(&mut command, "node", 8082)
}

/// A server in Java: a thread for each connection, or all in one with some memory for each.
const JAVA: &str = "import java.net.*;
import java.nio.channels.*;
import java.util.*;
class Server {
    static final List<Object> HELD = new ArrayList<>();
    public static void main(String[] args) throws Exception {
        if (args[0].equals(\"threads\")) {
            ServerSocket listener = new ServerSocket(8083, 128, InetAddress.getLoopbackAddress());
            HELD.add(listener);
            while (true) {
                Socket socket = listener.accept();
                HELD.add(socket);
                new Thread(() -> read(socket)).start();
            }
        }
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 8083), 128);
        Selector selector = Selector.open();
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select(key -> {
                try {
                    if (key.isReadable()) {
                        // Nobody says anything: it has ended.
                        key.channel().close();
                        return;
                    }
                    SocketChannel channel = ((ServerSocketChannel) key.channel()).accept();
                    if (channel == null) return;
                    channel.configureBlocking(false);
                    channel.register(selector, SelectionKey.OP_READ, new byte[32 << 10]);
                } catch (java.io.IOException e) {
                    throw new RuntimeException(e);
                }
            });
        }
    }
    static void read(Socket socket) {
        try (socket) { socket.getInputStream().read(); } catch (java.io.IOException e) { }
    }
}
";

/// Compiles it.
fn java(place: &Place) {
    let source = place.write("Server.java", JAVA);
    succeed(Command::new("javac").args(["-J-Xshare:auto", "-proc:none", "-d"]).arg(&place.dir).arg(source));
}

/// A user for this test alone: `RLIMIT_NPROC` counts every thread of a user, on the whole machine.
fn nobody_else() -> u32 {
    let namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
    1_000_000 + u32::try_from(namespace % 1_000_000).unwrap()
}

/// Java with a thread for each connection, and so many of them for its user.
pub(crate) fn java_by_threads(threads: u64) -> Server {
    let place = Place::of(Some(nobody_else()));
    java(&place);
    // The limit has to be set for the user: root may pass it (getrlimit(2)).
    let mut command = place.command(ENOUGH, "prlimit");
    command.arg(format!("--nproc={threads}")).arg("java");
    // The collector and the compilers have few threads, and one each however many cores there are.
    command.args([
        "-Xmx128m",
        "-Xss256k",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:CICompilerCount=1",
        "-cp",
    ]);
    place.start(command.arg(&place.dir).args(["Server", "threads"]), "java", 8083)
}

/// Java with a heap of so many MiB, of which each connection takes some 33 kB.
pub(crate) fn java_by_heap(mib: u64) -> Server {
    let place = Place::new();
    java(&place);
    let mut command = place.command(ENOUGH, "java");
    command.arg(format!("-Xmx{mib}m")).arg("-cp").arg(&place.dir).args(["Server", "heap"]);
    place.start(&mut command, "java", 8083)
}

/// A server in Netty, with some memory for each connection.
const NETTY: &str = "import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.*;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.util.AttributeKey;
class Netty {
    static final AttributeKey<byte[]> SESSION = AttributeKey.valueOf(\"session\");
    public static void main(String[] args) throws Exception {
        int size = Integer.parseInt(args[0]);
        ServerBootstrap server = new ServerBootstrap();
        server.group(new NioEventLoopGroup(1)).channel(NioServerSocketChannel.class);
        server.option(ChannelOption.SO_BACKLOG, 128).childHandler(new ChannelInitializer<SocketChannel>() {
            protected void initChannel(SocketChannel channel) {
                channel.attr(SESSION).set(new byte[size]);
            }
        });
        server.bind(\"127.0.0.1\", 8086).sync().channel().closeFuture().sync();
    }
}
";

/// Where Debian's `libnetty-java` has it.
pub(crate) const NETTY_JAR: &str = "/usr/share/java/netty-transport.jar";
/// The same, and what it is built on.
const NETTY_JARS: &str = "/usr/share/java/netty-transport.jar:/usr/share/java/netty-resolver.jar:\
                          /usr/share/java/netty-buffer.jar:/usr/share/java/netty-common.jar";

/// Compiles it, and starts it with these options and so much for each connection.
fn netty(descriptors: u64, options: &[&str], session: u64) -> Server {
    let place = Place::new();
    let source = place.write("Netty.java", NETTY);
    let mut compile = Command::new("javac");
    compile.args(["-J-Xshare:auto", "-proc:none", "-cp", NETTY_JARS, "-d"]);
    succeed(compile.arg(&place.dir).arg(source));
    let mut command = place.command(descriptors, "java");
    command.args(options).args(["-Dio.netty.noUnsafe=true", "-cp"]);
    command.arg(format!("{}:{NETTY_JARS}", place.dir.display())).args(["Netty", &session.to_string()]);
    place.start(&mut command, "java", 8086)
}

/// Netty with so many descriptors, soft and hard: the JVM raises the soft limit itself. Without one it rests for a second, and
/// tries again.
pub(crate) fn netty_by_descriptors(descriptors: u64) -> Server {
    netty(descriptors, &["-Xmx128m"], 0)
}

/// Netty with a heap of so many MiB, of which each connection takes some 35 kB; it ends when there is no more, as people run it.
pub(crate) fn netty_by_heap(mib: u64) -> Server {
    netty(ENOUGH, &[&format!("-Xmx{mib}m"), "-XX:+ExitOnOutOfMemoryError"], 32 << 10)
}

/// A server in asyncio that holds what it accepts.
const ASYNCIO: &str = "import asyncio
async def hold(reader, writer):
    await reader.read()
async def main():
    server = await asyncio.start_server(hold, '127.0.0.1', 8084, backlog=128)
    await server.serve_forever()
asyncio.run(main())
";

/// asyncio with so many descriptors, and leave to take more.
pub(crate) fn asyncio(descriptors: u64) -> Server {
    let place = Place::new();
    let script = place.write("server.py", ASYNCIO);
    // `python3` of PATH may be a shell's; the system's is the program.
    let mut command = place.command_with(&format!("{descriptors}:{ENOUGH}"), "/usr/bin/python3");
    place.start(command.arg(script), "python3", 8084)
}

/// A server in Go that holds what it accepts, and tries again later when it may not.
const GO: &str = "package main
import (
    \"net\"
    \"time\"
)
func main() {
    listener, err := net.Listen(\"tcp4\", \"127.0.0.1:8085\")
    if err != nil {
        panic(err)
    }
    for {
        conn, err := listener.Accept()
        if err != nil {
            time.Sleep(100 * time.Millisecond)
            continue
        }
        go func() {
            one := make([]byte, 1)
            conn.Read(one)
            conn.Close()
        }()
    }
}
";

/// Go with so many descriptors, soft and hard: it raises the soft limit itself.
pub(crate) fn go(descriptors: u64) -> Server {
    let place = Place::new();
    // Go asks for as long a queue as this namespace allows.
    fs::write("/proc/sys/net/core/somaxconn", "128").unwrap();
    let source = place.write("server.go", GO);
    let program = place.path("goserver");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&program).arg(source).env("GO111MODULE", "off");
    succeed(build.env("GOCACHE", place.path("cache")).env("HOME", &place.dir));
    let mut command = place.command(descriptors, &program);
    place.start(&mut command, "goserver", 8085)
}
