//! `watch --sync`: runs `sync run` a second after something happened, and every now and then for what others have told.
//!
//! As a program of its own: the watcher goes on meanwhile, and whatever becomes of a run, the watcher stays.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::cli::setting;

/// What happens in this time goes into one run, and one commit.
const TOGETHER: Duration = Duration::from_secs(1);

/// While peers are away they are asked less and less often, down to this.
const SELDOM: Duration = Duration::from_mins(10);

/// Runs when it is rung, as long as it lives.
pub struct Syncing {
    bell: Sender<()>,
}

impl Syncing {
    /// For a mail root; `every` is how long others are not asked if nothing happens here.
    pub fn start(root: &Path, every: Duration) -> std::io::Result<Syncing> {
        let (bell, rung) = channel();
        let runner =
            Runner { program: std::env::current_exe()?, root: root.to_path_buf(), every, said: BTreeSet::new() };
        std::thread::Builder::new().name("maildex-sync".into()).spawn(move || runner.run(&rung))?;
        Ok(Syncing { bell })
    }

    /// Something happened.
    pub fn ring(&self) {
        // If the thread is gone the program is about to end.
        let _ = self.bell.send(());
    }
}

struct Runner {
    program: PathBuf,
    root: PathBuf,
    every: Duration,
    /// What was said the last time.
    said: BTreeSet<String>,
}

impl Runner {
    fn run(mut self, rung: &Receiver<()>) {
        let mut pause = self.every;
        loop {
            pause = if self.once() { self.every } else { (pause * 2).min(SELDOM).max(self.every) };
            match rung.recv_timeout(pause) {
                Ok(()) => {
                    let together = Instant::now() + TOGETHER;
                    while rung.recv_timeout(together.saturating_duration_since(Instant::now())).is_ok() {}
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether it ended well. What it says is handed on, if it did not say so the last time.
    fn once(&mut self) -> bool {
        let mut command = Command::new(&self.program);
        if let Some(dir) = &setting::get().index_dir {
            command.arg("--index-dir").arg(dir);
        }
        command.args(["sync", "run"]).arg(&self.root).stdin(Stdio::null()).stdout(Stdio::null());
        let (is_well, said) = match command.stderr(Stdio::piped()).output() {
            Ok(output) => (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => (false, format!("maildex: cannot run {}: {error}\n", self.program.display())),
        };
        let lines: BTreeSet<String> = said.lines().map(String::from).collect();
        for line in said.lines().filter(|line| !self.said.contains(*line)) {
            // Errors that come again and again are said once; so nobody has to read the log of a night without a network.
            eprintln!("{line}");
        }
        self.said = lines;
        is_well
    }
}
