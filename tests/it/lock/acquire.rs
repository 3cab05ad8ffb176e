//! `lock acquire` and `lock release`: a guard holds the lock for a shell.

use rustix::process::{Pid, Signal, kill_process};

use super::{Running, is_held, lock, run_lock, run_sh, sh, until};
use crate::mailbox::Mailbox;

/// Takes the lock for a process; gives back the id.
#[track_caller]
fn acquire(mailbox: &Mailbox, pid: i32, options: &[&str]) -> String {
    let mut command = lock(mailbox, "acquire", options);
    let run = mailbox.finish(command.args(["--pid", &pid.to_string()])).ok().silent();
    let id = run.text().trim_end().to_string();
    assert_eq!(id.len(), 32, "{run}");
    id
}

fn guard_pid(mailbox: &Mailbox) -> i32 {
    run_lock(mailbox, "status", &["--json"]).ok().json()[0]["pid"].as_i64().unwrap() as i32
}

#[test]
fn the_guard_holds_the_lock_until_its_process_ends() {
    let mailbox = Mailbox::new().messages(1);
    let mut owner = Running::ready(&mut sh(&mailbox, "echo ready; exec cat"));
    let id = acquire(&mailbox, owner.pid(), &["--reason", "a test"]);
    let status = &run_lock(&mailbox, "status", &["--json"]).ok().json()[0];
    assert_eq!(
        (&status["id"], &status["locked"], &status["state"]),
        (&id.clone().into(), &true.into(), &"running".into())
    );
    assert_eq!((&status["guards"]["pid"], &status["guards"]["command"]), (&owner.pid().into(), &"cat".into()));
    run_lock(&mailbox, "status", &[]).ok().stdout_has(&format!("process {} (cat), by its guard ", owner.pid()));
    mailbox.run(["build", "--wait", "0"]).fails_with(75).stderr_has("by its guard").stderr_has("reason: a test");
    // Who has the id works under it.
    let mut build = mailbox.command(["build", "--wait", "0"]);
    mailbox.finish(build.env("MAILDEX_LOCK", &id)).ok();
    assert_eq!(acquire(&mailbox, owner.pid(), &[]), id, "its owner has it already");
    owner.kill();
    mailbox.run(["build"]).ok();
    assert!(!mailbox.file("maildex.lock").exists());
    mailbox.assert_sound();
}

#[test]
fn release_ends_the_guard_and_nothing_else() {
    let mailbox = Mailbox::new();
    run_lock(&mailbox, "release", &[]).ok().stderr_has("nobody has the lock");
    run_lock(&mailbox, "release", &["0123456789abcdef0123456789abcdef"]).fails_with(75).stderr_has("no longer held");
    let mut owner = Running::ready(&mut sh(&mailbox, "echo ready; cat"));
    let id = acquire(&mailbox, owner.pid(), &[]);
    let other = format!("{}0123456789abcdef", &id[..16]);
    run_lock(&mailbox, "release", &[&other])
        .fails_with(75)
        .stderr_has("that lock is another one")
        .stderr_has("by its guard");
    assert!(is_held(&mailbox));
    run_lock(&mailbox, "release", &[&id]).ok().silent();
    assert!(!mailbox.file("maildex.lock").exists(), "once released it is free");
    run_lock(&mailbox, "release", &[&id]).fails_with(75).stderr_has("no longer held");

    // Without an id: whatever lock a guard holds.
    acquire(&mailbox, owner.pid(), &[]);
    run_lock(&mailbox, "release", &[]).ok().silent();
    assert!(owner.end().success(), "the owner is left alone");

    let mut holder = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; cat"));
    run_lock(&mailbox, "release", &[]).fails_with(75).stderr_has("it was not taken by lock acquire");
    assert!(holder.end().success());
}

/// Whatever a lockfile says, no process is signalled that does not hold it.
#[test]
fn release_believes_no_text() {
    use std::fs;
    let mailbox = Mailbox::new();
    let mut owner = Running::ready(&mut sh(&mailbox, "echo ready; cat"));
    acquire(&mailbox, owner.pid(), &[]);
    let honest = fs::read_to_string(mailbox.file("maildex.lock")).unwrap();
    let guard = guard_pid(&mailbox);
    let victim = Running::ready(&mut sh(&mailbox, "echo ready; exec cat"));
    let stat = fs::read_to_string(format!("/proc/{}/stat", victim.pid())).unwrap();
    let started = stat[stat.rfind(')').unwrap()..].split(' ').nth(20).unwrap().to_string();
    let line = |key: &str| honest.lines().find(|line| line.starts_with(key)).unwrap().to_string();
    let lie = |from: &str, to: &str| fs::write(mailbox.file("maildex.lock"), honest.replace(&line(from), to)).unwrap();
    let victims = honest.replace(&line("pid: "), &format!("pid: {}", victim.pid()));
    for (text, why) in [
        // Both may have been started within one clock tick.
        (victims.replace(&line("started: "), "started: 1"), "its guard has ended"),
        (victims.replace(&line("started: "), &format!("started: {started}")), "does not hold it"),
        (honest.replace(&line("boot: "), "boot: 0"), "on another host"),
        (honest.replace(&line("pid namespace: "), "pid namespace: 7"), "in another container"),
    ] {
        fs::write(mailbox.file("maildex.lock"), text).unwrap();
        run_lock(&mailbox, "release", &[]).fails_with(75).stderr_has(why);
    }
    lie("pid: ", "");
    run_lock(&mailbox, "release", &[]).fails_with(75).stderr_has("does not say who holds it");
    // Then it is named by what it has open.
    mailbox.run(["build", "--wait", "0"]).fails_with(75).stderr_has(&format!("locked by process {guard} ("));
    run_lock(&mailbox, "status", &[]).ok().stdout_has(&format!("process {guard} ("));
    lie("pid: ", &line("pid: "));
    run_lock(&mailbox, "release", &[]).ok();
    assert!(owner.end().success());
    drop(victim);
}

