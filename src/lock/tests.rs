//! Threads and processes against each other. Processes are this test binary run again, see [`child`]; no test is
//! decided by how long something takes, limits of time only turn a hang into a failure.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Gid, Mode};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::lockfile::Contender;
use super::{ASK, Holder, LOCKFILE, Lock, Owner, State, Wait, holder, owner, wait};
use crate::dir::Access;
use crate::dir::{Dir, FileId};
use crate::error::{Error, Result};

pub(super) const ONCE: Wait = Wait::For(Duration::ZERO);
pub(super) const ACCESS: Access = Access { mode: Mode::from_raw_mode(0o600), owner: None, group: Gid::ROOT };
/// Longer than anything here takes on the slowest machine.
pub(super) const HANGS: Duration = Duration::from_mins(1);

pub(super) struct Folder {
    temp: TempDir,
    pub(super) dir: Arc<Dir>,
}

impl Folder {
    pub(super) fn new() -> Folder {
        let temp = tempfile::tempdir().unwrap();
        let dir = Arc::new(Dir::open(temp.path()).unwrap());
        Folder { temp, dir }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn lockfile(&self) -> PathBuf {
        self.file(LOCKFILE)
    }

    fn id(&self) -> FileId {
        self.dir.id_of(LOCKFILE).unwrap().expect("a lockfile")
    }

    /// What is in it besides what stays for ever.
    pub(super) fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.temp.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ASK).collect()
    }
}

pub(super) fn once(dir: &Arc<Dir>) -> Result<Lock> {
    Lock::acquire(dir, "", ONCE, ACCESS, &mut |_| panic!("a single try waits for nobody"))
}

fn once_in_place(dir: &Arc<Dir>) -> Result<Lock> {
    Contender { dir, reason: "", behalf: None, access: ACCESS, in_place: true }.acquire(ONCE, &mut |_| panic!("waits"))
}

/// The owner in an [`Error::Locked`].
pub(super) fn locked_by(tried: Result<Lock>) -> Option<Owner> {
    match tried {
        Err(Error::Locked { owner, .. }) => owner.map(|owner| *owner),
        other => panic!("expected Locked, found {other:?}"),
    }
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < HANGS, "{what}: still not so");
        thread::yield_now();
    }
}

