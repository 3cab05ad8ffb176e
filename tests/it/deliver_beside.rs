//! `maildex deliver` beside everybody else. Short; with `MAILDEX_LONG=1` a thousand mails by twenty processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::mailbox::{Mailbox, figures, long, mail};
use crate::oracle;
use crate::tally::Tally;
use crate::watching::Watching;

/// Ends the threads beside a test, also when it fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Numbers that look random, the same each time.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// As a mail reader does: takes new mail up, marks it as read, and some of it as trashed.
fn rename_some(mail: &Mailbox) {
    for name in mail.mails() {
        let Some(base) = name.to_str().and_then(|name| name.strip_prefix("new/")) else { continue };
        let Ok(text) = fs::read_to_string(mail.file(&name)) else { continue };
        let number = text.lines().find_map(|line| line.strip_prefix("Subject: ")?.parse::<usize>().ok());
        let flags = if number.is_some_and(|number| number.is_multiple_of(5)) { "ST" } else { "S" };
        // Somebody may have been quicker.
        let _ = fs::rename(mail.file(&name), mail.file(format!("cur/{base}:2,{flags}")));
    }
}

/// Delivers from many processes, some of which are killed, beside a watcher, expunges, and a mail reader.
fn storm(with_kills: bool) {
    let (processes, each) = if long() { (20, 50) } else { (5, 8) };
    let mail = Mailbox::in_memory();
    mail.run(["build"]).ok();
    let mut watcher = Watching::from_now(&mail);
    let stop = AtomicBool::new(false);
    let (killed, delivered, at_once) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
    let uids = Mutex::new(BTreeMap::new());
    let expunged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        let beside = (&mail, &stop, &expunged);
        scope.spawn(move || {
            let (mail, stop, _) = beside;
            while !stop.load(Ordering::Acquire) {
                rename_some(mail);
                thread::yield_now();
            }
        });
        scope.spawn(move || {
            let (mail, stop, expunged) = beside;
            while !stop.load(Ordering::Acquire) {
                let run = mail.run(["expunge", "--trashed", "--json"]);
                assert!(matches!(run.code(), Some(0 | 4)), "{run}");
                expunged.lock().expect("no panic").extend(run.json().iter().map(|record| {
                    (record["uid"].as_u64().expect("a UID"), record["base"].as_str().expect("a base").to_string())
                }));
            }
        });
        let all: Vec<_> = (0..processes)
            .map(|process| {
                let (mail, killed, delivered, at_once, uids) = (&mail, &killed, &delivered, &at_once, &uids);
                scope.spawn(move || {
                    let mut random = process as u64 + 1;
                    for n in 0..each {
                        let number = process * each + n;
                        let text = self::mail(&number.to_string());
                        let mut command = mail.command(["deliver", "--json"]);
                        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                        let mut child = command.spawn().expect("run");
                        let mut stdin = child.stdin.take().expect("a pipe");
                        std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("write");
                        drop(stdin);
                        if with_kills && next(&mut random).is_multiple_of(2) {
                            thread::sleep(Duration::from_micros(next(&mut random) % 5000));
                            let _ = child.kill();
                        }
                        let output = child.wait_with_output().expect("wait");
                        match output.status.code() {
                            Some(0) => drop(delivered.lock().expect("no panic").insert(number)),
                            None if with_kills => _ = killed.fetch_add(1, Ordering::Relaxed),
                            _ => panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
                        }
                        let Ok(record) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else { continue };
                        if let Some(uid) = record["uid"].as_u64() {
                            at_once.fetch_add(1, Ordering::Relaxed);
                            let base = record["base"].as_str().expect("a base").to_string();
                            let other = uids.lock().expect("no panic").insert(uid, base.clone());
                            assert!(other.is_none(), "UID {uid} is {base} and {other:?}");
                        }
                    }
                })
            })
            .collect();
        for thread in all {
            thread.join().expect("a thread that delivers");
        }
    });
    for record in mail.run(["expunge", "--trashed", "--json"]).ok().json() {
        let gone = (record["uid"].as_u64().expect("a UID"), record["base"].as_str().expect("a base").to_string());
        expunged.lock().expect("no panic").push(gone);
    }
    mail.run(["build"]).ok();
    let listed = oracle::listed(&mail, &mail.run(["list", "--json"]).ok());
    oracle::is_the_folder(&mail, &listed).unwrap_or_else(|why| panic!("{why}"));
    let (delivered, expunged, uids) = (
        delivered.into_inner().expect("no panic"),
        expunged.into_inner().expect("no panic"),
        uids.into_inner().expect("no panic"),
    );
    // Each mail is there once, or was expunged once, under the UID that deliver said, if it said one.
    let there: BTreeMap<u64, String> = listed.iter().map(|listed| (listed.uid, listed.mail.base.clone())).collect();
    let gone: BTreeMap<u64, String> = expunged.iter().cloned().collect();
    assert_eq!(gone.len(), expunged.len(), "expunged once: {expunged:?}");
    for (uid, base) in &uids {
        assert_eq!(there.get(uid).or_else(|| gone.get(uid)), Some(base), "UID {uid}");
    }
    let numbers: Vec<usize> = listed
        .iter()
        .map(|listed| listed.mail.message_id.split('@').next())
        .map(|id| id.expect("an id").parse().expect("a number"))
        .collect();
    let unique: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len(), "no mail is there twice: {numbers:?}");
    let trashed = |number: &usize| number.is_multiple_of(5);
    for number in &delivered {
        assert!(unique.contains(number) || trashed(number), "mail {number} was delivered, and is gone");
    }
    let came = listed.len() + gone.len();
    let most = delivered.len() + killed.load(Ordering::Relaxed);
    assert!((delivered.len()..=most).contains(&came), "{came} came of {} delivered", delivered.len());
    mail.assert_sound();
    watcher.signal(Signal::TERM);
    watcher.end();
    Tally::Operations.add(processes * each);
    figures(&format!(
        "{} deliveries by {processes} processes beside watch, expunge and a mail reader: {} killed, {} in the index at once, \
         {} there and {} expunged in the end, none lost, none twice",
        processes * each,
        killed.into_inner(),
        at_once.into_inner(),
        listed.len(),
        gone.len()
    ));
}

#[test]
fn deliveries_beside_everybody_come_once_each() {
    storm(false);
}

#[test]
fn deliveries_that_are_killed_lose_nothing_that_was_delivered() {
    storm(true);
}
