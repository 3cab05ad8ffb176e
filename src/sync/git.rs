//! git, as a program that is called: plumbing only, and the same whatever the caller's environment says of it.
//!
//! A program and not a library, because it brings along what a user has set up for it: ssh and its agent, credential
//! helpers, proxies. What it says is read as bytes; what it must not do (hooks, prompts, transports that run commands) is
//! switched off for each call.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};

/// What git has to obey, whatever the configuration of the user or the repository says.
const SETTINGS: [&str; 12] = [
    // A commit that was announced is on the disk.
    "core.fsync=all",
    "core.hooksPath=/dev/null",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "receive.fsckObjects=true",
    // `ext::` runs a command.
    "protocol.ext.allow=never",
    // Only after a run, and waited for: not in the background beside it.
    "gc.auto=0",
    "maintenance.auto=false",
    "core.autocrlf=false",
    // An https server that sends nothing is given up.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=120",
    // The repository is named by us, not found in some directory above.
    "safe.directory=*",
];

/// How long git gets to end by itself after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// How many objects are asked for before the first is read. The requests must fit into a pipe, and that is one page for a
/// user who has many of them.
const AHEAD: usize = 48;

/// The name of an object of git.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid {
    bytes: [u8; 32],
    len: u8,
}

/// A repository, for calls of git.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    /// The lock of the repository, while it is held: for those of its programs that write.
    lock: Arc<Mutex<Weak<File>>>,
}

/// What `git cat-file --batch` gives for one name.
pub struct Object<'b> {
    /// Which of the names, from 0.
    pub at: usize,
    /// `blob`, `tree` or `commit`.
    pub kind: &'b str,
    /// Its bytes in all.
    pub len: u64,
    /// Its bytes.
    pub contents: &'b mut dyn Read,
}

/// A running git that others talk to.
#[derive(Debug)]
struct Running {
    child: Child,
    stderr: File,
    what: &'static str,
    dir: PathBuf,
}

/// A running `git cat-file --batch`.
#[derive(Debug)]
pub struct Batch {
    running: Running,
    names: ChildStdin,
    objects: BufReader<ChildStdout>,
}

/// A running `git fast-import`. Nothing of it is to be seen before [`FastImport::finish`].
#[derive(Debug)]
pub struct FastImport {
    running: Running,
    /// Commands and data; what goes in here is checked by git.
    pub stream: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oid {
    /// Of 40 (SHA-1) or 64 (SHA-256) hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<Oid> {
        let mut bytes = [0; 32];
        match text.len() {
            40 => bytes[..20].copy_from_slice(&super::id::bytes::<20>(text)?),
            64 => bytes = super::id::bytes(text)?,
            _ => return None,
        }
        Some(Oid { bytes, len: text.len() as u8 / 2 })
    }

    /// From the bytes in a tree.
    pub(super) fn from_bytes(raw: &[u8]) -> Option<Oid> {
        let mut bytes = [0; 32];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        matches!(raw.len(), 20 | 32).then_some(Oid { bytes, len: raw.len() as u8 })
    }

    /// How many bytes it has in a tree.
    pub(super) fn raw_len(&self) -> usize {
        usize::from(self.len)
    }
}

impl Git {
    /// For the repository in this directory.
    pub fn new(dir: &Path) -> Git {
        Git { dir: dir.to_path_buf(), lock: Arc::default() }
    }

    /// Makes a bare repository without hooks and templates.
    pub fn init(dir: &Path) -> Result<Git> {
        let git = Git::new(dir);
        let mut command = bare_command();
        // The same kind of names for objects as others have, and refs as files.
        command.args([
            "-c",
            "init.defaultRefFormat=files",
            "init",
            "-q",
            "--bare",
            "--template=",
            "--object-format=sha1",
        ]);
        command.args(["--initial-branch=maildex", "--"]).arg(dir);
        git.finish("git init", command, b"")?;
        Ok(git)
    }