/// Another process with orders for [`child`]; killed when dropped.
pub(super) struct Process {
    child: process::Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    pub(super) fn start(order: &str, folder: &Folder) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::child", "--nocapture"])
            .env("MAILDEX_TEST_CHILD", format!("{order} {}", folder.temp.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Process { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// The rest of a line that begins with `word`; anything else is a child's complaint.
    pub(super) fn said(&mut self, word: &str) -> String {
        let line = self.line();
        if let Some(rest) = line.strip_prefix(word) {
            return rest.trim().to_string();
        }
        let mut complaint = line;
        self.kill();
        self.lines.read_to_string(&mut complaint).unwrap();
        panic!("a child said: {complaint}");
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets a holder go.
    pub(super) fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test, but what the processes of the tests do.
#[test]
fn child() {
    let Ok(order) = std::env::var("MAILDEX_TEST_CHILD") else { return };
    let (order, folder) = order.split_once(' ').unwrap();
    let dir = Arc::new(Dir::open(Path::new(folder)).unwrap());
    match order {
        "hold" => {
            let lock = Lock::acquire(&dir, "testing", Wait::For(HANGS), ACCESS, &mut |_| eprintln!("waits")).unwrap();
            eprintln!("holds");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            lock.release().unwrap();
        }
        "bequeath" => {
            let lock = once(&dir).unwrap();
            let heir = Command::new("sleep")
                .arg("60")
                .stdin(lock.file.try_clone().unwrap())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            eprintln!("heir {}", heir.unwrap().id());
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "contend" => contend(&dir, false),
        "contend_in_place" => contend(&dir, true),
        other => panic!("no such order: {other}"),
    }
}

#[test]
fn threads_exclude_each_other() {
    let folder = Folder::new();
    let inside = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let lock = Lock::acquire(&folder.dir, "", Wait::For(HANGS), ACCESS, &mut |_| ()).unwrap();
                    assert!(!inside.swap(true, Ordering::SeqCst), "two holders");
                    thread::yield_now();
                    lock.check().unwrap();
                    assert!(inside.swap(false, Ordering::SeqCst), "two holders");
                    lock.release().unwrap();
                }
            });
        }
    });
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn another_process_is_refused_told_and_named() {
    let folder = Folder::new();
    let mut other = Process::start("hold", &folder);
    other.said("holds");

    let owner = locked_by(once(&folder.dir)).unwrap();
    assert_eq!((owner.pid, &*owner.reason, &owner.state), (other.pid(), "testing", &State::Running));
    assert!(owner.command.contains("lock::tests::child"), "{owner:?}");
    assert_eq!(wait::waiting_for(folder.id()), None, "a single try starts no thread");

    let mut told = Vec::new();
    let wait = Wait::For(Duration::from_millis(20));
    let tried = Lock::acquire(&folder.dir, "", wait, ACCESS, &mut |owner| told.push(owner.map(|owner| owner.pid)));
    assert_eq!(locked_by(tried).unwrap().pid, other.pid());
    assert_eq!(told, [Some(other.pid())]);

    assert!(matches!(holder(&folder.dir).unwrap(), Holder::Somebody(Some(owner)) if owner.pid == other.pid()));
    other.end();
    assert!(matches!(holder(&folder.dir).unwrap(), Holder::Nobody));
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_killed_holder_blocks_nobody() {
    let folder = Folder::new();
    for take in [once, once_in_place] {
        let mut other = Process::start("hold", &folder);
        other.said("holds");
        let dead = folder.id();
        other.kill();
        assert_eq!(folder.id(), dead, "it left its lockfile");
        assert!(matches!(holder(&folder.dir).unwrap(), Holder::Nobody));
        // One try, so there is nothing to wait for.
        let lock = take(&folder.dir).unwrap();
        let text = fs::read_to_string(folder.lockfile()).unwrap();
        assert!(text.contains(&format!("\npid: {}\n", process::id())), "{text}");
        assert_eq!(fs::metadata(folder.lockfile()).unwrap().mode() & 0o7777, 0o600);
        lock.release().unwrap();
    }
}

#[test]
fn a_waiter_wakes_when_the_holder_lets_go_or_dies() {
    let folder = Folder::new();
    for killed in [false, true] {
        let mut holding = Process::start("hold", &folder);
        holding.said("holds");
        let mut waiting = Process::start("hold", &folder);
        waiting.said("waits");
        if killed {
            holding.kill();
        } else {
            holding.end();
        }
        // It waits for nothing but the flock: unless that wakes it, it sits there until HANGS.
        waiting.said("holds");
        assert_eq!(locked_by(once(&folder.dir)).unwrap().pid, waiting.pid());
        waiting.end();
    }
}

#[test]
fn waiters_of_one_process_share_a_helper_and_all_get_their_turn() {
    let folder = Folder::new();
    let lock = once(&folder.dir).unwrap();
    let id = folder.id();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| Lock::acquire(&folder.dir, "", Wait::Forever, ACCESS, &mut |_| ()).unwrap());
        }
        until("three wait in one helper", || wait::waiting_for(id) == Some(3));
        lock.release().unwrap();
    });
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn who_gave_up_leaves_nothing_held() {
    let folder = Folder::new();
    let lock = once(&folder.dir).unwrap();
    let id = folder.id();
    for _ in 0..3 {
        let wait = Wait::For(Duration::from_millis(1));
        assert!(locked_by(Lock::acquire(&folder.dir, "", wait, ACCESS, &mut |_| ())).is_some());
        assert!(wait::waiting_for(id).unwrap_or(0) <= 1, "those who gave up are forgotten");
    }
    let same_file = folder.dir.open_file(LOCKFILE, false).unwrap().unwrap();
    lock.release().unwrap();
    until("the helper ends", || wait::waiting_for(id).is_none());
    fs2::FileExt::try_lock_exclusive(&same_file).expect("nobody has its flock");
}

