//! What kills the program at every step, for the tests in `crash.rs`: which steps there are, how one is tried, and what
//! must be right afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use crate::mailbox::{Mailbox, Run, figures, installed, long, mail, maildex, skipped};
use crate::oracle::{self, History, Listed};
use crate::tally::Tally;

pub const SIGKILL: i32 = 9;

/// Calls that change something. A question mark: not on every architecture.
pub const CALLS: &str = "openat,?open,?creat,write,writev,pwrite64,?pwritev,?pwritev2,fallocate,ftruncate,fsync,fdatasync,\
    msync,?sync_file_range,?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat,?symlink,symlinkat,?mkdir,mkdirat,\
    flock,fchmod,?fchmodat,fchown,fchownat,utimensat,fsetxattr,copy_file_range,sendfile";

/// What it takes to stop at system calls.
pub const STRACE: &str = "install strace, and allow ptrace";

/// Pairs of steps tried where a crash hits the recovery, too.
pub const PAIRS: u64 = 30;

/// Where a run is killed.
#[derive(Debug, Clone)]
pub enum Kill {
    Never,
    /// Before the so-manieth call of a name, from 1.
    Call(String, usize),
    /// Before the so-manieth store into a map, from 1.
    Store(u64),
    /// Not killed: the so-manieth call of a name fails with an error.
    Error(String, usize, &'static str),
}

/// What can be killed, and how to judge it.
pub struct Sweep {
    pub name: &'static str,
    /// Makes the folder; the same each time.
    pub folder: fn() -> Place,
    /// The command to kill, without the folder.
    pub command: &'static [&'static str],
    /// What the command, killed or not, may have done to the mail by the time that `build` has put things right.
    pub mail: fn(before: &Files, after: &Files) -> Result<(), String>,
    /// How what is left by a kill and a build compares with what an undisturbed run leaves.
    pub left: Left,
    /// Of the stores only every so-manieth is tried: for folders that are slow to make, or much like another.
    pub step: usize,
    /// Ends what the command may have started, and says what it has written elsewhere; an error if that is half of it.
    pub beside: fn(&Mailbox) -> Result<String, String>,
}

/// For a command that writes to its folder only.
#[allow(clippy::unnecessary_wraps)] // one of several of its kind
pub fn nothing(_: &Mailbox) -> Result<String, String> {
    Ok(String::new())
}

/// What a kill and the build after it leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The same as an undisturbed run.
    Same,
    /// The same, when the command has been run once more; a build cannot know of it.
    SameWhenRunAgain,
    /// What was before, or the same, or something between that the judge of the mail allows.
    SomeOfIt,
}

pub type Files = BTreeMap<String, (Vec<u8>, u64, SystemTime)>;

/// A folder, and what was shown of it before.
pub struct Place {
    pub mailbox: Mailbox,
    pub history: History,
}

impl Place {
    pub fn new(mailbox: Mailbox) -> Place {
        Place { mailbox, history: History::default() }
    }

    /// Brings the index up to date, and shows it.
    pub fn build(mut self) -> Place {
        self.mailbox.run(["build"]).ok();
        self.show().expect("a folder to begin with");
        self
    }

    /// What is listed now, without a refresh, and the exit status.
    pub fn show(&mut self) -> Result<(Option<i32>, Vec<Listed>), String> {
        let run = self.mailbox.run(["list", "--json", "--no-refresh"]);
        let listed = oracle::listed(&self.mailbox, &run);
        self.history.take(&listed).map_err(|why| format!("{why}\n{run}"))?;
        if ![Some(0), Some(4)].contains(&run.code()) && !listed.is_empty() {
            return Err(format!("a listing although it failed\n{run}"));
        }
        Ok((run.code(), listed))
    }

    pub fn run(&self, arguments: &[&str], code: i32) -> Result<Run, String> {
        let run = self.mailbox.finish(command(&self.mailbox, arguments).stdin(input(&self.mailbox)));
        if run.code() == Some(code) { Ok(run) } else { Err(format!("expected exit {code}\n{run}")) }
    }

