//! `lock status`, `wanted` and `break`; a holder that is stopped; names that are not ours.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use rustix::process::Signal;

use super::{Running, is_held, run_lock, run_sh, until, wanted};
use crate::mailbox::{Mailbox, mail};

#[test]
fn status_says_who_holds_the_lock() {
    let mailbox = Mailbox::new();
    let path = mailbox.path().display().to_string();
    run_lock(&mailbox, "status", &[]).ok().silent().stdout(format!("{path}: free\n"));
    let free = &run_lock(&mailbox, "status", &["--json"]).ok().json()[0];
    assert_eq!((&free["v"], &free["locked"], &free["id"]), (&1.into(), &false.into(), &serde_json::Value::Null));

    let mut holder = Running::ready(&mut run_sh(&mailbox, &["--reason", "weekly\n\u{1b}[2J"], "echo ready; cat"));
    let text = run_lock(&mailbox, "status", &[]).ok().text();
    assert!(text.contains(" on this host has held the lock for ") && text.lines().count() == 1, "{text}");
    assert!(text.starts_with(&format!("{path}: process {} (", holder.pid())), "{text}");
    assert!(text.contains(r"reason: weekly\n\u{1b}[2J") && !text.contains('\u{1b}'), "{text}");
    let status = &run_lock(&mailbox, "status", &["--json"]).ok().json()[0];
    assert_eq!((&status["pid"], &status["wanted"]), (&holder.pid().into(), &false.into()));
    assert_eq!(status["holders"][0]["pid"], holder.pid());
    assert!(status["since"].as_str().unwrap().ends_with('Z') && status["guards"].is_null(), "{status}");

    run_lock(&mailbox, "wanted", &[]).fails_with(1).silent().stdout("");
    let mut waits = Running::start(&mut run_sh(&mailbox, &[], "true"));
    until("the other one asks", || wanted(&mailbox));
    run_lock(&mailbox, "wanted", &[]).ok().silent().stdout("");
    run_lock(&mailbox, "status", &[]).ok().stdout_has("; somebody waits for it");
    assert_eq!(run_lock(&mailbox, "status", &["--json"]).ok().json()[0]["wanted"], true);
    assert!(holder.end().success() && waits.end().success());
    for verb in ["status", "wanted", "break", "release", "acquire"] {
        let run =
            mailbox.finish(std::process::Command::new(crate::mailbox::maildex()).args(["lock", verb, "/nowhere"]));
        assert!([Some(2), Some(3)].contains(&run.code()), "{run}");
    }
}

#[test]
fn only_a_dead_holders_lockfile_is_broken() {
    let mailbox = Mailbox::new();
    run_lock(&mailbox, "break", &[]).ok().stderr_has("nobody has the lock");
    let mut holder = Running::ready(&mut run_sh(&mailbox, &["--close"], "echo ready; cat"));
    let process = format!("end process {}", holder.pid());
    run_lock(&mailbox, "break", &[]).fails_with(75).stderr_has(&process);
    run_lock(&mailbox, "break", &["--if-stale"]).ok().silent();
    assert!(is_held(&mailbox));
    holder.kill();
    assert!(mailbox.file("maildex.lock").exists());
    run_lock(&mailbox, "status", &[]).ok().stdout_has("free; a dead holder left its lockfile");
    assert_eq!(run_lock(&mailbox, "status", &["--json"]).ok().json()[0]["stale"], true);
    run_lock(&mailbox, "break", &["--if-stale"]).ok().stderr_has("removed the lockfile of a dead holder");
    assert!(!mailbox.file("maildex.lock").exists());
}

/// A text that says nothing, without a holder, is in nobody's way; with one, that one is named.
#[test]
fn an_empty_or_torn_lockfile_has_a_way_out() {
    let mailbox = Mailbox::new().messages(1);
    for text in ["", "id: 12\npid: 4", "\0\0\0\0"] {
        fs::write(mailbox.file("maildex.lock"), text).unwrap();
        mailbox.run(["build", "--wait", "0"]).ok().silent();
        assert!(!mailbox.file("maildex.lock").exists());
        fs::write(mailbox.file("maildex.lock"), text).unwrap();
        let script = "exec 8<$F/maildex.lock; flock -x 8; echo ready; cat";
        let mut stranger = Running::ready(&mut super::sh(&mailbox, script));
        let run = mailbox.run(["build", "--wait", "0"]).fails_with(75);
        run.stderr_shows(&format!("locked by process {} (sh -c", stranger.pid()));
        run.stderr_shows("when that process has ended the lock is free");
        run_lock(&mailbox, "break", &[]).fails_with(75).stderr_has(&format!("locked by process {}", stranger.pid()));
        run_lock(&mailbox, "status", &[]).ok().stdout_has(&format!("process {}", stranger.pid()));
        stranger.end();
        mailbox.run(["build", "--wait", "0"]).ok();
    }
    mailbox.assert_sound();
}

