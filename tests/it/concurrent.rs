//! Several programs at one folder: readers that stay open, writers at once, and a mail program that renames meanwhile.
//! Nothing here depends on who is quicker.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use maildex::Error;
use maildex::folder::Folder;
use maildex::format::entry::Entry;
use maildex::format::status::Status;
use maildex::index::Index;
use maildex::index::publish::Writer;
use maildex::lock::Wait;
use maildex::maildir::flags::Flags;
use maildex::maildir::summary::Summary;
use maildex::refresh::{Options, Report, refresh};

use crate::mailbox::{Mailbox, figures, mail};
use crate::oracle::{self, History, Listed};
use crate::tally::Tally;

/// Mails that are renamed without pause: of many some are renamed during each step of a build, each of a few is renamed
/// many times during one build.
const MANY: usize = 2000;
const FEW: usize = 4;

/// How long that goes on.
const RENAMING: Duration = Duration::from_secs(3);

/// What is listed now, without a refresh.
fn listed(mailbox: &Mailbox) -> Vec<Listed> {
    oracle::listed(mailbox, &mailbox.run(["list", "--json", "--no-refresh"]).ok())
}

/// All is at rest: the index is sound and shows the folder.
fn at_rest(mailbox: &Mailbox) -> Vec<Listed> {
    mailbox.run(["build"]).ok();
    let listed = listed(mailbox);
    oracle::is_the_folder(mailbox, &listed).unwrap_or_else(|why| panic!("{why}"));
    mailbox.assert_sound();
    listed
}

/// A refresh in this process.
fn refresh_here(folder: &Folder) -> Report {
    let go_on = &mut |_| ControlFlow::Continue(());
    refresh(folder, Options::default(), Wait::For(Duration::from_secs(30)), &mut |_| (), go_on).expect("a refresh")
}

#[test]
fn a_changed_flag_is_seen_by_a_reader_that_stays_open() {
    let mailbox = Mailbox::new().messages(3);
    mailbox.run(["build"]).ok();
    let mut folder = Folder::open(&mailbox.path()).unwrap();
    let snapshot = folder.complete_index().unwrap().snapshot().unwrap();
    let slot = snapshot.slots().nth(1).unwrap();
    let before = (slot.status().unwrap(), slot.changed().unwrap());
    assert_eq!(before.0.flags(), Flags::NONE);
    mailbox.rename("cur/2.host:2,", "cur/2.host:2,FS");
    mailbox.run(["build"]).ok(); // another process
    assert_eq!(slot.status().unwrap().flags(), Flags::FLAGGED.union(Flags::SEEN));
    assert!(slot.changed().unwrap() > before.1);
    assert!(snapshot.slots().all(|slot| slot.no().0 == 1 || slot.status().unwrap().flags() == Flags::NONE));
}

