//! Other mail programs on one folder, while maildex is at work there: watching, delivering, flagging, moving, compacting.
//!
//! After each: nothing is lost, nobody has complained of our files, each UID stands for the mail that it stood for, and
//! flags and mails are what was asked for, by whomever. What was run, and with which versions, is in docs/neighbours.md;
//! the tests print it.

mod delivery;
mod dovecot;
mod imap;
mod mblaze;
mod mbsync;
mod neomutt;
mod notmuch;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::mailbox::{Mailbox, figures, installed, mail, skipped};
use crate::oracle::{self, History};
use crate::watching::{PATIENCE, Watching};
use work::{Work, Worked};

/// Whether a neighbour is there; says loudly if not.
fn has(programs: &[&str], packages: &str) -> bool {
    let there = programs.iter().all(|program| installed(program));
    if !there {
        skipped(&format!("{packages} beside maildex"), &format!("install {packages}"));
    }
    there
}

/// The first line of what a program says of itself.
fn version(program: &str, option: &str) -> String {
    let output = Command::new(program).arg(option).stdin(Stdio::null()).output().expect("run it");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("").to_string()
}

/// The same of the Debian package, for programs that do not say.
fn package_version(package: &str) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Package} ${Version}", package]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or(package.to_string(), |text| String::from_utf8_lossy(&text).into_owned())
}

/// A folder with mails that were there before, and everything that has to be true of it.
struct Shared {
    mail: Mailbox,
    watch: Watching,
    /// Of each mail by its Message-ID the letters that it is to have.
    truth: BTreeMap<String, String>,
    /// What the UIDs stood for at the beginning.
    history: History,
    /// UID of each mail that was there before.
    uids: BTreeMap<String, u64>,
}

impl Shared {
    /// `cur/1.host:2,` to `cur/N.host:2,`, with the subjects `mail 1` to `mail N`; and a watcher.
    fn with(count: usize) -> Shared {
        Shared::of(Mailbox::new().messages(count))
    }

    fn of(mail: Mailbox) -> Shared {
        mail.run(["build"]).ok();
        let watch = Watching::from_now(&mail);
        let listed = oracle::listed(&mail, &mail.run(["list", "--json"]).ok());
        oracle::is_the_folder(&mail, &listed).unwrap_or_else(|why| panic!("{why}"));
        let mut history = History::default();
        history.take(&listed).unwrap_or_else(|why| panic!("{why}"));
        let truth = listed.iter().map(|listed| (listed.mail.message_id.clone(), listed.mail.flags.clone())).collect();
        let uids = listed.iter().map(|listed| (listed.mail.message_id.clone(), listed.uid)).collect();
        Shared { mail, watch, truth, history, uids }
    }

    /// Runs what a neighbour does, with maildex at work on the same folder for as long as that takes.
    fn meanwhile<T>(&mut self, work: Work, neighbour: impl FnOnce(&Mailbox) -> T) -> (T, Worked) {
        let (done, worked) = work.beside(&self.mail, || neighbour(&self.mail));
        self.truth.extend(worked.mails.clone());
        (done, worked)
    }

    /// A neighbour was to do this to the letters of some mails.
    fn letters(&mut self, mails: impl IntoIterator<Item = usize>, add: &str, remove: &str) {
        for n in mails {
            let letters = self.truth.get_mut(&id(n)).expect("a mail that is there");
            letters.retain(|letter| !remove.contains(letter));
            let mut all: Vec<char> = letters.chars().chain(add.chars()).collect();
            all.sort_unstable();
            all.dedup();
            *letters = all.into_iter().collect();
        }
    }

    /// A neighbour was to remove these.
    fn gone(&mut self, mails: impl IntoIterator<Item = usize>) {
        for n in mails {
            self.truth.remove(&id(n)).expect("a mail that is there");
        }
    }

    /// A neighbour was to bring these.
    fn came(&mut self, ids: impl IntoIterator<Item = String>) {
        self.truth.extend(ids.into_iter().map(|id| (id, String::new())));
    }

    /// The watcher has taken up what the folder is, without anybody else's refresh; that is the truth; and the UIDs stand for
    /// what they stood for.
    #[track_caller]
    fn is_true(&mut self, after: &str) {
        let begun = Instant::now();
        let listed = loop {
            let listed = oracle::listed(&self.mail, &self.mail.run(["list", "--json", "--no-refresh"]).ok());
            match oracle::is_the_folder(&self.mail, &listed) {
                Ok(()) => break listed,
                Err(why) => {
                    assert!(begun.elapsed() < PATIENCE, "after {after}: {why}\nstderr: {}", self.watch.errors());
                }
            }
        };
        assert_eq!(self.watch.errors(), "", "after {after}");
        self.history.take(&listed).unwrap_or_else(|why| panic!("after {after}: {why}"));
        let found: BTreeMap<_, _> =
            listed.iter().map(|listed| (listed.mail.message_id.clone(), listed.mail.flags.clone())).collect();
        assert_eq!(found.len(), listed.len(), "after {after} a mail is there twice: {listed:#?}");
        assert_eq!(found, self.truth, "after {after}");
        for listed in &listed {
            let was = self.uids.get(&listed.mail.message_id);
            assert!(was.is_none_or(|&was| was == listed.uid), "after {after} it had UID {was:?}: {listed:?}");
        }
        self.mail.assert_sound();
    }

    /// The directory in which the folder is.
    fn home(&self) -> PathBuf {
        self.mail.path().parent().expect("it has one").to_path_buf()
    }
}

/// The Message-ID of `mail N`.
fn id(n: usize) -> String {
    format!("mail.{n}@example.org")
}

/// A neighbour's run, which must end well, and say nothing of our files. What it says.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = ended(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    assert!(!err.contains("maildex."), "{command:?} complains:\n{err}");
    format!("{out}{err}")
}

fn ended(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Paths of the mails whose names begin like this.
fn paths(mail: &Mailbox, begins: &str) -> Vec<PathBuf> {
    let fits = |path: &std::ffi::OsString| path.to_str().is_some_and(|path| path.starts_with(begins));
    mail.mails().into_iter().filter(fits).map(|path| mail.file(path)).collect()
}

/// Says what was run; for docs/neighbours.md.
fn told(version: &str, what: &str, worked: &Worked) {
    figures(&format!("beside {version}: {what}; meanwhile {worked}"));
}