    /// `build`, and the folder is as it should be: listed as it is, sound, nothing left over.
    pub fn put_right(&mut self) -> Result<Vec<Listed>, String> {
        self.run(&["build"], 0)?;
        let (code, listed) = self.show()?;
        if code != Some(0) {
            return Err(format!("cannot be listed after a build: exit {code:?}"));
        }
        oracle::is_the_folder(&self.mailbox, &listed)?;
        self.run(&["check"], 0)?;
        let own = oracle::own_files(&self.mailbox);
        let indexes = own.iter().filter(|name| name.starts_with("maildex.index.")).count();
        if indexes != 1 || own.iter().any(|name| name.contains(".tmp")) || own.contains("maildex.lock") {
            return Err(format!("left over: {own:?}"));
        }
        Ok(listed)
    }
}

/// A command on the folder, run beside it. After `sh` comes a script, which knows `$maildex` and the folder as `$F`.
pub fn command(mailbox: &Mailbox, arguments: &[&str]) -> Command {
    let mut command = mailbox.command(arguments);
    if let ["sh", script] = arguments {
        command = Command::new("sh");
        command.env("F", mailbox.path()).env("maildex", maildex()).args(["-c", script]);
    }
    command.env_remove("MAILDEX_LOCK").current_dir(mailbox.path().parent().expect("it is in a directory"));
    command
}

/// What those get who read standard input: the file `input` of the folder, else a mail.
pub fn input(mailbox: &Mailbox) -> fs::File {
    if let Ok(file) = fs::File::open(mailbox.file("input")) {
        return file;
    }
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(mail(NEW_CONTENTS).as_bytes()).and_then(|()| file.rewind()).expect("write the mail");
    file
}

pub const NEW_CONTENTS: &str = "new contents";

impl Sweep {
    /// Every system call.
    #[track_caller]
    pub fn calls(&self) {
        if !strace_works() {
            return skipped(&format!("kill sweep {} over system calls", self.name), STRACE);
        }
        let points = self.call_points();
        assert!(points.len() > 8, "{}: only {points:?}", self.name);
        self.sweep("system calls", points.into_iter().map(|(name, nth)| [Kill::Call(name, nth), Kill::Never]));
    }

    /// Every store into a map.
    #[track_caller]
    pub fn stores(&self) {
        let points = self.store_points();
        let step = if long() { 1 } else { self.step };
        self.sweep("stores", (1..=points).step_by(step).map(|nth| [Kill::Store(nth), Kill::Never]));
    }

    /// Every call of a name fails with an error once; the command must say so and end with 3.
    #[track_caller]
    pub fn errors(&self, name: &str, error: &'static str) {
        if !strace_works() {
            return skipped(&format!("{name} failing in {}", self.name), STRACE);
        }
        let points: Vec<_> = self.call_points().into_iter().filter(|point| point.0 == name).collect();
        assert!(!points.is_empty(), "{}: no {name}", self.name);
        self.sweep(
            &format!("{name} failing with {error}"),
            points.into_iter().map(|(name, nth)| [Kill::Error(name, nth, error), Kill::Never]),
        );
    }

    /// A store of the command, then a store of the recovery.
    #[track_caller]
    pub fn pairs(&self) {
        let points = self.store_points();
        // A recovery stores more often than an undisturbed run; at what it does not reach nothing is killed.
        let seconds = points * 2;
        let all = points * seconds;
        let step = if long() { 1 } else { (all / PAIRS).max(1) | 1 };
        let pairs = (0..all).step_by(step as usize);
        self.sweep("pairs of stores", pairs.map(|n| [Kill::Store(n % points + 1), Kill::Store(n / points + 1)]));
    }