    /// The repository.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is started from now on to write here gets this lock, too, until it ends.
    pub(super) fn share(&self, lock: &Arc<File>) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(lock);
    }

    /// The lock for a program that is started while this lives. Not for those that talk over the network: what they start
    /// may stay for hours.
    fn for_child(&self) -> Result<Option<File>> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(lock) = lock else { return Ok(None) };
        let lock = shared(&lock, &self.dir)?;
        fcntl_setfd(&lock, FdFlags::empty()).map_err(Error::io("cannot pass on the lock of", &self.dir))?;
        Ok(Some(lock))
    }

    /// Calls git and gives back what it prints.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Result<Vec<u8>> {
        let mut command = self.command();
        command.args(args);
        self.finish(what, command, input)
    }

    /// Calls git for something that goes over the network; what it says meanwhile goes to `progress`, a line or a part of
    /// one that is to be replaced each time. If it says nothing for longer than `patience` it is stopped.
    pub fn talk<A: AsRef<OsStr>>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = A>,
        patience: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(ExitStatus, Vec<u8>, String)> {
        let mut stdout = memory(&self.dir)?;
        let mut command = self.command();
        command.args(args).stdin(Stdio::null()).stdout(shared(&stdout, &self.dir)?).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.cannot_call(error))?;
        let mut said = Said::default();
        let mut stderr = child.stderr.take();
        let mut last = Instant::now();
        let status = loop {
            let is_heard = stderr.as_ref().is_some_and(can_read);
            if let Some(pipe) = stderr.as_mut().filter(|_| is_heard) {
                let mut piece = [0; 4096];
                match pipe.read(&mut piece) {
                    Ok(len) if len > 0 => said.hear(&piece[..len], progress),
                    _ => stderr = None,
                }
                last = Instant::now();
                continue;
            }
            // Its end is asked for, and not only that of the pipe: what it has started, as a shared connection of ssh, may
            // hold that open for hours.
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if last.elapsed() > patience => {
                    stop(&mut child);
                    let said = said.kept();
                    return Err(Error::GitSilent { path: self.dir.clone(), what, seconds: patience.as_secs(), said });
                }
                Ok(None) => {
                    if stderr.is_none() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
                Err(error) => {
                    stop(&mut child);
                    return Err(Error::Io { path: self.dir.clone(), doing: "cannot wait for git", source: error });
                }
            }
        };
        Ok((status, contents(&mut stdout, &self.dir)?, said.kept()))
    }

    /// Starts `git cat-file --batch`.
    pub fn batch(&self) -> Result<Batch> {
        let (running, names, objects) = self.start("git cat-file", &["cat-file", "--batch"])?;
        Ok(Batch { running, names, objects: BufReader::with_capacity(64 << 10, objects) })
    }

    /// Starts `git fast-import`.
    pub fn fast_import(&self) -> Result<FastImport> {
        // Mails are not alike, so deltas of neighbours cost time and save nothing.
        let args = ["fast-import", "--quiet", "--done", "--date-format=raw", "--depth=0"];
        let (running, stream, answers) = self.start("git fast-import", &args)?;
        Ok(FastImport { running, stream: BufWriter::with_capacity(64 << 10, stream), answers: BufReader::new(answers) })
    }

    /// git with the settings that all calls have, in this repository.
    fn command(&self) -> Command {
        let mut command = bare_command();
        command.arg("--git-dir").arg(&self.dir);
        command
    }

    fn start(&self, what: &'static str, args: &[&str]) -> Result<(Running, ChildStdin, ChildStdout)> {
        let stderr = memory(&self.dir)?;
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(shared(&stderr, &self.dir)?);
        let lock = self.for_child()?;
        let mut child = command.spawn().map_err(|error| self.cannot_call(error))?;
        drop(lock);
        let stdin = child.stdin.take().expect("it was asked for");
        let stdout = child.stdout.take().expect("it was asked for");
        Ok((Running { child, stderr, what, dir: self.dir.clone() }, stdin, stdout))
    }

    /// Runs a command to its end. What it reads and prints goes through memory, so that neither side waits for the other.
    fn finish(&self, what: &'static str, mut command: Command, input: &[u8]) -> Result<Vec<u8>> {
        let (mut stdin, mut stdout, mut stderr) = (memory(&self.dir)?, memory(&self.dir)?, memory(&self.dir)?);
        let written = stdin.write_all(input).and_then(|()| stdin.rewind());
        written.map_err(|source| Error::Io { path: self.dir.clone(), doing: "cannot write for git", source })?;
        command.stdin(stdin).stdout(shared(&stdout, &self.dir)?).stderr(shared(&stderr, &self.dir)?);
        let lock = self.for_child()?;
        let status = command.status().map_err(|error| self.cannot_call(error))?;
        drop(lock);
        if status.success() {
            return contents(&mut stdout, &self.dir);
        }
        let said = contents(&mut stderr, &self.dir)?;
        Err(failed(&self.dir, what, status, &String::from_utf8_lossy(&said)))
    }

    fn cannot_call(&self, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::NotFound {
            return Error::NoGit { path: self.dir.clone() };
        }
        Error::Io { path: self.dir.clone(), doing: "cannot start git", source }
    }
}