#[test]
fn new_mail_is_seen_by_a_reader_that_stays_open_and_an_old_snapshot_stays() {
    let mailbox = Mailbox::new().messages(511);
    mailbox.run(["build"]).ok();
    let mut folder = Folder::open(&mailbox.path()).unwrap();
    let index = folder.complete_index().unwrap();
    assert_eq!(index.snapshot().unwrap().len(), 511);
    for n in 512..515 {
        mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    mailbox.run(["build"]).ok(); // makes the offsets file longer
    let snapshot = index.snapshot().unwrap();
    let mut entries = snapshot.index().entries().unwrap();
    let subjects: Vec<_> =
        snapshot.slots().skip(510).map(|slot| entries.read(&slot).unwrap().subject.to_string()).collect();
    assert_eq!(subjects, ["mail 511", "mail 512", "mail 513", "mail 514"]);
}

#[test]
fn a_removed_offsets_file_does_not_give_a_uid_to_two_mails() {
    let mailbox = Mailbox::new().messages(5);
    let mut history = History::default();
    // It keeps its mapping of the file that is about to go.
    let mut folder = Folder::open(&mailbox.path()).unwrap();
    refresh_here(&folder);
    let old_generation = folder.index().unwrap().identity().generation;
    history.take(&listed(&mailbox)).unwrap();
    for round in 0..3 {
        mailbox.remove("maildex.offsets");
        mailbox.deliver(format!("new/1{round}.host"), mail(&format!("by another process {round}")));
        mailbox.run(["build"]).ok();
        history.take(&listed(&mailbox)).unwrap();
        mailbox.deliver(format!("new/2{round}.host"), mail(&format!("by this one {round}")));
        assert_eq!(refresh_here(&folder).added, 1, "it is the other one's index that is brought up to date");
        history.take(&at_rest(&mailbox)).unwrap();
        let index = folder.index().unwrap();
        assert!(index.is_current().unwrap() && index.identity().generation == old_generation + round + 1);
        assert_eq!(u64::from(index.snapshot().unwrap().last_uid().unwrap().unwrap().get()), history.last());
    }
    assert_eq!(history.last(), 11);
}

#[test]
fn builds_at_once_index_each_mail_once() {
    for builders in [2, 8] {
        let mailbox = Mailbox::new().messages(20);
        for round in 0..3 {
            for n in 0..10 {
                mailbox.deliver(format!("new/{round}{n}.new"), mail(&format!("round {round} {n}")));
            }
            thread::scope(|scope| {
                for _ in 0..builders {
                    scope.spawn(|| drop(mailbox.run(["build"]).ok()));
                }
            });
            let listed = at_rest(&mailbox);
            assert_eq!(listed.len(), 20 + 10 * (round + 1));
            assert_eq!(listed.last().unwrap().uid, listed.len() as u64, "no UID was used up for nothing");
        }
    }
}

#[test]
fn readers_beside_a_writer_never_fail_and_never_print_a_short_list() {
    const ROUNDS: usize = 40;
    let mailbox = Mailbox::new().messages(30);
    mailbox.run(["build"]).ok();
    let published = AtomicUsize::new(30);
    let done = AtomicBool::new(false);
    let history = Mutex::new(History::default());
    let reads = AtomicUsize::new(0);
    thread::scope(|scope| {
        for verb in [&["list", "--json"][..], &["list", "--json", "--no-refresh"], &["count"]] {
            let (mailbox, published, done, history, reads) = (&mailbox, &published, &done, &history, &reads);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let at_least = published.load(Ordering::Acquire);
                    let run = mailbox.run(verb).ok();
                    let got = if verb[0] == "count" {
                        run.text().trim().parse().expect("a number")
                    } else {
                        let listed = oracle::listed(mailbox, &run);
                        history.lock().unwrap().take(&listed).unwrap();
                        listed.len()
                    };
                    assert!(got >= at_least, "{got} messages, {at_least} were published: {run}");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = StopOnDrop(&done);
        for round in 0..ROUNDS {
            mailbox.deliver(format!("new/a{round}.host"), mail(&format!("round {round}")));
            mailbox.run(["build"]).ok();
            published.fetch_add(1, Ordering::Release);
        }
    });
    history.lock().unwrap().take(&at_rest(&mailbox)).unwrap();
    let reads = reads.into_inner();
    Tally::Readers.add(reads);
    figures(&format!("readers beside a writer: {reads} reads"));
}

/// Ends the threads beside a test, also when it fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Renames all mails, one after the other, over and over.
fn rename_without_pause(mailbox: &Mailbox, mails: usize, done: &AtomicBool, next: fn(usize, usize) -> String) -> usize {
    let mut renames = 0;
    for round in 0.. {
        for n in 0..mails {
            if done.load(Ordering::Acquire) {
                return renames;
            }
            fs::rename(mailbox.file(next(n, round)), mailbox.file(next(n, round + 1))).expect("rename a mail");
            renames += 1;
        }
    }
    renames
}

/// Whether a plain readdir of both directories misses mail that is there all the time.
fn plain_readdir_is_wrong(mailbox: &Mailbox, mails: usize) -> bool {
    let names = mailbox.mails();
    let base = |path: &std::ffi::OsString| {
        let path = path.to_str().expect("a UTF-8 name");
        path.split_once('/').expect("a directory").1.split(':').next().unwrap_or("").to_string()
    };
    names.iter().map(base).collect::<BTreeSet<_>>().len() != mails
}

/// Builds while all mails are renamed without pause: nothing ever counts as removed, added or replaced.
fn builds_beside_a_renamer(what: &str, mails: usize, next: fn(usize, usize) -> String) {
    let mailbox = (0..mails).fold(Mailbox::in_memory(), |mailbox, n| {
        mailbox.message(next(n, 0), format!("Subject: {n}\nMessage-ID: <{n}@example.org>\n\n"))
    });
    mailbox.run(["build"]).ok();
    let before: Vec<_> = listed(&mailbox).into_iter().map(|l| (l.uid, l.mail.message_id)).collect();
    assert_eq!(before.len(), mails);
    let done = AtomicBool::new(false);
    let (mut builds, mut busy, mut wrong) = (0, 0, 0);
    let renames = thread::scope(|scope| {
        let renamer = scope.spawn(|| rename_without_pause(&mailbox, mails, &done, next));
        let stop = StopOnDrop(&done);
        let begun = Instant::now();
        while builds < 3 || begun.elapsed() < RENAMING {
            let run = mailbox.run(["build", "--json"]);
            builds += 1;
            if run.code() == Some(75) {
                busy += 1; // it may give up, but not guess
            } else {
                let run = run.ok();
                let report = &run.json()[0];
                for key in ["removed", "added", "replaced", "renamed", "duplicates"] {
                    assert_eq!(report[key], 0, "{key}: {run}");
                }
            }
            wrong += usize::from(plain_readdir_is_wrong(&mailbox, mails));
        }
        drop(stop);
        renamer.join().expect("the renamer")
    });
    let after: Vec<_> = at_rest(&mailbox).into_iter().map(|l| (l.uid, l.mail.message_id)).collect();
    assert_eq!(after, before, "no UID has changed");
    Tally::Readers.add(builds);
    figures(&format!(
        "{what} of {mails} mails: {builds} builds ({busy} gave up) beside {renames} renames; a plain readdir was wrong {wrong} times of {builds}"
    ));
}

#[test]
fn builds_while_flags_change_without_pause_lose_nothing() {
    let name = |n, round| format!("cur/{n}.host:2,{}", ["", "S"][round % 2]);
    builds_beside_a_renamer("flags", MANY, name);
    builds_beside_a_renamer("flags", FEW, name);
}

#[test]
fn builds_while_mail_moves_between_new_and_cur_without_pause_lose_nothing() {
    let name = |n: usize, round: usize| [format!("new/{n}.host"), format!("cur/{n}.host:2,S")][round % 2].clone();
    builds_beside_a_renamer("new and cur", MANY, name);
    builds_beside_a_renamer("new and cur", FEW, name);
}

#[test]
fn a_writer_whose_lock_was_taken_away_overwrites_nothing() {
    let mailbox = Mailbox::new().messages(2);
    mailbox.run(["build"]).ok();
    let folder = Folder::open(&mailbox.path()).unwrap();
    let lock = folder.lock("a test", Wait::For(Duration::ZERO), &mut |_| ()).unwrap();
    let mut writer = Writer::new(Index::open(folder.dir(), true).unwrap().unwrap(), &lock).unwrap();
    let add = |writer: &mut Writer<'_>| {
        let (mut bytes, summary) = (Vec::new(), Summary::default());
        Entry::new(b"9.stranger", 0, 0, &summary).write(&mut bytes);
        let hash = writer.index().identity().hash(b"9.stranger");
        writer.add(&mut bytes, Status::NEW, hash, 0)
    };
    add(&mut writer).unwrap();
    writer.publish().unwrap();
    mailbox.remove("maildex.lock");
    mailbox.deliver("new/3.host", mail("mail 3"));
    mailbox.run(["build"]).ok(); // takes the lock, and the message of the stranger for gone
    add(&mut writer).unwrap();
    let lost = writer.publish();
    assert!(matches!(lost, Err(Error::LockLost { .. })), "{lost:?}");
    drop(writer);
    mailbox.run(["build", "--full"]).ok();
    assert_eq!(at_rest(&mailbox).len(), 3);
    mailbox.run(["list", "--uids"]).ok().stdout("1\n2\n4\n");
}
