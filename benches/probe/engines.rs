//! Server and client engines without a dashboard, so that nothing else reads the sources meanwhile.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use c1m_top::engine::config::{ClientConfig, Common, EngineConfig, ServerConfig};
use c1m_top::protocol::{CloseMode, Command, Phase, Reply};

use crate::measure::{Interrupted, Outcome};
use crate::support::{Control, Started, program, wait_until};

/// A ramp that takes longer has stalled.
const LONGEST: Duration = Duration::from_mins(5);

/// Both engines, holding their connections. They end with this value.
#[derive(Debug)]
pub(crate) struct Engines {
    client: Control,
    server: Control,
    processes: [Started; 2],
}

impl Engines {
    /// Starts them; they open nothing yet. An engine is told what it will hold.
    pub(crate) fn start(count: u64) -> Outcome<Self> {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        // An engine aims at one connection at least; told nothing, it opens none.
        let common = Common { port: 9900, ports: 100, workers: None, target: count.max(1) };
        let (server, server_process) =
            engine(&EngineConfig::Server(ServerConfig { common: common.clone(), listen: vec![ip] }))?;
        let client = ClientConfig {
            common,
            target_ip: ip,
            zone: 0,
            sources: Vec::new(),
            rate: None,
            greet: false,
            persist: false,
            traffic: None,
            share: None,
        };
        let (client, client_process) = engine(&EngineConfig::Client(client))?;
        Ok(Self { client, server, processes: [client_process, server_process] })
    }

    /// Opens `count` connections and looks on every 100 ms.
    pub(crate) fn ramp(&mut self, count: u64, stop: &Interrupted, mut look: impl FnMut()) -> Outcome<()> {
        self.client.tell(&Command::Resume);
        let start = Instant::now();
        loop {
            let (client, server) = (self.client.stats(), self.server.stats());
            if client.phase == Phase::Holding && server.open >= count {
                return Ok(());
            }
            if let Some(reason) = client.stop {
                return Err(format!("the client stopped at {}: {}", client.open, reason.text).into());
            }
            if start.elapsed() > LONGEST {
                return Err(format!("stalled at {} established, {} accepted", client.open, server.open).into());
            }
            stop.sleep(Duration::from_millis(100))?;
            look();
        }
    }

    pub(crate) fn server_pid(&self) -> u32 {
        self.server.pid
    }

    pub(crate) fn client_pid(&self) -> u32 {
        self.client.pid
    }

    /// Closes by reset, so that nothing stays behind in `TIME_WAIT`, and lets both end.
    fn end(&mut self) {
        self.client.tell(&Command::Close { mode: CloseMode::Rst, per_s: None });
        wait_until("the close", || (self.client.stats().open + self.server.stats().open == 0).then_some(()));
        for engine in [&mut self.client, &mut self.server] {
            assert_eq!(engine.ask(&Command::Stop), Reply::Bye);
        }
        for process in &mut self.processes {
            wait_until("the end of an engine", || process.try_wait().ok()?);
        }
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        // What has failed is killed with its connections.
        if !std::thread::panicking() {
            self.end();
        }
    }
}

fn engine(config: &EngineConfig) -> Outcome<(Control, Started)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = program();
    command.arg("engine").arg(serde_json::to_string(config)?).stdin(OwnedFd::from(theirs));
    let process = Started::spawn(command.process_group(0));
    drop(command);
    let control = Control::greeted(process.id(), ours).ok_or("an engine did not start")?;
    Ok((control, process))
}
