//! The folder lock, as scripts use it.

mod acquire;
mod ask;
mod beside;
mod dovecot;
mod elsewhere;
mod recipes;
mod run;
mod soak;
mod status;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use maildex::dir::Dir;
use maildex::lock::{Holder, holder, is_wanted};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::mailbox::{Mailbox, Run, maildex};

/// Longer than anything here takes on the slowest machine.
const HANGS: Duration = Duration::from_mins(2);

/// `maildex lock VERB FOLDER REST...`
fn lock<A: AsRef<OsStr>>(mailbox: &Mailbox, verb: &str, rest: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(maildex());
    command.env_remove("MAILDEX_LOCK").args(["lock", verb]).arg(mailbox.path()).args(rest);
    command
}

/// The same, run to its end.
fn run_lock(mailbox: &Mailbox, verb: &str, rest: &[&str]) -> Run {
    mailbox.finish(&mut lock(mailbox, verb, rest))
}

/// A shell script with `$maildex` and `$F` set.
fn sh(mailbox: &Mailbox, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.env_remove("MAILDEX_LOCK").env("F", mailbox.path()).env("maildex", maildex()).args(["-c", script]);
    command
}

/// `maildex lock run FOLDER OPTIONS -- sh -c SCRIPT`
fn run_sh(mailbox: &Mailbox, options: &[&str], script: &str) -> Command {
    let mut command = lock(mailbox, "run", options);
    command.env("F", mailbox.path()).env("maildex", maildex()).args(["--", "sh", "-c", script]);
    command
}

fn is_held(mailbox: &Mailbox) -> bool {
    matches!(holder(&Dir::open(&mailbox.path()).unwrap()).unwrap(), Holder::Somebody(_))
}

fn wanted(mailbox: &Mailbox) -> bool {
    is_wanted(&Dir::open(&mailbox.path()).unwrap()).unwrap()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < HANGS, "{what}: still not so");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A command that is still running, the first of a process group; all of it is killed when dropped.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = child.stderr.take().expect("piped");
        Running { child, stdout, stderr }
    }

    /// Starts it, and waits for its first line.
    #[track_caller]
    fn ready(command: &mut Command) -> Running {
        let mut running = Running::start(command);
        let line = running.line();
        assert_eq!(line, "ready", "{}", running.rest());
        running
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("read its output");
        line.trim_end().to_string()
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal it");
    }

    /// Kills it alone, so that what it has started lives on.
    fn kill(&mut self) {
        let stdin = self.child.stdin.take(); // waiting would close it
        self.child.kill().expect("kill it");
        self.child.wait().expect("wait for it");
        self.child.stdin = stdin;
    }

    fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Ends its input, and waits for it.
    fn end(&mut self) -> ExitStatus {
        self.close_stdin();
        self.child.wait().expect("wait for it")
    }

    /// What it still says.
    fn rest(&mut self) -> String {
        self.close_stdin();
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("its output");
        self.stderr.read_to_string(&mut text).expect("its errors");
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
