//! maildex at work: all that writes, over and over, for as long as a neighbour is at it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::mailbox::{Mailbox, mail, maildex};
use crate::oracle::{self, History};

/// Rounds that are run in any case, and those after which it is enough, however long the neighbour takes.
const ROUNDS: std::ops::Range<usize> = 4..20;

/// What to do.
pub struct Work {
    /// What its mails are called: `NAME 1` and on.
    pub name: &'static str,
    /// UIDs of mails that the neighbour changes, too: `F` is set and cleared on them, and in the end set.
    pub flagged: &'static str,
}

/// What was done.
#[derive(Debug)]
pub struct Worked {
    /// Mails that are there because of it, by Message-ID, with their letters.
    pub mails: BTreeMap<String, String>,
    rounds: usize,
    moves: usize,
}

impl fmt::Display for Worked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worked { rounds, moves, .. } = self;
        write!(f, "watch, and {rounds} times deliver, flag and compact, {moves} times move, there and back")
    }
}

impl Work {
    /// Runs until the neighbour has ended.
    pub fn beside<T>(self, mail: &Mailbox, neighbour: impl FnOnce() -> T) -> (T, Worked) {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let work = scope.spawn(|| self.work(mail, &stop));
            let done = neighbour();
            stop.store(true, Ordering::Release);
            (done, work.join().expect("maildex at work"))
        })
    }

    fn work(self, mail: &Mailbox, stop: &AtomicBool) -> Worked {
        let Work { name, flagged } = self;
        let other = Mailbox::new();
        let mut worked = Worked { mails: BTreeMap::new(), rounds: 0, moves: 0 };
        let mut history = History::default();
        for n in 1..ROUNDS.end {
            let is_last = n + 1 == ROUNDS.end || (n >= ROUNDS.start && stop.load(Ordering::Acquire));
            let subject = format!("{name} {n}");
            deliver(mail, &subject);
            // For certain: while somebody else writes the reading verbs answer as of the last refresh.
            mail.run(["build"]).ok();
            let listed = oracle::listed(mail, &mail.run(["list", "--json", "--no-refresh"]).ok());
            history.take(&listed).unwrap_or_else(|why| panic!("{why}"));
            let id = format!("{name}.{n}@example.org");
            let uid = listed.iter().find(|listed| listed.mail.message_id == id).expect("it was delivered").uid;
            let is_flagged = n % 2 == 0;
            mail.run(["flag", if is_flagged { "+F" } else { "+FR" }, &uid.to_string()]).ok();
            if !is_flagged {
                mail.run(["flag", "-FR", &uid.to_string()]).ok();
            }
            if !flagged.is_empty() {
                mail.run(["flag", if is_flagged || is_last { "+F" } else { "-F" }, flagged]).ok();
            }
            if n % 3 == 0 {
                mail.finish(Command::new(maildex()).arg("move").args([mail.path(), other.path()]).arg(uid.to_string()))
                    .ok();
                other.run(["build"]).ok();
                back(mail, &other.path());
                worked.moves += 1;
            }
            mail.run(["compact"]).ok();
            worked.mails.insert(id, if is_flagged { "F" } else { "" }.to_string());
            worked.rounds = n;
            if is_last {
                break;
            }
        }
        worked
    }
}

/// Everything in the other folder goes back.
fn back(mail: &Mailbox, other: &Path) {
    mail.finish(Command::new(maildex()).arg("move").args([other, &mail.path()]).arg("1:*")).ok();
}

/// Delivers a mail that says no more than this.
#[track_caller]
pub fn deliver(mailbox: &Mailbox, subject: &str) {
    let mut input = tempfile::tempfile().expect("a temporary file");
    input.write_all(mail(subject).as_bytes()).and_then(|()| input.rewind()).expect("write");
    mailbox.finish(mailbox.command(["deliver"]).stdin(input)).ok();
}
