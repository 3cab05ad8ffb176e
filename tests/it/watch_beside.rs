//! `maildex watch` and `build` beside programs that rename without pause. Short; with `MAILDEX_LONG=1` at full size.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::mailbox::{Mailbox, figures, long};
use crate::oracle;
use crate::tally::Tally;
use crate::watching::{PATIENCE, Watching};

/// Ends the threads beside a test, also when it fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Numbers that look random, the same each time.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

fn folder(mails: usize) -> Mailbox {
    let mail = Mailbox::new();
    for n in 0..mails {
        let text = format!("Subject: {n}\nMessage-ID: <{n}@example.org>\n\n");
        fs::write(mail.file(format!("cur/{n}.host:2,")), text).expect("write a mail");
    }
    mail.run(["build"]).ok();
    mail
}

/// Base names that a plain readdir of both directories finds.
fn plain_readdir(mail: &Mailbox) -> usize {
    let names = mail.mails();
    let base = |path: &std::ffi::OsString| {
        let path = path.to_str().expect("a UTF-8 name");
        path.split_once('/').expect("a directory").1.split(':').next().unwrap_or("").to_string()
    };
    names.iter().map(base).collect::<BTreeSet<_>>().len()
}

/// The index shows the folder, without a refresh by somebody else than the watcher.
#[track_caller]
fn shows_the_folder_soon(mail: &Mailbox) -> Duration {
    let begun = Instant::now();
    loop {
        let listed = oracle::listed(mail, &mail.run(["list", "--json", "--no-refresh"]).ok());
        match oracle::is_the_folder(mail, &listed) {
            Ok(()) => return begun.elapsed(),
            Err(why) => assert!(begun.elapsed() < PATIENCE, "{why}"),
        }
    }
}

#[test]
fn nothing_is_ever_reported_gone_while_others_rename_without_pause() {
    let (mails, builds) = if long() { (20_000, 300) } else { (2_000, 12) };
    let mail = folder(mails);
    let watch = Watching::from_now(&mail);
    let done = AtomicBool::new(false);
    let (flagged, moved) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (mut busy, mut wrong) = (0, 0);
    thread::scope(|scope| {
        // Even mails get and lose a flag, in an order that looks random; odd ones go to new/ and back.
        scope.spawn(|| {
            let (mut state, mut seen) = (1, vec![false; mails]);
            while !done.load(Ordering::Acquire) {
                let n = (next(&mut state) % mails) & !1;
                let name = |seen| format!("cur/{n}.host:2,{}", if seen { "S" } else { "" });
                mail.rename(name(seen[n]), name(!seen[n]));
                seen[n] = !seen[n];
                flagged.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let mut state = 2;
            while !done.load(Ordering::Acquire) {
                let n = (next(&mut state) % mails) | 1;
                if n < mails {
                    mail.rename(format!("cur/{n}.host:2,"), format!("new/{n}.host"));
                    mail.rename(format!("new/{n}.host"), format!("cur/{n}.host:2,"));
                    moved.fetch_add(2, Ordering::Relaxed);
                }
            }
        });
        let _stop = StopOnDrop(&done);
        for _ in 0..builds {
            let run = mail.run(["build", "--json"]);
            if run.code() == Some(75) {
                busy += 1; // it may give up, but not guess
            } else {
                let report = &run.json()[0];
                for key in ["removed", "added", "replaced", "renamed", "duplicates", "held_back"] {
                    assert_eq!(report[key], 0, "{key}: {run}");
                }
            }
            wrong += usize::from(plain_readdir(&mail) != mails);
        }
    });
    let settled = shows_the_folder_soon(&mail);
    let uids: Vec<u64> = mail.listed().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(uids, (1..=mails as u64).collect::<Vec<_>>(), "no UID has changed");
    let mut events = 0;
    while let Some((event, uid, _)) = watch.told_already() {
        assert!(["flags", "moved"].contains(&&*event), "{event} of UID {uid}");
        events += 1;
    }
    // The kernel's queue may have overflown, which costs nothing and is said once.
    let errors = watch.errors();
    assert!(errors.is_empty() || (errors.contains("dropped events") && errors.lines().count() == 2), "{errors}");
    mail.assert_sound();
    Tally::Readers.add(builds);
    figures(&format!(
        "{mails} mails: {builds} builds ({busy} gave up) and a watch that told {events} events, beside {} renames of flags \
         and {} moves; a plain readdir was wrong {wrong} times; all was shown {settled:?} after the last",
        flagged.load(Ordering::Relaxed),
        moved.load(Ordering::Relaxed)
    ));
    assert!(events > 0, "the watcher has seen something");
}

#[test]
fn a_burst_of_renames_is_taken_up_soon() {
    let mails = if long() { 40_000 } else { 4_000 };
    let mail = folder(mails);
    let watch = Watching::from_now(&mail);
    mail.deliver("new/x.host", "Subject: x\n\n");
    watch.until(|told| told.2 == "new/x.host");
    for n in 0..mails {
        mail.rename(format!("cur/{n}.host:2,"), format!("cur/{n}.host:2,S"));
    }
    let begun = Instant::now();
    let unseen = || mail.run(["count", "--no-refresh", "unseen"]).ok().text().trim().to_string();
    while unseen() != "1" {
        assert!(begun.elapsed() < PATIENCE, "{} are unseen; stderr: {}", unseen(), watch.errors());
    }
    let right = begun.elapsed();
    // Each is told, if only once.
    let mut told = BTreeSet::new();
    while told.len() < mails {
        told.insert(watch.told().1);
    }
    let overflow = if watch.errors().contains("dropped events") { "the queue overflowed" } else { "no event was lost" };
    figures(&format!("{mails} renames in one burst: right {right:?} after the last one; {overflow}"));
    mail.assert_sound();
}

#[test]
fn many_watchers_of_one_user_all_tell_and_those_without_inotify_say_so() {
    let watchers = if long() { 200 } else { 8 };
    let mail = folder(20);
    let token = mail.run(["changes"]).ok().text();
    let watches: Vec<_> = (0..watchers).map(|_| Watching::start(&mail, &["--since", token.trim()])).collect();
    mail.rename("cur/7.host:2,", "cur/7.host:2,F");
    let begun = Instant::now();
    for watch in &watches {
        watch.tells("flags", 8, "cur/7.host:2,F");
    }
    let told = begun.elapsed();
    let polling = watches.iter().filter(|watch| !watch.errors().is_empty()).count();
    for watch in &watches {
        let errors = watch.errors();
        assert!(errors.is_empty() || errors.matches("fs.inotify.max_user_instances").count() == 1, "{errors}");
    }
    figures(&format!(
        "{watchers} watchers of one folder: all told within {told:?}; {polling} without inotify said so once"
    ));
    mail.assert_sound();
}