#[test]
fn a_stopped_builder_blocks_writers_only_and_goes_on() {
    let mailbox = Mailbox::new().messages(2000);
    mailbox.run(["build"]).ok();
    for n in 2001..=4000 {
        mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    // Stopped as soon as it has the lock; if it was quicker than that, once more.
    let mut builder = loop {
        let builder = Running::start(&mut mailbox.command(["build"]));
        let mut ended = builder;
        until("it has the lock, or has ended", || is_held(&mailbox) || ended.child.try_wait().unwrap().is_some());
        if ended.child.try_wait().unwrap().is_none() {
            ended.signal(Signal::STOP);
            if run_lock(&mailbox, "status", &[]).ok().text().contains("it is stopped") {
                break ended;
            }
            ended.signal(Signal::CONT);
        }
        ended.end();
        mailbox.rename("cur/1.host:2,", "cur/1.host:2,S");
        mailbox.rename("cur/1.host:2,S", "cur/1.host:2,");
    };
    let run = mailbox.run(["flag", "+F", "5", "--wait", "0.2"]).fails_with(75);
    run.stderr_shows("it is stopped");
    run.stderr_shows(&format!("kill -CONT {}", builder.pid()));
    let run = mailbox.run(["list"]).ok();
    assert!(run.text().lines().count() >= 2000, "{run}");
    run_lock(&mailbox, "break", &[]).fails_with(75);
    builder.signal(Signal::CONT);
    let status = builder.end();
    assert!(status.success(), "{status} {}", builder.rest());
    mailbox.run(["build"]).ok();
    mailbox.run(["count"]).ok().stdout("4000\n");
    mailbox.assert_sound();
}

#[test]
fn names_that_are_not_ours_are_reported_and_never_followed() {
    type Plant = fn(&Mailbox, &str);
    let plants: [(&str, Plant); 5] = [
        ("a symbolic link", |mailbox, name| symlink("victim", mailbox.file(name)).unwrap()),
        ("a symbolic link", |mailbox, name| symlink("nowhere", mailbox.file(name)).unwrap()),
        ("a fifo", |mailbox, name| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, mailbox.file(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("a directory", |mailbox, name| fs::create_dir(mailbox.file(name)).unwrap()),
        ("a file with 2 links", |mailbox, name| fs::hard_link(mailbox.file("victim"), mailbox.file(name)).unwrap()),
    ];
    for (what, plant) in plants {
        for name in ["maildex.lock", "maildex.ask", "maildex.inner", "maildex.close", "maildex.open"] {
            let mailbox = Mailbox::new().messages(1);
            fs::write(mailbox.file("victim"), "data").unwrap();
            let victim = fs::metadata(mailbox.file("victim")).unwrap();
            let mut holder =
                (name == "maildex.ask").then(|| Running::ready(&mut run_sh(&mailbox, &[], "echo ready; cat")));
            plant(&mailbox, name);
            let planted = fs::symlink_metadata(mailbox.file(name)).unwrap().ino();
            let run = mailbox.run(["build", "--wait", "0.1"]);
            let says = format!("{name}: found {what}, expected a plain file with one link");
            if ["maildex.close", "maildex.open"].contains(&name) {
                run.ok().silent(); // not needed for this
            } else {
                run.fails_with(3).stderr_has(&says).stderr_has("hint: ");
                let run = mailbox.finish(&mut run_sh(&mailbox, &["--wait", "0.1"], "echo not reached"));
                run.fails_with(3).stdout("").stderr_has(&says);
            }
            let now = fs::metadata(mailbox.file("victim")).unwrap();
            assert_eq!(fs::read_to_string(mailbox.file("victim")).unwrap(), "data", "{name} {what}");
            assert_eq!((now.mtime(), now.mtime_nsec()), (victim.mtime(), victim.mtime_nsec()), "{name} {what}");
            assert_eq!(now.mode(), victim.mode(), "{name} {what}");
            assert_eq!(
                fs::symlink_metadata(mailbox.file(name)).unwrap().ino(),
                planted,
                "{name}: {what} is still there"
            );
            assert!(!mailbox.file("nowhere").exists());
            if let Some(holder) = &mut holder {
                assert!(holder.end().success());
            }
        }
    }
}

#[test]
fn a_nested_verb_reports_a_planted_inner_file() {
    let mailbox = Mailbox::new().messages(1);
    fs::write(mailbox.file("victim"), "data").unwrap();
    let script = "ln -s victim $F/maildex.inner; $maildex build $F";
    mailbox.finish(&mut run_sh(&mailbox, &[], script)).fails_with(3).stderr_has("maildex.inner: found a symbolic link");
    assert_eq!(fs::read_to_string(mailbox.file("victim")).unwrap(), "data");
}