    #[track_caller]
    pub fn sweep(&self, what: &str, points: impl Iterator<Item = [Kill; 2]>) {
        let expected = self.undisturbed();
        let (mut tried, mut killed, mut failures) = (0, 0, Vec::new());
        let mut row = Tally::CrashPoints;
        for point in points {
            tried += 1;
            if matches!(point[0], Kill::Error(..)) {
                row = Tally::Faults;
            }
            match self.one(&point, &expected) {
                Ok(kills) => killed += kills,
                Err(why) => failures.push(format!("{} {:?} {point:?}: {why}", self.name, self.command)),
            }
        }
        row.add(killed);
        let wrong = failures.iter().filter(|why| why.contains("WRONG UID")).count();
        figures(&format!(
            "kill sweep {} over {what}: {tried} points, {killed} kills, {} failures, {wrong} wrong UIDs",
            self.name,
            failures.len()
        ));
        assert!(failures.is_empty(), "{} failures, the first:\n{}", failures.len(), failures[0]);
        assert!(killed >= tried, "{}: {killed} kills for {tried} points", self.name);
    }

    /// What an undisturbed run leaves.
    pub fn undisturbed(&self) -> Vec<Listed> {
        self.undisturbed_beside().0
    }

    /// The same, and what it has written elsewhere.
    pub fn undisturbed_beside(&self) -> (Vec<Listed>, String) {
        let mut place = (self.folder)();
        let before = files(&place.mailbox);
        place.run(self.command, 0).expect("an undisturbed run");
        let beside = (self.beside)(&place.mailbox).expect("after an undisturbed run");
        let listed = place.put_right().expect("after an undisturbed run");
        (self.mail)(&before, &files(&place.mailbox)).expect("after an undisturbed run");
        (listed, beside)
    }

    /// How many stores an undisturbed run makes.
    pub fn store_points(&self) -> u64 {
        for nth in 1.. {
            let place = (self.folder)();
            if !kill(&place.mailbox, self.command, &Kill::Store(nth)).expect("a run") {
                assert!(nth > 1, "the program under test was built without the feature failpoints");
                return nth - 1;
            }
        }
        unreachable!()
    }

    /// The changing calls of an undisturbed run, each with its number among those of its name.
    pub fn call_points(&self) -> Vec<(String, usize)> {
        let place = (self.folder)();
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut command = under_strace(&command(&place.mailbox, self.command), log.path(), None);
        place.mailbox.finish(command.stdin(input(&place.mailbox))).ok();
        let log = fs::read_to_string(log.path()).expect("read the log of strace");
        changing_calls(&log)
    }

    /// One folder, one kill or two. Returns how many there were.
    pub fn one(&self, kills: &[Kill; 2], expected: &[Listed]) -> Result<usize, String> {
        let mut place = (self.folder)();
        let before = files(&place.mailbox);
        let (code_before, shown_before) = place.show()?;
        let last_before = place.history.last();
        let mut killed = 0;
        for (at, commands) in kills.iter().zip([self.command, &["build"]]) {
            killed += usize::from(kill(&place.mailbox, commands, at)?);
            let (code, shown) = place.show()?;
            match code {
                Some(75) => {}
                Some(3) if code_before == Some(3) => {}
                Some(0) => has_not_shrunk(&shown_before, &shown, expected)?,
                Some(4) if code_before == Some(4) => has_not_shrunk(&shown_before, &shown, expected)?,
                _ => return Err(format!("list after the kill: exit {code:?}, before it {code_before:?}")),
            }
        }
        (self.beside)(&place.mailbox)?;
        let mut listed = place.put_right()?;
        (self.mail)(&before, &files(&place.mailbox))?;
        if self.left == Left::SameWhenRunAgain {
            place.run(self.command, 0)?;
            (self.beside)(&place.mailbox)?;
            listed = place.put_right()?;
        }
        if self.left != Left::SomeOfIt {
            like_undisturbed(&listed, expected, last_before)?;
        }
        (self.mail)(&before, &files(&place.mailbox))?;
        let last = place.history.last();
        place.mailbox.deliver("new/9999999999.last", mail("last"));
        let listed = place.put_right()?;
        let newest = listed.last().expect("a mail was delivered");
        if newest.mail.message_id != "last@example.org" || newest.uid <= last {
            return Err(format!("UIDNEXT fell: {newest:?}, and UID {last} was shown before"));
        }
        Ok(killed)
    }
}

