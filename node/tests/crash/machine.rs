//! The machine that crashes: the node's process, and the disk under it.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::dice::Dice;
use crate::support::until;

/// How it goes down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// SIGKILL: what was written to the file system stays.
    Kill,
    /// What was not synced is gone.
    PowerCut,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::PowerCut => "power cut",
        })
    }
}

/// What the disk makes of an fsync.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Honoured,
    Ignored,
}

/// For how long the node keeps records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    ForEver,
    /// So that records are dropped all the time, also while it crashes.
    Moments,
}

pub(crate) struct Machine {
    /// Holds the node's configuration.
    world: PathBuf,
    crash: Crash,
    sync: Sync,
    python: PathBuf,
    keeps: Keeps,
    node: Option<Process>,
    /// Serves the file system, where the power can be cut.
    disk: Option<Process>,
    scratch: TempDir,
}

impl Machine {
    /// A machine with an empty disk.
    pub(crate) fn new(world: &Path, crash: Crash, sync: Sync, keeps: Keeps, python: &Path) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("mount")).unwrap();
        Self { world: world.to_owned(), crash, sync, python: python.to_owned(), keeps, node: None, disk: None, scratch }
    }

    /// The store's folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.mount().join("data")
    }

    fn mount(&self) -> PathBuf {
        self.scratch.path().join("mount")
    }

    /// Starts the node, and returns where it listens.
    pub(crate) async fn boot(&mut self, dice: &mut Dice) -> String {
        if self.crash == Crash::PowerCut && self.disk.is_none() {
            self.power_on(dice).await;
        }
        let ready = self.scratch.path().join("ready.json");
        let _ = fs::remove_file(&ready);
        let log = self.scratch.path().join("node.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xmtp-node"));
        if self.keeps == Keeps::Moments {
            for kind in ["INVITE", "CONVERSATION", "SUPERSEDED"] {
                command.env(format!("XMTP_NODE_RETENTION__{kind}"), "200ms");
            }
        }
        let node = command
            .args(["run", "--config"])
            .arg(self.world.join("node.toml"))
            .arg("--data-dir")
            .arg(self.data())
            .arg("--ready-file")
            .arg(&ready)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let node = self.node.insert(Process(node));
        let address = || {
            let text = fs::read_to_string(&ready).ok()?;
            let json: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(json["listening"].as_str()?.to_owned())
        };
        if !node.becomes(|| address().is_some()).await {
            panic!("the node does not start: {}", fs::read_to_string(&log).unwrap());
        }
        format!("http://{}", address().unwrap())
    }

    /// Goes down in the middle of whatever it does. With the power back, its disk can be read.
    pub(crate) async fn crash(&mut self, dice: &mut Dice) {
        match self.crash {
            Crash::Kill => drop(self.node.take()),
            Crash::PowerCut => {
                self.power_off();
                self.power_on(dice).await;
            }
        }
    }

    /// Stops the node as its operator would.
    pub(crate) async fn stop(&mut self) {
        let mut node = self.node.take().unwrap();
        assert!(Command::new("kill").arg(node.0.id().to_string()).status().unwrap().success());
        let status = tokio::task::spawn_blocking(move || node.0.wait()).await.unwrap().unwrap();
        assert!(status.success(), "the node did not stop well");
    }

    fn power_off(&mut self) {
        // The disk first: nothing that the node does from here on counts.
        drop(self.disk.take());
        drop(self.node.take());
        if is_mounted(&self.mount()) {
            // The disk's helper does the same, but gives up where it comes before the node is gone.
            let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(self.mount()).stderr(Stdio::null()).status();
        }
    }

    async fn power_on(&mut self, dice: &mut Dice) {
        let mount = self.mount();
        until("the old mount is gone", async || !is_mounted(&mount)).await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/powercut.py");
        let mut command = Command::new(&self.python);
        command.arg(script).arg(self.scratch.path().join("disk")).arg(&mount);
        match self.sync {
            Sync::Ignored => drop(command.arg("--ignore-sync")),
            // Disks save some of what nobody asked them to, in no order.
            Sync::Honoured => {
                let share = ["0", "0.05", "0.5"][usize::try_from(dice.between(0, 3)).unwrap()];
                command.args(["--write-back", share, "--seed", &dice.number().to_string()]);
            }
        }
        // Its input ends with this process, and it with its input.
        let disk = self.disk.insert(Process(command.stdin(Stdio::piped()).spawn().unwrap()));
        assert!(disk.becomes(|| is_mounted(&mount)).await, "there is no file system to cut the power of");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Before the folder: it cannot go away under a mount.
        self.power_off();
    }
}

fn is_mounted(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(folder))
}

/// No campaign leaves a process behind. Dropped, it is killed.
struct Process(Child);

impl Process {
    /// Whether this comes true before the process ends, or half a minute does.
    async fn becomes(&mut self, true_now: impl Fn() -> bool) -> bool {
        let started = Instant::now();
        while !true_now() {
            if self.0.try_wait().unwrap().is_some() || started.elapsed() > Duration::from_secs(30) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
