//! An IMAP client, as far as a scripted session needs one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use crate::watching::PATIENCE;

/// A session that somebody else has authenticated.
pub struct Imap {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Option<JoinHandle<String>>,
    tag: usize,
}

/// Of each UID Message-ID and flags.
pub type Fetched = BTreeMap<u64, (String, String)>;

impl Imap {
    /// Runs the server's program for one session.
    pub fn begin(command: &mut Command) -> Imap {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut stderr = child.stderr.take().expect("piped");
        let log = thread::spawn(move || {
            let mut log = Vec::new();
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        let stdin = child.stdin.take();
        let imap = Imap { child, stdin, lines, log: Some(log), tag: 0 };
        let hello = imap.line();
        assert!(hello.starts_with("* PREAUTH"), "{hello}");
        imap
    }

    #[track_caller]
    fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("the server is silent: {error}"));
        line.trim_end_matches('\r').to_string()
    }

    fn send(&mut self, line: &str) {
        write!(self.stdin.as_mut().expect("open"), "{line}\r\n").expect("write to the server");
    }

    /// Sends a command; what the server says until it is done, which must be OK.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("a{} ", self.tag);
        self.send(&format!("{tag}{command}"));
        self.until_ok(&tag, command)
    }

    #[track_caller]
    fn until_ok(&self, tag: &str, command: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if let Some(status) = line.strip_prefix(tag) {
                assert!(status.starts_with("OK"), "{command}: {status}\n{lines:#?}");
                return lines;
            }
            lines.push(line);
        }
    }

    /// Waits in IDLE for lines that fit, which `act` is to cause.
    #[track_caller]
    pub fn idle(&mut self, act: impl FnOnce(), is_told: impl Fn(&str) -> bool) {
        self.tag += 1;
        let tag = format!("a{} ", self.tag);
        self.send(&format!("{tag}IDLE"));
        while !self.line().starts_with('+') {}
        act();
        while !is_told(&self.line()) {}
        self.send("DONE");
        self.until_ok(&tag, "IDLE");
    }

    /// All messages of the mailbox.
    #[track_caller]
    pub fn fetch(&mut self) -> Fetched {
        self.ask("NOOP");
        let lines = self.ask("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])");
        let mut fetched = Fetched::new();
        let mut last = None;
        for line in &lines {
            if let Some((_, rest)) = line.split_once(" FETCH (UID ") {
                let uid = rest.split(' ').next().and_then(|uid| uid.parse().ok()).expect("a UID");
                let flags = rest.split_once("FLAGS (").and_then(|(_, rest)| rest.split_once(')')).expect("flags").0;
                last = Some((uid, flags.to_string()));
            } else if let Some(id) = line.strip_prefix("Message-ID: ") {
                let (uid, flags) = last.take().expect("it follows its UID");
                fetched.insert(uid, (id.trim_matches(['<', '>']).to_string(), flags));
            }
        }
        fetched
    }

    /// Ends the session; what the server has logged.
    #[track_caller]
    pub fn end(mut self) -> String {
        self.ask("LOGOUT");
        self.stdin = None;
        self.child.wait().expect("wait");
        self.log.take().expect("taken once").join().expect("a log")
    }
}

impl Drop for Imap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The letters that IMAP flags are in a file name.
pub fn letters(flags: &str) -> String {
    let letter = |flag: &str| match flag {
        "\\Answered" => "R",
        "\\Deleted" => "T",
        "\\Draft" => "D",
        "\\Flagged" => "F",
        "\\Seen" => "S",
        _ => "",
    };
    let mut letters: Vec<&str> = flags.split(' ').map(letter).collect();
    letters.sort_unstable();
    letters.concat()
}