/// Everything about the mail that must stay, in the folder and in that which mail goes to, if there is one.
pub fn files(mailbox: &Mailbox) -> Files {
    let mut files = oracle::untouchable(mailbox);
    let dest = dest(mailbox);
    if dest.is_dir() {
        let there = oracle::untouchable_in(&dest);
        files.extend(there.into_iter().map(|(path, file)| (format!("dest/{path}"), file)));
    }
    files
}

/// The folder that mail goes to.
pub fn dest(mailbox: &Mailbox) -> PathBuf {
    mailbox.path().with_file_name("dest")
}

/// An answer without a refresh may be old, but never short.
pub fn has_not_shrunk(before: &[Listed], now: &[Listed], expected: &[Listed]) -> Result<(), String> {
    let has = |list: &[Listed], uid| list.iter().any(|listed| listed.uid == uid);
    match before.iter().find(|was| has(expected, was.uid) && !has(now, was.uid)) {
        Some(lost) => Err(format!("not listed after the kill: {lost:?}; listed: {now:#?}")),
        None => Ok(()),
    }
}

/// The mails in the same order, and those that were known before under the same UIDs as without the kill. New mail may
/// have got other UIDs.
pub fn like_undisturbed(listed: &[Listed], expected: &[Listed], last_before: u64) -> Result<(), String> {
    let view = |list: &[Listed]| -> Vec<_> {
        list.iter().map(|listed| (Some(listed.uid).filter(|&uid| uid <= last_before), listed.mail.clone())).collect()
    };
    let (is, should) = (view(listed), view(expected));
    if is == should { Ok(()) } else { Err(format!("listed: {is:#?}\nwithout a kill: {should:#?}")) }
}

/// Runs a command that is killed, or fails, at a step. Whether it came that far.
pub fn kill(mailbox: &Mailbox, arguments: &[&str], at: &Kill) -> Result<bool, String> {
    let mut command = command(mailbox, arguments);
    match at {
        Kill::Never => return Ok(false),
        Kill::Call(name, nth) => {
            command =
                under_strace(&command, "/dev/null".as_ref(), Some(&format!("inject={name}:signal=KILL:when={nth}")));
        }
        Kill::Store(nth) => drop(command.env("MAILDEX_KILL_AT", nth.to_string())),
        Kill::Error(name, nth, error) => {
            command =
                under_strace(&command, "/dev/null".as_ref(), Some(&format!("inject={name}:error={error}:when={nth}")));
        }
    }
    let output = command.stdin(input(mailbox)).output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let told = output.stderr.starts_with(b"maildex: /");
    match (output.status.signal(), output.status.code()) {
        (Some(SIGKILL), _) => Ok(true),
        (_, Some(0)) => Ok(false),
        (_, Some(3)) if told && matches!(at, Kill::Error(..)) => Ok(true),
        _ => Err(format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

/// The calls in a log of strace that change something, each with its number among those of its name.
pub fn changing_calls(log: &str) -> Vec<(String, usize)> {
    let main_thread = log.split_whitespace().next().expect("a thread id");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        if thread != main_thread || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let nth = counts.entry(name).or_default();
        *nth += 1;
        let opens = matches!(name, "open" | "openat");
        if !opens || arguments.contains("O_CREAT") || arguments.contains("O_TMPFILE") {
            points.push((name.to_string(), *nth));
        }
    }
    points
}

/// The same command under strace.
pub fn under_strace(command: &Command, log: &std::path::Path, inject: Option<&str>) -> Command {
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(log).args(["-e", &format!("trace={CALLS}")]);
    if let Some(inject) = inject {
        strace.args(["-e", inject]);
    }
    strace.arg(command.get_program()).args(command.get_args());
    strace.current_dir(command.get_current_dir().unwrap_or(".".as_ref()));
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(key, value),
            None => strace.env_remove(key),
        };
    }
    strace
}

pub fn strace_works() -> bool {
    let traced = || Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    installed("strace") && traced().is_ok_and(|output| output.status.success())
}
