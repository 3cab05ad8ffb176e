//! Who holds a lock, told to people.
//!
//! The lockfile's text is `key: value` lines, for `cat` and for messages. Nothing is decided by it: anybody may have
//! written it, so it is read up to 4 KiB, shown without its control characters, and what `/proc` says of the pid goes
//! no further than the sentence that is printed.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::rand::GetRandomFlags;
use siphasher::sip::SipHasher13;

use crate::dir::{FileId, id_of_file};
use crate::system;

/// Bytes of a value. All of them together are shorter than what is read of a lockfile.
const VALUE_MAX: usize = 800;
/// Bytes shown of a command line or a reason in a sentence.
const SHOWN_MAX: usize = 100;

/// What a lockfile says of its holder, and what has become of that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The lock's id, 32 hex digits, new for each acquisition.
    pub id: String,
    /// The holder's host.
    pub host: String,
    /// The kernel's boot id on that host; empty if the holder could not tell.
    pub boot_id: String,
    /// The holder.
    pub pid: i32,
    /// The holder's pid namespace (inode of `/proc/PID/ns/pid`), in which alone its pid means something; 0 if it could not
    /// tell.
    pub pid_namespace: u64,
    /// When the holder started, in clock ticks after boot (field 22 of `/proc/PID/stat`); 0 if it could not tell.
    pub started: u64,
    /// When it took the lock, in seconds since 1970.
    pub since: u64,
    /// Why, in the holder's words; often empty.
    pub reason: String,
    /// The holder's command line.
    pub command: String,
    /// The process for which the holder, a guard, has the lock.
    pub behalf: Option<Behalf>,
    /// How long it had held the lock when this was read, in seconds.
    pub held_s: u64,
    /// What had become of it by then.
    pub state: State,
}

/// The process for which a guard holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behalf {
    /// The process.
    pub pid: i32,
    /// When it started, as in [`Owner::started`].
    pub started: u64,
    /// Its command line.
    pub command: String,
}

impl Behalf {
    /// A process that runs; `None` if it does not.
    pub fn of(pid: i32) -> Option<Behalf> {
        let Process { started, .. } = look_up(&pid.to_string()).filter(Process::lives)?;
        Some(Behalf { pid, started, command: command_of(&pid.to_string()) })
    }

    /// Whether it is likely to be meant where nobody said which process is: a shell, or the first of its session. Others
    /// start a command and are gone, or never end.
    pub fn lasts(&self) -> bool {
        const SHELLS: [&str; 12] =
            ["sh", "ash", "bash", "busybox", "dash", "fish", "ksh", "ksh93", "mksh", "tcsh", "yash", "zsh"];
        let program = fs::read_link(format!("/proc/{}/exe", self.pid)).unwrap_or_default();
        let is_shell = program.file_name().and_then(|name| name.to_str()).is_some_and(|name| SHELLS.contains(&name));
        is_shell || look_up(&self.pid.to_string()).is_some_and(|process| process.session == self.pid)
    }
}

/// What `/proc` says of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It lives, as far as can be seen.
    Running,
    /// It is stopped by a signal or a debugger, and lets go of nothing before it is continued.
    Stopped,
    /// It has ended, but these processes inherited its lock: pid and command line. None, if they cannot be seen.
    Ended(Vec<(i32, String)>),
    /// It is on another host, or in a container of its own.
    Elsewhere,
}