#[test]
fn a_lockfile_removed_or_replaced_by_hand_is_a_lost_lock() {
    let folder = Folder::new();
    let lock = once(&folder.dir).unwrap();
    fs::remove_file(folder.lockfile()).unwrap();
    assert!(matches!(lock.check(), Err(Error::LockLost { .. })));
    fs::write(folder.lockfile(), "a stranger's").unwrap();
    assert!(matches!(lock.check(), Err(Error::LockLost { path }) if path == folder.lockfile()));
    assert!(matches!(lock.release(), Err(Error::LockLost { .. })));

    let lock = once(&folder.dir).unwrap();
    fs::remove_file(folder.lockfile()).unwrap();
    fs::write(folder.lockfile(), "a stranger's").unwrap();
    drop(lock);
    assert_eq!(fs::read_to_string(folder.lockfile()).unwrap(), "a stranger's");
}

pub(super) type Plant = fn(&Folder, &str);

/// What can stand where a file of ours should be; `precious` must stay as it is.
pub(super) const PLANTS: [(&str, Plant); 5] = [
    ("a symbolic link", |folder, name| std::os::unix::fs::symlink("precious", folder.file(name)).unwrap()),
    ("a symbolic link", |folder, name| std::os::unix::fs::symlink("nowhere", folder.file(name)).unwrap()),
    ("a fifo", |folder, name| rustix::fs::mknodat(&*folder.dir, name, FileType::Fifo, ACCESS.mode, 0).unwrap()),
    ("a directory", |folder, name| fs::create_dir(folder.file(name)).unwrap()),
    ("a file with 2 links", |folder, name| fs::hard_link(folder.file("precious"), folder.file(name)).unwrap()),
];

#[test]
fn whatever_is_no_plain_file_is_reported_and_left_alone() {
    for (what, plant) in PLANTS {
        let folder = Folder::new();
        fs::write(folder.temp.path().join("precious"), "data").unwrap();
        plant(&folder, LOCKFILE);
        let planted = folder.id();
        let forever = || Lock::acquire(&folder.dir, "", Wait::Forever, ACCESS, &mut |_| panic!("waits for {what}"));
        for error in [
            once(&folder.dir).unwrap_err(),
            once_in_place(&folder.dir).unwrap_err(),
            forever().unwrap_err(),
            holder(&folder.dir).unwrap_err(),
        ] {
            assert!(matches!(&error, Error::NotOurs { found, .. } if found == what), "{what}: {error:?}");
        }
        assert_eq!(folder.id(), planted, "{what} is still there");
        assert_eq!(folder.names().len(), 2, "{what}: {:?}", folder.names());
        assert_eq!(fs::read_to_string(folder.temp.path().join("precious")).unwrap(), "data");
    }
}

#[test]
fn a_text_that_says_nothing_neither_gives_nor_takes_the_lock() {
    let folder = Folder::new();
    let living = format!("id: 1\nhost: here\npid: {}\nsince: 1\n", process::id());
    for text in ["", "id: 12\npid: 4", "\0\0\0\0", &"x".repeat(1 << 20), &living] {
        fs::write(folder.lockfile(), text).unwrap();
        assert!(matches!(holder(&folder.dir).unwrap(), Holder::Nobody));
        once(&folder.dir).unwrap().release().unwrap();
    }
    fs::write(folder.lockfile(), "").unwrap();
    let file = folder.dir.open_file(LOCKFILE, false).unwrap().unwrap();
    fs2::FileExt::try_lock_exclusive(&file).unwrap();
    assert_eq!(locked_by(once(&folder.dir)), None);
    assert!(matches!(holder(&folder.dir).unwrap(), Holder::Somebody(None)));
}

