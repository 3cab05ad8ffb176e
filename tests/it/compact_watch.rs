//! `maildex compact` beside `maildex watch`: one that hangs, one that wants the lock itself, and fifty in a row.

use std::fs;

use rustix::process::Signal;

use crate::mailbox::{Mailbox, figures, mail};
use crate::watching::Watching;

/// UIDs 1 to 4, of which 2 is dead, and a watcher that has the index open.
fn watched() -> (Mailbox, Watching) {
    let mail = Mailbox::new().messages(4);
    mail.run(["build"]).ok();
    mail.remove("cur/2.host:2,");
    mail.run(["build"]).ok();
    let watch = Watching::from_now(&mail);
    mail.run(["flag", "+F", "1"]).ok();
    watch.tells("flags", 1, "cur/1.host:2,F");
    (mail, watch)
}

/// Stops a watcher when it does not have the lock, and so is only in the way.
fn stop_at_rest(mail: &Mailbox, watch: &Watching) {
    let state = || fs::read_to_string(format!("/proc/{}/stat", watch.pid())).expect("it runs");
    loop {
        watch.signal(Signal::STOP);
        while !state().rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
            std::thread::yield_now();
        }
        if !mail.file(maildex::lock::LOCKFILE).exists() {
            return;
        }
        watch.signal(Signal::CONT);
        std::thread::yield_now();
    }
}

#[test]
fn a_stopped_watcher_is_named_passed_over_by_force_and_right_when_it_wakes() {
    let (mail, watch) = watched();
    stop_at_rest(&mail, &watch);
    let run = mail.run(["compact", "--wait", "0.3"]).fails_with(75).stdout("");
    run.stderr_shows(&format!("kept open by process {} (", watch.pid()));
    run.stderr_shows("watch");
    run.stderr_shows("), which is stopped\nhint: ");
    assert!(!mail.file("maildex.index.2").exists());
    let run = mail.run(["compact", "--wait", "0.3", "--force"]).ok();
    run.stderr_shows("which is stopped; it will find the new files");
    assert!(mail.file("maildex.index.2").exists() && !mail.file("maildex.index.1").exists());
    // While it sleeps mail comes, under the new generation.
    mail.deliver("new/5.host", self::mail("mail 5"));
    mail.run(["build"]).ok();
    mail.run(["flag", "+S", "3"]).ok();
    watch.signal(Signal::CONT);
    let mut told = [watch.told(), watch.told()];
    told.sort();
    assert_eq!(told, [("added".into(), 5, "new/5.host".into()), ("flags".into(), 3, "cur/3.host:2,S".into())]);
    mail.deliver("new/6.host", self::mail("mail 6"));
    watch.tells("added", 6, "new/6.host");
    // And it answers again.
    let run = mail.run(["compact", "--wait", "30"]).ok(); // it may say that it waits for the lock
    assert!(!run.errors().contains("kept open"), "{run}");
    mail.remove("cur/4.host:2,");
    watch.tells("removed", 4, "");
    watch.tells_nothing_more();
    assert_eq!(watch.errors(), "");
    mail.assert_sound();
}

#[test]
fn what_died_while_a_watcher_slept_is_told_to_it_after_a_compaction_by_force() {
    let (mail, watch) = watched();
    stop_at_rest(&mail, &watch);
    mail.remove("cur/3.host:2,");
    mail.deliver("new/5.host", self::mail("came and went"));
    mail.run(["build"]).ok();
    mail.remove("new/5.host");
    mail.run(["build"]).ok();
    let before = mail.run(["changes", "--since", "0", "--json"]).ok().text();
    for _ in 0..2 {
        mail.run(["compact", "--wait", "0", "--force"]).ok().stderr_has("which is stopped");
        mail.run(["changes", "--since", "0", "--json"]).ok().stdout(&before);
        mail.assert_sound();
    }
    watch.signal(Signal::CONT);
    watch.tells("removed", 3, "");
    // Now that it has heard of it nothing is left of the dead.
    let run = mail.run(["compact", "--wait", "30"]).ok(); // it may say that it waits for the lock
    assert!(!run.errors().contains("kept open"), "{run}");
    mail.run(["compact", "--json"]).ok().stdout_has("\"kept\":2,\"dropped\":0");
    mail.deliver("new/6.host", self::mail("mail 6"));
    watch.tells("added", 6, "new/6.host");
    watch.tells_nothing_more();
    assert_eq!(watch.errors(), "");
    mail.assert_sound();
}

#[test]
fn memory_and_descriptors_of_a_watcher_do_not_grow_over_fifty_compactions() {
    let (mail, watch) = watched();
    let used = || {
        let process = format!("/proc/{}", watch.pid());
        let fds = fs::read_dir(format!("{process}/fd")).expect("list descriptors").count();
        let maps = fs::read_to_string(format!("{process}/maps")).expect("read maps");
        let ours = maps.lines().filter(|line| line.contains("maildex.")).count();
        let status = fs::read_to_string(format!("{process}/status")).expect("read status");
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        (fds, ours, kib.trim().trim_end_matches(" kB").parse::<usize>().expect("a number"))
    };
    let mut before = (0, 0, 0);
    for round in 0..50 {
        mail.run(["compact", "--wait", "30"]).ok();
        let name = format!("new/{}.host", 10 + round);
        mail.deliver(&name, self::mail("x"));
        watch.tells("added", 5 + round, &name);
        mail.remove(&name);
        watch.tells("removed", 5 + round, "");
        if round == 4 {
            before = used(); // everything has been done once
        }
    }
    let after = used();
    // It may be looked at in the middle of a refresh; anything that is kept would be there 45 times.
    assert!(after.0 <= before.0 + 4, "{} descriptors, {} before", after.0, before.0);
    assert!(after.1 <= 4, "{} maps of our files, {} before", after.1, before.1);
    assert!(after.2 < before.2 + 1024, "{} KiB of private memory, {} before", after.2, before.2);
    figures(&format!("a watcher over 45 compactions: {} descriptors, {} to {} KiB", after.0, before.2, after.2));
    mail.assert_sound();
}

#[test]
fn watchers_that_write_and_compactors_all_get_through() {
    let (mail, watch) = watched();
    let second = Watching::from_now(&mail);
    let rounds: u64 = if std::env::var_os("MAILDEX_LONG").is_some() { 200 } else { 15 };
    std::thread::scope(|scope| {
        let compactors: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        // Each delivery makes both watchers want the lock, just when they are asked to close.
                        mail.run(["compact", "--wait", "60"]).ok();
                    }
                })
            })
            .collect();
        let mut uid = 4;
        while !compactors.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            uid += 1;
            let name = format!("new/{uid}.host");
            mail.deliver(&name, self::mail("x"));
            for watch in [&watch, &second] {
                watch.tells("added", uid, &name);
            }
        }
        for compactor in compactors {
            compactor.join().expect("each compaction came to its end");
        }
        figures(&format!("{} compactions beside two watchers, {} deliveries, all told", 2 * rounds, uid - 4));
    });
    assert_eq!((watch.errors(), second.errors()), (String::new(), String::new()));
    mail.assert_sound();
}