impl Owner {
    /// This process.
    pub(super) fn here(dir: FileId, reason: &str, behalf: Option<&Behalf>) -> Result<Owner, Errno> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())?;
        Ok(Owner {
            id: format!("{}{:016x}", key_of(dir), u64::from_be_bytes(random)),
            host: host(),
            boot_id: boot_id(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            pid_namespace: pid_namespace(),
            started: look_up("self").map_or(0, |process| process.started),
            since: now(),
            reason: plain(reason, VALUE_MAX),
            command: command_of("self"),
            behalf: behalf.cloned(),
            held_s: 0,
            state: State::Running,
        })
    }

    /// The holder of a lockfile that is flocked; `None` if its text is empty, torn, or none of ours.
    pub(super) fn of(file: &File) -> Option<Owner> {
        let mut owner = Owner::parse(&read_text(file)?)?;
        owner.state = owner.look(file);
        Some(owner)
    }

    /// The lockfile's text.
    pub fn text(&self) -> String {
        let Owner { id, host, boot_id, pid, pid_namespace, started, since, reason, command, .. } = self;
        let mut text = format!(
            "id: {id}\nhost: {host}\nboot: {boot_id}\npid: {pid}\npid namespace: {pid_namespace}\nstarted: {started}\n\
             since: {since}\nreason: {reason}\ncommand: {command}\n"
        );
        if let Some(Behalf { pid, started, command }) = &self.behalf {
            let _ = write!(text, "guards pid: {pid}\nguards started: {started}\nguards command: {command}\n");
        }
        text
    }

    /// The lock's id in a lockfile.
    pub(super) fn id_in(file: &File) -> Option<String> {
        Owner::parse(&read_text(file)?).map(|owner| owner.id)
    }

    /// Whether pids of the holder mean the same here.
    pub fn is_near(&self) -> bool {
        let same = |theirs: &str, ours: &str| theirs == ours || theirs.is_empty() || ours.is_empty();
        let namespace = pid_namespace();
        let same_namespace = self.pid_namespace == namespace || self.pid_namespace == 0 || namespace == 0;
        self.host == host() && same(&self.boot_id, &boot_id()) && same_namespace
    }

    /// Reads the text of a lockfile; `None` if it says nothing. What has become of the holder is not looked at.
    pub fn parse(text: &str) -> Option<Owner> {
        let text = text.strip_suffix('\n')?;
        let value = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            plain(value.unwrap_or_default(), VALUE_MAX)
        };
        let since = value("since").parse().ok()?;
        Some(Owner {
            id: value("id"),
            host: value("host"),
            boot_id: value("boot"),
            pid: value("pid").parse().ok().filter(|&pid| pid > 0)?,
            pid_namespace: value("pid namespace").parse().unwrap_or(0),
            started: value("started").parse().unwrap_or(0),
            since,
            reason: value("reason"),
            command: value("command"),
            behalf: value("guards pid").parse().ok().filter(|&pid| pid > 0).map(|pid| Behalf {
                pid,
                started: value("guards started").parse().unwrap_or(0),
                command: value("guards command"),
            }),
            // A clock that was put back makes it zero.
            held_s: now().saturating_sub(since),
            state: State::Running,
        })
    }

    fn look(&self, file: &File) -> State {
        if !self.is_near() {
            return State::Elsewhere;
        }
        match look_up(&self.pid.to_string()) {
            // The pid was given to another process.
            Some(process) if self.started != 0 && self.started != process.started => State::Ended(holders(file)),
            Some(process) if !process.lives() => State::Ended(holders(file)),
            Some(process) if process.is_stopped() => State::Stopped,
            Some(_) => State::Running,
            // No /proc, or one that hides other users' processes.
            None => match Pid::from_raw(self.pid).map(rustix::process::test_kill_process) {
                Some(Err(Errno::SRCH)) => State::Ended(holders(file)),
                _ => State::Running,
            },
        }
    }
}

impl fmt::Display for Owner {
    /// A sentence without its full stop; see [`crate::error::Error::Locked`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = match &self.behalf {
            Some(Behalf { pid, command, .. }) => format!("{}, by its guard {},", process(*pid, command), self.pid),
            None => process(self.pid, &self.command),
        };
        let age = age(self.held_s);
        match &self.state {
            State::Running | State::Stopped => write!(f, "{owner} on this host has held the lock for {age}")?,
            State::Elsewhere if self.host == host() => {
                write!(f, "{owner} in another container on this host has held the lock for {age}")?;
            }
            State::Elsewhere => write!(f, "{owner} on host {} has held the lock for {age}", self.host)?,
            State::Ended(heirs) if heirs.is_empty() => {
                write!(f, "{owner} took the lock {age} ago and has ended; one that cannot be named inherited it")?;
            }
            State::Ended(heirs) => {
                let heirs: Vec<_> = heirs.iter().map(|(pid, command)| process(*pid, command)).collect();
                let (has, it) = if heirs.len() == 1 { ("holds", "which") } else { ("hold", "who") };
                write!(f, "{}, {it} inherited it from {owner}, {has} the lock, taken {age} ago", heirs.join(" and "))?;
            }
        }
        if !self.reason.is_empty() {
            write!(f, ", reason: {}", plain(&self.reason, SHOWN_MAX))?;
        }
        if self.state == State::Stopped {
            write!(f, "; it is stopped")?;
        }
        Ok(())
    }
}