#[test]
fn a_folder_that_takes_no_file_is_an_io_error() {
    let dir = Arc::new(Dir::open(Path::new("/proc")).unwrap());
    let error = once(&dir).unwrap_err();
    assert!(matches!(&error, Error::Io { doing: "cannot create", .. }), "{error:?}");
}

#[test]
fn in_place_and_linked_lockfiles_exclude_each_other() {
    let folder = Folder::new();
    for (first, second) in [(once as fn(_) -> _, once_in_place as fn(_) -> _), (once_in_place, once)] {
        let lock = first(&folder.dir).unwrap();
        lock.check().unwrap();
        assert_eq!(locked_by(second(&folder.dir)).unwrap().pid, process::id() as i32);
        assert_eq!(folder.names(), [LOCKFILE]);
        lock.release().unwrap();
        assert_eq!(folder.names(), [""; 0]);
    }
}

#[test]
fn a_stopped_holder_is_said_to_be_stopped() {
    let folder = Folder::new();
    let mut other = Process::start("hold", &folder);
    other.said("holds");
    other.signal(Signal::STOP);
    until("stopped", || locked_by(once(&folder.dir)).unwrap().state == State::Stopped);
    let error = once(&folder.dir).unwrap_err();
    assert!(error.to_string().ends_with(" s, reason: testing; it is stopped"), "{error}");
    assert!(error.hint().unwrap().contains("kill -CONT"), "{error}");
    other.signal(Signal::CONT);
    other.end();
}

#[test]
fn who_inherited_a_dead_holders_lock_is_named() {
    let folder = Folder::new();
    let mut other = Process::start("bequeath", &folder);
    let heir: i32 = other.said("heir").parse().unwrap();
    // A process has no command line for a moment after its exec.
    until("the heir has its command line", || !fs::read(format!("/proc/{heir}/cmdline")).unwrap().is_empty());
    other.kill();
    let owner = locked_by(once(&folder.dir)).unwrap();
    kill_process(Pid::from_raw(heir).unwrap(), Signal::KILL).unwrap();
    assert_eq!((owner.pid, &owner.state), (other.pid(), &State::Ended(vec![(heir, "sleep 60".into())])));
    let text = owner.to_string();
    assert!(text.starts_with(&format!("process {heir} (sleep 60), which inherited it from process ")), "{text}");
    let lock = Lock::acquire(&folder.dir, "", Wait::For(HANGS), ACCESS, &mut |_| ()).unwrap();
    lock.release().unwrap();
}

#[test]
fn no_child_inherits_the_lock() {
    let folder = Folder::new();
    let lock = once(&folder.dir).unwrap();
    let ino = lock.file.metadata().unwrap().ino().to_string();
    let out = Command::new("sh").args(["-c", "stat -Lc %i /proc/self/fd/*"]).output().unwrap();
    let inodes = String::from_utf8(out.stdout).unwrap();
    assert!(inodes.lines().count() >= 3 && inodes.lines().all(|open| open != ino), "{ino} in {inodes}");
    lock.release().unwrap();
}