#[test]
fn the_guard_passes_a_request_on() {
    let mailbox = Mailbox::new().messages(1);
    let script = "\
        trap 'echo asked; $maildex lock release $F' USR1; \
        $maildex lock acquire $F --pid $$ --on-request USR1; echo ready; while :; do sleep 0.01; done";
    let mut shell = Running::start(&mut sh(&mailbox, script));
    assert_eq!(shell.line().len(), 32);
    assert_eq!(shell.line(), "ready");
    mailbox.run(["build"]).ok();
    assert_eq!(shell.line(), "asked");
}

#[test]
fn a_shell_has_the_lock_until_it_ends() {
    let mailbox = Mailbox::new().messages(1);
    let script = "x=$($maildex lock acquire $F --pid $$); $maildex lock status $F; $maildex build --wait 0 $F; echo $?; \
        MAILDEX_LOCK=$x $maildex build --wait 0 $F; echo $?";
    let run = mailbox.finish(&mut sh(&mailbox, script)).ok();
    assert!(run.text().contains("by its guard") && run.text().ends_with("75\n0\n"), "{run}");
    mailbox.run(["build"]).ok(); // the guard ends on its own

    // Killed, it can run no trap.
    let script = "export MAILDEX_LOCK=$($maildex lock acquire $F --pid $$); echo ready; cat";
    let mut shell = Running::ready(&mut sh(&mailbox, script));
    assert!(is_held(&mailbox));
    shell.kill();
    until("the guard ends", || !is_held(&mailbox));
    until("the guard has cleaned up", || !mailbox.file("maildex.lock").exists());

    // The shell that runs it, if nobody says which.
    let script = "$maildex lock acquire $F && $maildex lock status $F && $maildex lock release $F";
    mailbox.finish(&mut sh(&mailbox, script)).ok().stdout_has("by its guard");
}

#[test]
fn only_a_shell_is_guessed_and_only_what_lives_is_guarded() {
    let mailbox = Mailbox::new();
    let run = run_lock(&mailbox, "acquire", &[]).fails_with(2).stdout("");
    run.stderr_shows("not a shell");
    run.stderr_shows("--pid $$");
    let mut dead = Running::ready(&mut sh(&mailbox, "echo ready"));
    dead.end();
    for pid in [dead.pid().to_string(), "0".into(), "-1".into()] {
        run_lock(&mailbox, "acquire", &[&format!("--pid={pid}")]).fails_with(2).stderr_has("no such process");
    }
    run_lock(&mailbox, "acquire", &["--pid", "x"]).fails_with(2);
    assert!(!mailbox.file("maildex.lock").exists());
}

#[test]
fn acquire_waits_and_gives_up_as_every_verb_does() {
    let mailbox = Mailbox::new();
    let mut owner = Running::ready(&mut sh(&mailbox, "echo ready; cat"));
    let mut holder = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; cat"));
    let pid = format!("--pid={}", owner.pid());
    run_lock(&mailbox, "acquire", &[&pid, "--wait", "0"]).fails_with(75).stdout("").stderr_has("has held the lock");
    run_lock(&mailbox, "acquire", &[&pid, "--wait=0.05"]).fails_with(75).stderr_has("asked to let go");
    // Ended while it waits, it leaves no guard that goes on waiting.
    let mut gives_up = Running::start(&mut lock(&mailbox, "acquire", [&pid, "--wait=forever"]));
    until("it asks", || super::wanted(&mailbox));
    gives_up.kill();
    until("nobody asks any more", || !super::wanted(&mailbox));
    assert!(holder.end().success());
    let id = acquire(&mailbox, owner.pid(), &[]);
    run_lock(&mailbox, "release", &[&id]).ok();
    assert!(owner.end().success());
}

/// A shell substitution ends when nobody has its pipe any more; and what hangs on a terminal must not hang on the guard.
#[test]
fn the_guard_has_nothing_of_its_owner() {
    let mailbox = Mailbox::new();
    let mut owner = Running::ready(&mut sh(&mailbox, "echo ready; cat"));
    acquire(&mailbox, owner.pid(), &[]);
    let guard = guard_pid(&mailbox);
    let link = |name: &str| std::fs::read_link(format!("/proc/{guard}/{name}")).unwrap();
    for fd in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(link(fd), std::path::Path::new("/dev/null"), "{fd}");
    }
    assert_eq!(link("cwd"), std::path::Path::new("/"));
    let pid = Pid::from_raw(guard).unwrap();
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid, "a session of its own");
    // A guard that is stopped is said to be; continued, it does what it was told.
    kill_process(pid, Signal::STOP).unwrap();
    until("stopped", || run_lock(&mailbox, "status", &[]).ok().text().contains("it is stopped"));
    kill_process(pid, Signal::CONT).unwrap();
    run_lock(&mailbox, "release", &[]).ok();
    assert!(owner.end().success());
}

#[test]
fn a_guard_holds_dovecots_lock_as_well() {
    let mailbox = Mailbox::new();
    let mut owner = Running::ready(&mut sh(&mailbox, "echo ready; cat"));
    acquire(&mailbox, owner.pid(), &["--with-dovecot"]);
    let text = std::fs::read_to_string(mailbox.file("dovecot-uidlist.lock")).unwrap();
    assert!(text.starts_with(&format!("{}:", guard_pid(&mailbox))), "{text}");
    run_lock(&mailbox, "release", &[]).ok();
    assert!(!mailbox.file("dovecot-uidlist.lock").exists());
    assert!(owner.end().success());
}
