//! A Slurm of several nodes on one machine: Debian's daemons, each node in a network namespace with a host name of its own, on a
//! bridge. The test is among processes of its own (`own_processes!`), with which all of it ends.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{BINARY, Home, Net, Started, succeed, wait_until};

/// `%n` is the node's name. Nothing is confined, and root runs the jobs.
const CONFIGURATION: &str = "ClusterName=c1m
SlurmctldHost=ctl(10.99.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=DIR/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=20
SelectType=select/cons_tres
StateSaveLocation=DIR/state
SlurmctldPidFile=DIR/ctl.pid
SlurmctldLogFile=DIR/ctl.log
SlurmdPidFile=DIR/%n.pid
SlurmdLogFile=DIR/%n.log
SlurmdSpoolDir=DIR/spool-%n
SlurmdParameters=config_overrides
";

/// Nodes `n1` to `nN`, all idle at first.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: PathBuf,
    nodes: Vec<Net>,
    /// They end with this.
    _daemons: Vec<Started>,
}

impl Cluster {
    pub(crate) fn start(size: usize) -> Self {
        let dir = Home::path().join("slurm");
        fs::create_dir_all(dir.join("munge")).unwrap();
        fs::create_dir_all(dir.join("state")).unwrap();
        sh("ip link add br0 type bridge && ip addr add 10.99.0.1/24 dev br0 && ip link set br0 up");
        let mut configuration = CONFIGURATION.replace("DIR", dir.to_str().unwrap());
        let mut hosts = fs::read_to_string("/etc/hosts").unwrap() + "\n10.99.0.1 ctl\n";
        let nodes: Vec<Net> = (1..=size).map(|n| join(n, &mut configuration, &mut hosts)).collect();
        writeln!(configuration, "PartitionName=all Nodes=n[1-{size}] Default=YES MaxTime=30").unwrap();
        fs::write(dir.join("slurm.conf"), configuration).unwrap();
        fs::write(dir.join("cgroup.conf"), "CgroupPlugin=cgroup/v1\n").unwrap();
        fs::write(dir.join("hosts"), hosts).unwrap();
        sh(&format!("mount --bind {}/hosts /etc/hosts", dir.display()));

        let cluster = Self { dir, nodes, _daemons: Vec::new() };
        let cluster = Self { _daemons: cluster.start_daemons(), ..cluster };
        wait_until("all nodes idle", || {
            (cluster.sh("sinfo -h -o '%D %t'").trim() == format!("{size} idle")).then_some(())
        });
        cluster
    }

    fn start_daemons(&self) -> Vec<Started> {
        let munge = self.dir.join("munge");
        fs::write(munge.join("key"), [7; 128]).unwrap();
        sh(&format!("chmod 400 {}/key", munge.display()));
        let mut munged = Command::new("munged");
        munged.args(["--foreground", "--force"]);
        for (option, file) in
            [("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")]
        {
            munged.arg(format!("--{option}={}", munge.join(file).display()));
        }
        let mut started = vec![Started::spawn(&mut munged)];
        wait_until("munged", || munge.join("socket").exists().then_some(()));
        let mut control = self.command("unshare");
        started.push(Started::spawn(control.args(["--uts", "sh", "-c", "hostname ctl && exec slurmctld -D -c"])));
        for (n, node) in (1..).zip(&self.nodes) {
            let mut daemon = node.command("unshare");
            daemon.env("SLURM_CONF", self.dir.join("slurm.conf")).args(["--uts", "sh", "-c"]);
            started.push(Started::spawn(daemon.arg(format!("hostname n{n} && exec slurmd -D -N n{n}"))));
        }
        started
    }

    /// A command of Slurm's, with this program first on the path, in the directory that jobs write to.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        Home::share(&mut command).env("SLURM_CONF", self.dir.join("slurm.conf")).current_dir(&self.dir);
        let here = Path::new(BINARY).parent().unwrap().display();
        command.env("PATH", format!("{here}:{}", std::env::var("PATH").unwrap()));
        command
    }

    /// What a line of shell prints, with Slurm's commands at hand.
    #[track_caller]
    pub(crate) fn sh(&self, line: &str) -> String {
        succeed(self.command("sh").args(["-ec", line]))
    }

    /// Submits a script with these variables; the number of the job.
    #[track_caller]
    pub(crate) fn submit(&self, script: &Path, variables: &str) -> String {
        let line = format!("sbatch --parsable --export=ALL,{variables} {}", script.display());
        self.sh(&line).trim().to_owned()
    }

    /// Waits until a job has ended, and how: `COMPLETED 0:0`.
    #[track_caller]
    pub(crate) fn ended(&self, job: &str) -> String {
        wait_until("the end of the job", || {
            let said = self.sh(&format!("scontrol --oneliner show job {job}"));
            let field = |name: &str| said.split_once(name).unwrap().1.split(' ').next().unwrap().to_owned();
            let state = field("JobState=");
            (!matches!(state.as_str(), "PENDING" | "RUNNING" | "COMPLETING")).then(|| state + " " + &field("ExitCode="))
        })
    }

    /// A file that a job has written.
    pub(crate) fn written(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }

    /// A field of the TCP line of sockstat, of all nodes.
    pub(crate) fn sockets(&self, field: &str) -> Vec<u64> {
        self.nodes.iter().map(|node| node.sockstat(field)).collect()
    }
}

/// Makes a node that reaches the others by the bridge, and lists it.
fn join(n: usize, configuration: &mut String, hosts: &mut String) -> Net {
    let (node, address) = (Net::new(), format!("10.99.0.{}", 10 + n));
    sh(&format!("ip link add v{n} type veth peer name eth0 netns {} && ip link set v{n} master br0 up", node.pid()));
    node.sh(&format!("ip addr add {address}/24 dev eth0 && ip link set eth0 up"));
    writeln!(configuration, "NodeName=n{n} NodeHostname=n{n} NodeAddr={address} CPUs=1 RealMemory=2000").unwrap();
    writeln!(hosts, "{address} n{n}").unwrap();
    node
}

fn sh(line: &str) -> String {
    succeed(Command::new("sh").args(["-ec", line]))
}

/// How many processes of this name there are, among those of the test.
pub(crate) fn count_of(name: &str) -> usize {
    let out = Command::new("pgrep").args(["-c", "-x", name]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}
