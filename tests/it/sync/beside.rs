//! `sync` while others are at work on the same folders.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::replica::Replica;
use crate::mailbox::{figures, long, mail};

#[test]
fn mail_comes_and_is_renamed_flagged_and_counted_meanwhile() {
    let rounds = if long() { 40 } else { 6 };
    let (mut replicas, _hub) = Replica::with_hub(2);
    for (host, replica) in replicas.iter().enumerate() {
        for n in 0..20 {
            replica.mailbox.deliver(format!("cur/{n}.{host}.old:2,"), mail(&format!("old {n}")));
        }
    }
    for at in [0, 1, 0] {
        replicas[at].sync();
    }
    let stop = AtomicBool::new(false);
    let stop = &stop;
    let delivered: usize = std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for (at, replica) in replicas.iter().enumerate() {
            let mailbox = &replica.mailbox;
            // An MTA and a renamer that know nothing of maildex, and one that does.
            workers.push(scope.spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    mailbox.deliver(format!("new/{}.{at}.new", 1_000_000_000 + n), mail(&format!("new {n}")));
                    std::thread::yield_now();
                    if n % 3 == 0 {
                        let run = mailbox.run(["flag", "+S", "1:*"]);
                        assert!(matches!(run.code(), Some(0 | 4 | 75)), "{run}");
                    }
                    let old = format!("{}.{at}.old", n % 20);
                    let names =
                        fs::read_dir(mailbox.file("cur")).expect("list").map(|e| e.expect("an entry").file_name());
                    let name = names.filter_map(|name| name.into_string().ok()).find(|name| name.starts_with(&old));
                    if let Some(name) = name {
                        let toggled = if name.contains('a') { name.replace('a', "") } else { format!("{name}a") };
                        // Gone meanwhile: somebody else was quicker.
                        let _ = fs::rename(mailbox.file("cur").join(&name), mailbox.file("cur").join(toggled));
                    }
                }
                n
            }));
        }
        for _ in 0..rounds {
            for replica in &replicas {
                let run = replica.mailbox.run(["sync", "run"]);
                assert!(matches!(run.code(), Some(0 | 4)), "{run}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
    });
    for at in [0, 1, 0, 1] {
        replicas[at].sync();
    }
    let shown: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0].1.len(), delivered + 40, "no mail is lost, and none is there twice");
    for replica in &replicas {
        replica.mailbox.run(["check"]).ok();
    }
    figures(&format!("sync beside deliveries, flags and renames: {rounds} rounds, {delivered} mails came meanwhile"));
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
