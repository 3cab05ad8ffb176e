//! `sync` while others are at work on the same folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Seek, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::replica::Replica;
use crate::mailbox::{figures, long, mail};
use crate::watching::Watching;

/// What each of those who are at work does at most in one round: so a round costs the same, however slow it is.
const EACH_ROUND: usize = 12;

/// Works on a replica until the last round has ended: an MTA and a renamer that know nothing of maildex, and one that does.
/// Returns how many mails came.
fn work(replica: &Replica, at: usize, round: &AtomicUsize, rounds: usize) -> usize {
    let mailbox = &replica.mailbox;
    let mut n = 0;
    loop {
        let round = round.load(Ordering::Acquire);
        if round > rounds {
            return n + n / 5;
        }
        if n >= round * EACH_ROUND {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        n += 1;
        mailbox.deliver(format!("new/{}.{at}.new", 1_000_000_000 + n), mail(&format!("new {n}")));
        if n % 3 == 0 {
            let run = mailbox.run(["flag", "+S", "1:*"]);
            assert!(matches!(run.code(), Some(0 | 4 | 75)), "{run}");
        }
        if n % 5 == 0 {
            let run = mailbox.finish(mailbox.command(["deliver"]).stdin(stdin(&format!("delivered {n}"))));
            assert!(matches!(run.code(), Some(0)), "{run}");
        }
        let old = format!("{}.{at}.old", n % 20);
        let names = fs::read_dir(mailbox.file("cur")).expect("list").map(|e| e.expect("an entry").file_name());
        let name = names.filter_map(|name| name.into_string().ok()).find(|name| name.starts_with(&old));
        if let Some(name) = name {
            let toggled = if name.contains('a') { name.replace('a', "") } else { format!("{name}a") };
            // Gone meanwhile: somebody else was quicker.
            let _ = fs::rename(mailbox.file("cur").join(&name), mailbox.file("cur").join(toggled));
        }
    }
}

/// A mail to be read from standard input.
fn stdin(subject: &str) -> fs::File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(mail(subject).as_bytes()).and_then(|()| file.rewind()).expect("write the mail");
    file
}

/// Lets the workers go when a test is over, also when it has failed.
struct LastRound<'a>(&'a AtomicUsize);

impl Drop for LastRound<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::Release);
    }
}

#[test]
fn mail_comes_and_is_renamed_flagged_and_watched_and_two_sync_meanwhile() {
    let rounds = if long() { 60 } else { 5 };
    let (mut replicas, _hub) = Replica::with_hub(2);
    for (host, replica) in replicas.iter().enumerate() {
        for n in 0..20 {
            replica.mailbox.deliver(format!("cur/{n}.{host}.old:2,"), mail(&format!("old {n}")));
        }
    }
    for at in [0, 1, 0] {
        replicas[at].sync();
    }
    let mut seen: BTreeMap<u64, String> = replicas[0].mailbox.listed().into_iter().collect();
    let watch = Watching::from_now(&replicas[0].mailbox);
    let round = AtomicUsize::new(1);
    let round = &round;
    let delivered: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = replicas
            .iter()
            .enumerate()
            .map(|(at, replica)| scope.spawn(move || work(replica, at, round, rounds)))
            .collect();
        let last = LastRound(round);
        for n in 1..=rounds {
            round.store(n, Ordering::Release);
            for replica in &replicas {
                let runs = [(); 2].map(|()| scope.spawn(|| replica.mailbox.run(["sync", "run"])));
                let runs = runs.map(|run| run.join().expect("a run"));
                // One is told that the other is at work; and who works may give way to the others.
                assert!(runs.iter().all(|run| matches!(run.code(), Some(0 | 4 | 75))), "{}{}", runs[0], runs[1]);
            }
        }
        drop(last);
        workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
    });
    for at in [0, 1, 0, 1] {
        replicas[at].sync();
    }
    let shown: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0].1.len(), delivered + 40, "no mail is lost, and none is there twice");
    // What was told is what happened.
    replicas[0].mailbox.deliver("new/the.last", mail("the last"));
    let events = watch.until(|told| told.2 == "new/the.last");
    let told = events.len();
    for (event, uid, path) in events {
        match &*event {
            "removed" => drop(seen.remove(&uid)),
            _ => drop(seen.insert(uid, path)),
        }
    }
    let listed: BTreeMap<u64, String> = replicas[0].mailbox.listed().into_iter().collect();
    assert_eq!(seen, listed, "{}", watch.errors());
    for replica in &replicas {
        replica.mailbox.run(["check"]).ok();
    }
    figures(&format!(
        "sync beside deliveries, flags, renames, a second sync and a watch: {rounds} rounds, {delivered} mails came meanwhile, \
         {told} events told"
    ));
}

#[test]
fn two_runs_at_once_are_one_after_the_other() {
    let (replicas, _hub) = Replica::with_hub(2);
    for n in 0..30 {
        replicas[0].mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    let codes: BTreeSet<Option<i32>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| replicas[0].mailbox.run(["sync", "run"]).code())).collect();
        runs.into_iter().map(|run| run.join().expect("a run")).collect()
    });
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 75))), "{codes:?}");
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 30);
}

#[test]
fn a_watcher_sees_what_comes_from_elsewhere() {
    let (replicas, _hub) = Replica::with_hub(2);
    replicas[0].mailbox.deliver("new/1.host", mail("one"));
    replicas[0].sync();
    replicas[1].sync();
    let token = replicas[1].mailbox.run(["changes", "--since", "0"]).ok().text();
    let token = token.lines().last().expect("a line").split('\t').next_back().expect("a token").to_string();
    fs::rename(replicas[0].file("", "1.host"), replicas[0].mailbox.file("cur/1.host:2,S")).expect("flag");
    replicas[0].mailbox.deliver("new/2.host", mail("two"));
    replicas[0].sync();
    replicas[1].sync();
    let told = replicas[1].mailbox.run(["changes", "--since", &token, "--json"]).ok().json();
    let events: Vec<_> =
        told.iter().filter_map(|event| Some((event["event"].as_str()?, event["base"].as_str()?))).collect();
    assert!(events.contains(&("added", "2.host")), "{told:?}");
    assert!(events.iter().any(|(event, base)| *base == "1.host" && *event != "added"), "{told:?}");
}

#[test]
fn the_first_mail_of_a_folder_does_not_end_a_watch() {
    let (replicas, _hub) = Replica::with_hub(2);
    for at in [0, 1, 0, 1] {
        replicas[at].sync();
    }
    let token = replicas[1].mailbox.run(["changes", "--since", "0"]).ok().text();
    let token = token.lines().last().expect("a line").split('\t').next_back().expect("a token").to_string();
    replicas[0].mailbox.deliver("new/1.host", mail("the first"));
    replicas[0].sync();
    replicas[1].sync();
    replicas[1].mailbox.run(["changes", "--since", &token]).ok().stdout_has("1.host");
}