#[test]
fn the_owners_text_comes_back_and_cannot_act_on_a_terminal() {
    let folder = Folder::new();
    let reason = "a\nhost: elsewhere\x1b[2J\u{202e}";
    let lock = Lock::acquire(&folder.dir, reason, ONCE, ACCESS, &mut |_| ()).unwrap();
    let text = fs::read_to_string(folder.lockfile()).unwrap();
    let owner = Owner::parse(&text).unwrap();
    assert_eq!(owner.text(), text);
    assert_eq!(owner.reason, r"a\nhost: elsewhere\u{1b}[2J\u{202e}");
    assert_eq!((owner.pid, owner.id.len()), (process::id() as i32, 32));
    lock.release().unwrap();

    let long = Owner::here(folder.dir.id().unwrap(), &"\u{7f}é".repeat(5000), None).unwrap().text();
    assert!(long.len() < 4096 && Owner::parse(&long).is_some());

    let hostile = "host: \x1b[31mh\nboot: b\npid: 7\nsince: 18446744073709551615\ncommand: \x07x\u{9b}\n";
    let owner = Owner::parse(hostile).unwrap();
    let elsewhere = Owner { state: State::Elsewhere, ..owner };
    let sentence = r"process 7 (\u{7}x\u{9b}) on host \u{1b}[31mh has held the lock for 0 s";
    assert_eq!(elsewhere.to_string(), sentence);
    for text in [
        "",
        "pid: 7\n",
        "pid: 0\nsince: 1\n",
        "pid: -7\nsince: 1\n",
        "pid: 99999999999\nsince: 1\n",
        "pid: 7\nsince: 1",
    ] {
        assert_eq!(Owner::parse(text), None, "{text:?}");
    }
}

/// Four processes want one lock, two of them making it in place, and are killed at any moment for two seconds, often
/// while they hold it. The witness file tells whoever enters if the last one is still inside.
#[test]
fn two_holders_never_meet_whoever_is_killed() {
    let folder = Folder::new();
    fs::write(folder.temp.path().join("witness"), record("out", 0, 0)).unwrap();
    let (tell, told) = mpsc::channel();
    let start = Instant::now();
    thread::scope(|scope| {
        for (nth, order) in ["contend", "contend_in_place", "contend", "contend_in_place"].into_iter().enumerate() {
            let (tell, folder) = (tell.clone(), &folder);
            scope.spawn(move || {
                let mut lines = nth;
                while start.elapsed() < Duration::from_secs(2) {
                    let mut process = Process::start(order, folder);
                    lines = lines * 7 % 40 + 5;
                    for _ in 0..lines {
                        tell.send(process.said("entered").parse::<u64>().unwrap()).unwrap();
                    }
                    process.kill();
                }
            });
        }
    });
    drop(tell);
    let (mut seen, mut entries) = (HashSet::new(), 0);
    for count in told {
        entries += 1;
        assert!(seen.insert(count), "two holders counted to {count}");
    }
    assert!(entries >= 20, "only {entries} entries");
    once(&folder.dir).unwrap().release().unwrap();
    assert_eq!(folder.names(), ["witness"], "nothing is left behind");
}

fn record(side: &str, pid: u32, count: u64) -> String {
    format!("{side:<4}{pid:>10}{count:>10}")
}

fn contend(dir: &Arc<Dir>, in_place: bool) {
    let witness = OpenOptions::new().read(true).write(true).open(dir.path().join("witness")).unwrap();
    let read = || {
        let mut bytes = [0; 24];
        witness.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let contender = Contender { dir, reason: "", behalf: None, access: ACCESS, in_place };
    for round in process::id().. {
        let wait = if round % 4 == 0 { Wait::For(HANGS) } else { ONCE };
        let lock = match contender.acquire(wait, &mut |_| ()) {
            Err(Error::Locked { .. }) => continue,
            tried => tried.unwrap(),
        };
        let before = read();
        if let Some(last) = before.strip_prefix("in") {
            let last = &last[..12];
            // Killed inside: then it ends without another word.
            until("the last holder is dead", || {
                assert_eq!(read(), before, "two holders");
                !owner::lives(last.trim())
            });
        }
        let count = before[14..].trim().parse::<u64>().unwrap() + 1;
        let inside = record("in", process::id(), count);
        witness.write_all_at(inside.as_bytes(), 0).unwrap();
        eprintln!("entered {count}");
        thread::yield_now();
        lock.check().unwrap();
        assert_eq!(read(), inside, "two holders");
        witness.write_all_at(record("out", process::id(), count).as_bytes(), 0).unwrap();
        lock.release().unwrap();
    }
}
