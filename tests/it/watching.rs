//! A `maildex watch` that runs beside a test, and what it says.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::mailbox::Mailbox;

/// Only against a hang.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running watcher; killed on drop.
pub struct Watching {
    child: Child,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
}

/// An event, as far as tests look at it: event, UID, and path in the folder.
pub type Told = (String, u64, String);

impl Watching {
    /// Watches a folder with these arguments behind it, and `--json`.
    pub fn start(mail: &Mailbox, arguments: &[&str]) -> Watching {
        let mut command = mail.command(["watch", "--json"]);
        command.args(arguments);
        Watching::run(&mut command)
    }

    /// Watches from now on: everything that happens after this is told.
    pub fn from_now(mail: &Mailbox) -> Watching {
        let token = mail.run(["changes"]).ok().text();
        Watching::start(mail, &["--since", token.trim()])
    }

    /// Runs any command that watches.
    pub fn run(command: &mut Command) -> Watching {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let errors = Arc::new(Mutex::new(String::new()));
        let (mut stderr, heard) = (child.stderr.take().expect("piped"), Arc::clone(&errors));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stderr.read(&mut buffer) {
                heard.lock().expect("no panic").push_str(&String::from_utf8_lossy(&buffer[..len]));
            }
        });
        Watching { child, lines, errors }
    }

    /// The next line.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("no event: {error}\nstderr: {}", self.errors()),
        }
    }

    /// The next event.
    #[track_caller]
    pub fn record(&self) -> serde_json::Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The same, as far as tests look at it.
    #[track_caller]
    pub fn told(&self) -> Told {
        self.read(&self.line())
    }

    #[track_caller]
    fn read(&self, line: &str) -> Told {
        let record: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\nstderr: {}", self.errors()));
        let folder = format!("{}/", record["folder"].as_str().expect("a folder"));
        let path = record["path"].as_str().unwrap_or("");
        let path = path.strip_prefix(&folder).unwrap_or(path).to_string();
        (record["event"].as_str().expect("an event").to_string(), record["uid"].as_u64().expect("a UID"), path)
    }

    /// An event that has been told already.
    pub fn told_already(&self) -> Option<Told> {
        self.lines.try_recv().ok().map(|line| self.read(&line))
    }

    /// The next event is this one.
    #[track_caller]
    pub fn tells(&self, event: &str, uid: u64, path: &str) {
        assert_eq!(self.told(), (event.to_string(), uid, path.to_string()), "stderr: {}", self.errors());
    }

    /// Nothing was told that has not been looked at.
    #[track_caller]
    pub fn tells_nothing_more(&self) {
        match self.lines.try_recv() {
            Err(_) => {}
            Ok(line) => panic!("told, too: {line}"),
        }
    }

    /// Events until there is one that fits.
    #[track_caller]
    pub fn until(&self, fits: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut events = vec![self.told()];
        while !events.last().is_some_and(&fits) {
            events.push(self.told());
        }
        events
    }

    /// What it said on stderr.
    pub fn errors(&self) -> String {
        self.errors.lock().expect("no panic").clone()
    }

    /// Waits until it has said this on stderr.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.errors().contains(text) {
            assert!(Instant::now() < until, "expected {text:?} on stderr, found {:?}", self.errors());
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("send the signal");
    }

    /// How it ends, by itself.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("wait") {
                Some(status) => return status,
                None => assert!(Instant::now() < until, "it does not end; stderr: {}", self.errors()),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// It ends with this status.
    #[track_caller]
    pub fn ends_with(&mut self, code: i32) {
        let status = self.end();
        assert_eq!(status.code(), Some(code), "{status}, signal {:?}; stderr: {}", status.signal(), self.errors());
    }

    /// Lines that come until it has ended.
    pub fn rest(&self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return lines,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; stderr: {}", self.errors()),
            }
        }
    }

    /// How often its threads have slept so far. While nothing happens this stays as it is: who makes no system call sleeps
    /// on.
    pub fn sleeps(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
        let switches = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        tasks.flatten().map(switches).sum()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