/// What git said when it failed, as an error.
pub(super) fn failed(dir: &Path, what: &'static str, status: ExitStatus, said: &str) -> Error {
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = if said.is_empty() { status.to_string() } else { said.join("; ") };
    Error::Git { path: dir.to_path_buf(), what, said }
}

impl Batch {
    /// The repository.
    pub fn dir(&self) -> &Path {
        &self.running.dir
    }

    /// Asks for objects and gives them to `each`, in the order of their names. A name that is none, and one of no
    /// object, is an error.
    pub fn objects(
        &mut self,
        names: impl IntoIterator<Item = String>,
        each: &mut dyn FnMut(Object<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut names = names.into_iter().fuse();
        let mut asked = std::collections::VecDeque::new();
        for at in 0.. {
            if asked.len() <= AHEAD / 2 {
                let more: Vec<String> = names.by_ref().take(AHEAD - asked.len()).collect();
                let lines: String = more.iter().flat_map(|name| [name, "\n"]).collect();
                self.names.write_all(lines.as_bytes()).map_err(|error| self.running.broken(error))?;
                asked.extend(more);
            }
            let Some(name) = asked.pop_front() else { break };
            self.object(at, &name, each)?;
        }
        Ok(())
    }

    fn object(&mut self, at: usize, name: &str, each: &mut dyn FnMut(Object<'_>) -> Result<()>) -> Result<()> {
        let mut line = String::new();
        let read = self.objects.by_ref().take(4096).read_line(&mut line);
        match read {
            Ok(len) if len > 0 => {}
            Ok(_) => return Err(self.running.broken(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(self.running.broken(error)),
        }
        let fields: Vec<&str> = line.trim_end().split(' ').collect();
        let (kind, len) = match fields[..] {
            [_, kind, len] => (kind, len.parse::<u64>().ok()),
            _ => ("", None),
        };
        let Some(len) = len else {
            return Err(Error::Git {
                path: self.running.dir.clone(),
                what: self.running.what,
                said: format!("found no object {name}: {}", line.trim_end()),
            });
        };
        let mut contents = self.objects.by_ref().take(len);
        each(Object { at, kind, len, contents: &mut contents })?;
        let rest = contents.limit() + 1; // the line end behind an object
        let skipped = io::copy(&mut self.objects.by_ref().take(rest), &mut io::sink());
        match skipped {
            Ok(skipped) if skipped == rest => Ok(()),
            Ok(_) => Err(self.running.broken(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.running.broken(error)),
        }
    }
}

impl FastImport {
    /// An answer: a line.
    pub fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.flush().and_then(|()| self.answers.by_ref().take(4096).read_line(&mut line));
        match read {
            Ok(len) if len > 0 => Ok(line),
            Ok(_) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Why it can no longer be written to.
    pub fn broken(&mut self, error: io::Error) -> Error {
        self.running.broken(error)
    }

    /// Ends it; now all is stored.
    pub fn finish(mut self) -> Result<()> {
        let sent = self.stream.write_all(b"done\n").and_then(|()| self.stream.flush());
        sent.map_err(|error| self.broken(error))?;
        let waited = self.running.child.wait();
        let status = waited.map_err(|error| self.running.broken(error))?;
        if status.success() { Ok(()) } else { Err(self.running.failed(status)) }
    }
}

impl Running {
    /// Why it no longer answers: what it said, if it has ended.
    fn broken(&mut self, error: io::Error) -> Error {
        let is_end = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof);
        // Its pipes are closed, so it is about to end.
        match is_end.then(|| self.child.wait()) {
            Some(Ok(status)) => self.failed(status),
            _ => Error::Io { path: self.dir.clone(), doing: "cannot talk to git", source: error },
        }
    }

    fn failed(&mut self, status: ExitStatus) -> Error {
        let said = contents(&mut self.stderr, &self.dir).unwrap_or_default();
        failed(&self.dir, self.what, status, &String::from_utf8_lossy(&said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killed, not only left: fast-import would write a report about a stream that ends too early.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What git says on its standard error.
#[derive(Default)]
struct Said {
    line: Vec<u8>,
    kept: std::collections::VecDeque<String>,
}

impl Said {
    fn hear(&mut self, piece: &[u8], progress: &mut dyn FnMut(&str)) {
        const LINES: usize = 12;
        for &byte in piece {
            if !matches!(byte, b'\r' | b'\n') {
                if self.line.len() < 1024 {
                    self.line.push(byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim_end().to_string();
            if !line.is_empty() {
                progress(&line);
                // Lines that are replaced, and their last state, say how far it is; they explain nothing.
                if byte == b'\n' && !line.contains("% (") {
                    self.kept.push_back(line);
                    if self.kept.len() > LINES {
                        self.kept.pop_front();
                    }
                }
            }
            self.line.clear();
        }
    }

    fn kept(mut self) -> String {
        self.hear(b"\n", &mut |_| {});
        Vec::from(self.kept).join("\n")
    }
}

/// git, without a repository.
fn bare_command() -> Command {
    let mut command = Command::new("git");
    // Not a setting of ours that is read here: what git would take for one must not come through.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    command
}

/// A file in memory.
fn memory(dir: &Path) -> Result<File> {
    let file = rustix::fs::memfd_create("maildex", MemfdFlags::CLOEXEC);
    Ok(File::from(file.map_err(Error::io("cannot make a file in memory for git", dir))?))
}

/// The same file, for a child.
fn shared(file: &File, dir: &Path) -> Result<File> {
    file.try_clone().map_err(|source| Error::Io { path: dir.to_path_buf(), doing: "cannot call git", source })
}

fn contents(file: &mut File, dir: &Path) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut contents));
    read.map_err(|source| Error::Io { path: dir.to_path_buf(), doing: "cannot read what git said", source })?;
    Ok(contents)
}

/// Whether there is something to read, or the end; waits a moment for it.
fn can_read(pipe: &impl AsFd) -> bool {
    let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut fds, Some(&moment)).is_ok_and(|ready| ready > 0)
}

/// Asks a child to end, and makes it.
fn stop(child: &mut Child) {
    // Asked first: git then ends what it has started, as ssh.
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let asked = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if asked.elapsed() > GRACE {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a repository may be reached by this URL or path.
pub fn check_url(url: &str) -> Result<()> {
    let helper = url
        .split_once("::")
        .is_some_and(|(helper, _)| helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)));
    let why = match url {
        "" => "it is empty",
        _ if url.starts_with('-') => "it would be an option of git",
        _ if helper => "it names a program that git would run",
        _ if url.chars().any(char::is_control) => "it has a control character",
        _ => return Ok(()),
    };
    Err(Error::Url { url: url.into(), why })
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..self.raw_len()].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