/// Names a process in a sentence.
pub(crate) fn process(pid: i32, command: &str) -> String {
    if command.is_empty() { format!("process {pid}") } else { format!("process {pid} ({})", plain(command, SHOWN_MAX)) }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The text without what could act on a terminal or break the line (control characters, and those that hide or turn
/// text: these come as `\u{202e}`), cut to about `most` bytes. Plain text stays as it is.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        if plain.len() >= most {
            plain.push_str("...");
            break;
        }
        match c {
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                plain.extend(c.escape_unicode());
            }
            _ if c.is_control() => plain.extend(c.escape_default()),
            _ => plain.push(c),
        }
    }
    plain
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn host() -> String {
    plain(&rustix::system::uname().nodename().to_string_lossy(), VALUE_MAX)
}

fn boot_id() -> String {
    system::boot_id_text().unwrap_or_default().to_string()
}

/// The first half of the id of every lock of a folder, so that an id that is no longer held can be told from one of
/// another folder.
pub(crate) fn key_of(dir: FileId) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(dir.dev);
    hasher.write_u64(dir.ino);
    format!("{:016x}", hasher.finish())
}

/// Whether a text can be the id of a lock.
pub(crate) fn is_lock_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn pid_namespace() -> u64 {
    rustix::fs::stat("/proc/self/ns/pid").map_or(0, |stat| stat.st_ino)
}

/// What `/proc/PID/stat` says of a process.
struct Process {
    state: u8,
    /// The leader of its session; 0 if that is outside our pid namespace, where `getsid` has nothing to say.
    session: i32,
    /// Clock ticks from the start of the machine to that of the process.
    started: u64,
}

impl Process {
    /// It runs, be it stopped.
    fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }

    fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// Looks at a process (`self`, or a pid), if it is there and `/proc` shows it.
fn look_up(process: &str) -> Option<Process> {
    let stat = read_proc(&format!("{process}/stat"))?;
    // The second field is the program's name in brackets, and may hold brackets and blanks itself.
    let fields: Vec<_> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let state = *fields.first()?.as_bytes().first()?;
    Some(Process { state, session: fields.get(3)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
}

/// If a process still runs, be it stopped.
#[cfg(test)]
pub(super) fn lives(process: &str) -> bool {
    look_up(process).is_some_and(|process| process.lives())
}

fn command_of(process: &str) -> String {
    let arguments = read_proc(&format!("{process}/cmdline")).unwrap_or_default();
    plain(&arguments.trim_end_matches('\0').replace('\0', " "), VALUE_MAX)
}

/// The processes that hold the flock of this file, as far as `/proc` shows them: those who wait have it open, too.
pub(super) fn holders(file: &File) -> Vec<(i32, String)> {
    let holding = numbers("/proc").filter(|&pid| holds(file, pid));
    holding.map(|pid| (pid, command_of(&pid.to_string()))).collect()
}

/// Whether a process is seen to hold the flock of this file.
pub(super) fn holds(file: &File, pid: i32) -> bool {
    let Ok(id) = id_of_file(file) else { return false };
    numbers(&format!("/proc/{pid}/fdinfo")).any(|fd| {
        read_proc(&format!("{pid}/fdinfo/{fd}")).is_some_and(|info| info.contains("FLOCK"))
            && rustix::fs::stat(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|stat| FileId::from(&stat) == id)
    })
}

/// The processes that hold a flock of this file, each in words.
pub(super) fn name_holders(file: &File) -> Vec<String> {
    let name = |(pid, command): (i32, String)| {
        let is_stopped = look_up(&pid.to_string()).is_some_and(|process| process.is_stopped());
        format!("{}{}", process(pid, &command), if is_stopped { ", which is stopped" } else { "" })
    };
    holders(file).into_iter().map(name).collect()
}

/// The entries of a directory that are numbers.
fn numbers(path: &str) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn read_proc(name: &str) -> Option<String> {
    read_text(&File::open(format!("/proc/{name}")).ok()?)
}

fn read_text(file: &File) -> Option<String> {
    system::read_small(file).ok()
}
