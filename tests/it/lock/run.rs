//! `lock run`: the command has the lock, and its children work under it.

use std::fs;
use std::time::Instant;

use maildex::folder::{Folder, Setting};
use maildex::lock::{Lock, Wait};
use rustix::process::Signal;

use super::{Running, is_held, lock, run_lock, run_sh, sh, until, wanted};
use crate::mailbox::{Mailbox, figures, mail};

#[test]
fn the_commands_exit_status_is_passed_on() {
    let mailbox = Mailbox::new().messages(1);
    let run = |options: &[&str], command: &[&str]| {
        let mut line = lock(&mailbox, "run", options);
        mailbox.finish(line.arg("--").args(command))
    };
    run(&[], &["true"]).ok().silent();
    run(&[], &["echo", "a  b", "--wait"]).ok().silent().stdout("a  b --wait\n");
    run(&[], &["sh", "-c", "exit 7"]).fails_with(7).silent();
    run(&[], &["sh", "-c", "kill -KILL $$"]).fails_with(137).silent();
    run(&[], &["no-such-command"]).fails_with(127).stderr_has("no-such-command: cannot run: No such file or directory");
    run(&[], &["/dev/null"]).fails_with(126).stderr_has("/dev/null: cannot run: Permission denied");
    assert!(!mailbox.file("maildex.lock").exists(), "each has let go");
    run(&[], &[]).fails_with(2).stderr_has("COMMAND");
    run(&["--on-request", "NONSENSE"], &["true"]).fails_with(2).stderr_has("expected a signal");
    mailbox.finish(lock(&mailbox, "run", ["x"]).arg("true")).fails_with(2);

    let mut other = Running::ready(&mut run_sh(&mailbox, &["--reason", "a test"], "echo ready; cat"));
    run(&["--wait", "0"], &["true"]).fails_with(75).stderr_has("reason: a test").stderr_has("hint: ");
    run(&["--wait=0.05", "-E", "9"], &["true"]).fails_with(9).stderr_has("waiting").stderr_has("asked to let go");
    assert!(other.end().success());
    run(&["--wait", "0"], &["true"]).ok();
}

#[test]
fn the_lock_lasts_as_long_as_the_command_even_if_the_wrapper_is_killed() {
    let mailbox = Mailbox::new().messages(1);
    let mut wrapper = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; cat"));
    wrapper.kill();
    mailbox.run(["build", "--wait", "0"]).fails_with(75).stderr_has("inherited it from process");
    run_lock(&mailbox, "status", &[]).ok().stdout_has("inherited it");
    run_lock(&mailbox, "break", &[]).fails_with(75);
    wrapper.close_stdin();
    mailbox.run(["build"]).ok();

    let mut wrapper = Running::ready(&mut run_sh(&mailbox, &["--close"], "echo ready; cat"));
    mailbox.run(["build", "--wait", "0"]).fails_with(75);
    wrapper.kill();
    mailbox.run(["build", "--wait", "0"]).ok();
    mailbox.assert_sound();
}

/// The kernel closes the files of a dead process in some order. What the command had for itself goes before the lock.
#[test]
fn the_lock_is_the_lowest_descriptor_of_the_command() {
    let mailbox = Mailbox::new();
    let script = "exec 7</dev/null; for fd in /proc/$$/fd/*; do echo ${fd##*/} $(readlink $fd); done";
    let text = mailbox.finish(&mut run_sh(&mailbox, &[], script)).ok().text();
    let folder = mailbox.path().canonicalize().unwrap();
    assert!(text.lines().any(|line| line.starts_with(&format!("3 {}", folder.display()))), "{text}");
}

#[test]
fn its_children_work_under_the_lock() {
    let mailbox = Mailbox::new().messages(3);
    let script = "\
        set -e; $maildex build --wait 0 $F; test -e $F/maildex.lock; \
        $maildex lock run --wait 0 $F -- $maildex flag --wait 0 $F +S 1; \
        ( $maildex flag $F +F 2 ) & ( $maildex flag $F +R 3 ) & wait; \
        $maildex list $F --uids; test -e $F/maildex.lock; \
        if env -u MAILDEX_LOCK $maildex build --wait 0 $F; then exit 1; else test $? = 75; fi";
    let run = mailbox.finish(&mut run_sh(&mailbox, &[], script)).ok();
    assert!(run.text().ends_with("1\n2\n3\n"), "{run}");
    assert!(!mailbox.file("maildex.lock").exists());
    mailbox.assert_files(["cur/1.host:2,S", "cur/2.host:2,F", "cur/3.host:2,R"]);
    mailbox.assert_listed(&[(1, "cur/1.host:2,S"), (2, "cur/2.host:2,F"), (3, "cur/3.host:2,R")]);
    mailbox.assert_sound();
}

#[test]
fn many_children_at_once_take_turns() {
    let mailbox = Mailbox::new().messages(30);
    mailbox.run(["build"]).ok();
    let script = "for n in $(seq 30); do $maildex flag -q $F +S $n >/dev/null & done; $maildex build $F & wait";
    mailbox.finish(&mut run_sh(&mailbox, &[], script)).ok().silent();
    let names: Vec<_> = (1..=30).map(|n| format!("cur/{n}.host:2,S")).collect();
    mailbox.assert_files(&names);
    mailbox.run(["count", "unseen"]).ok().stdout("0\n");
    mailbox.assert_sound();
}

#[test]
fn a_lock_on_one_folder_leaves_others_to_their_own() {
    let (one, two) = (Mailbox::new().messages(1), Mailbox::new().messages(1));
    let script = format!(
        "$maildex lock run {0} -- sh -c '$maildex build $F && $maildex build {0} && echo $MAILDEX_LOCK'",
        two.path().display()
    );
    let text = one.finish(&mut run_sh(&one, &[], &script)).ok().text();
    let ids: Vec<_> = text.split_whitespace().collect();
    assert!(ids.len() == 2 && ids[0][..16] != ids[1][..16], "{text}");
    two.run(["count"]).ok().stdout("1\n");
}

/// What a nested verb of the lock `id` has.
fn nested(mailbox: &Mailbox, id: &str) -> Lock {
    let setting = Setting { lock_ids: vec![id.to_string()], ..Setting::default() };
    let folder = Folder::open_with(&mailbox.path(), &setting).unwrap();
    folder.lock("", Wait::For(std::time::Duration::ZERO), &mut |_| ()).unwrap()
}

#[test]
fn a_nested_verb_that_outlives_its_lock_never_meets_the_next_holder() {
    let mailbox = Mailbox::new().messages(1);
    mailbox.run(["build"]).ok();
    for killed in [false, true] {
        let mut holder = Running::start(&mut run_sh(&mailbox, &["--close"], "echo $MAILDEX_LOCK; cat"));
        let id = holder.line();
        let lock = nested(&mailbox, &id);
        lock.check().unwrap();
        if killed {
            holder.kill();
        } else {
            assert!(holder.end().success());
        }
        assert!(!is_held(&mailbox), "the lock itself is free");
        lock.check().unwrap();
        mailbox.run(["build", "--wait", "0"]).fails_with(75).stderr_has(&format!("process {}", std::process::id()));
        let mut next = Running::start(&mut mailbox.command(["build"]));
        until("the next one has the lock, and waits for the nested verb", || is_held(&mailbox));
        assert_eq!(next.child.try_wait().unwrap(), None);
        lock.release().unwrap();
        assert!(next.end().success(), "{}", next.rest());
        // Later the id is good for nothing.
        let mut late = mailbox.command(["build"]);
        mailbox.finish(late.env("MAILDEX_LOCK", &id)).fails_with(75).stderr_has("is no longer held");
    }
    mailbox.assert_sound();
}

#[test]
fn a_stale_or_foreign_id_is_refused() {
    let mailbox = Mailbox::new().messages(1);
    mailbox.run(["build"]).ok();
    let id = mailbox.finish(&mut run_sh(&mailbox, &[], "echo $MAILDEX_LOCK")).ok().text().trim_end().to_string();
    let with = |ids: &str, arguments: &[&str]| {
        let mut command = mailbox.command(arguments);
        mailbox.finish(command.env("MAILDEX_LOCK", ids))
    };
    mailbox.deliver("new/2.host", mail("mail 2"));
    for verb in [&["build"][..], &["flag", "+S", "1"], &["inc"]] {
        with(&id, verb)
            .fails_with(75)
            .stdout("")
            .stderr_has(&format!("the lock {id} is no longer held"))
            .stderr_has("hint: ");
        with("garbage", verb).fails_with(2).stdout("").stderr_has("\"garbage\" is not the id of a lock");
    }
    // Reading needs no lock, but what is shown may be old, and the reason is told.
    with(&id, &["count"]).ok().stdout("1\n").stderr_has("no longer held");
    mailbox.finish(run_sh(&mailbox, &[], "true").env("MAILDEX_LOCK", &id)).fails_with(75).stderr_has("no longer held");
    mailbox.assert_files(["cur/1.host:2,", "new/2.host"]);

    // Somebody else's: it is held, and not by whoever has this id.
    let mut other = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; cat"));
    with(&id, &["build", "--wait", "0"]).fails_with(75).stderr_has("is no longer held");
    // One of another folder says nothing about this one.
    let elsewhere = "0123456789abcdef0123456789abcdef";
    with(elsewhere, &["build", "--wait", "0"]).fails_with(75).stderr_has("has held the lock");
    assert!(other.end().success());
    with(elsewhere, &["build", "--wait", "0"]).ok();
    mailbox.assert_sound();
}

#[test]
fn the_command_is_told_when_somebody_asks() {
    let mailbox = Mailbox::new().messages(1);
    let script = "trap 'exit 3' USR1; echo ready; while :; do sleep 0.01; done";
    let mut holder = Running::ready(&mut run_sh(&mailbox, &["--on-request", "usr1"], script));
    mailbox.run(["build"]).ok();
    assert_eq!(holder.end().code(), Some(3));

    // Somebody who asked before anybody listened is heard as well.
    let asks = fs::File::open(mailbox.file("maildex.ask")).unwrap();
    rustix::fs::flock(&asks, rustix::fs::FlockOperation::LockShared).unwrap();
    mailbox.finish(&mut run_sh(&mailbox, &["--on-request", "USR1"], script)).fails_with(3);
    drop(asks);

    // Nothing is sent where nobody asks, and nothing where nothing is to be sent.
    let mut holder = Running::ready(&mut run_sh(&mailbox, &["--on-request", "KILL"], "echo ready; cat"));
    fs::write(mailbox.file("maildex.ask"), "").unwrap(); // a touch alone
    run_lock(&mailbox, "wanted", &[]).fails_with(1).silent();
    assert!(holder.end().success());
}

#[test]
fn signals_to_the_wrapper_reach_the_command() {
    let mailbox = Mailbox::new();
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut holder = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; exec cat"));
        let stdin = holder.child.stdin.take(); // waiting would close it, and cat end by that
        holder.signal(signal);
        assert_eq!(holder.child.wait().unwrap().code(), Some(status));
        drop(stdin);
    }
    // The terminal sends these to both.
    let mut holder = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; cat; exit 5"));
    holder.signal(Signal::INT);
    holder.signal(Signal::QUIT);
    assert_eq!(holder.end().code(), Some(5));
    // What is ignored stays so.
    let script = "trap '' HUP; $maildex lock run $F -- sh -c 'kill -HUP $$; exit 6'";
    mailbox.finish(&mut sh(&mailbox, script)).fails_with(6);
    assert!(!is_held(&mailbox));
}

#[test]
fn a_killed_holder_is_followed_soon() {
    let mailbox = Mailbox::new();
    let mut times = Vec::new();
    for _ in 0..10 {
        let mut holder = Running::ready(&mut run_sh(&mailbox, &[], "echo ready; exec cat"));
        let mut next = Running::start(&mut run_sh(&mailbox, &[], "echo ready; cat"));
        until("the next one waits", || wanted(&mailbox));
        let begun = Instant::now();
        drop(std::mem::replace(&mut holder, Running::start(&mut sh(&mailbox, "true")))); // wrapper and command
        assert_eq!(next.line(), "ready");
        times.push(begun.elapsed().as_millis());
        assert!(next.end().success());
    }
    figures(&format!("after a killed holder the next one runs its command within {times:?} ms"));
}

#[test]
fn a_lock_that_was_taken_away_is_told() {
    let mailbox = Mailbox::new();
    let script = "rm $F/maildex.lock";
    mailbox.finish(&mut run_sh(&mailbox, &[], script)).fails_with(75).stderr_has("the lockfile is no longer ours");
    mailbox.finish(&mut run_sh(&mailbox, &[], &format!("{script}; exit 8"))).fails_with(8);
}

#[test]
fn dovecot_is_kept_away_too() {
    let mailbox = Mailbox::new();
    let dotlock = mailbox.file("dovecot-uidlist.lock");
    let host = rustix::system::uname().nodename().to_str().unwrap().to_string();
    let mut holder =
        Running::ready(&mut run_sh(&mailbox, &["--with-dovecot"], "cat $F/dovecot-uidlist.lock >&2; echo ready; cat"));
    assert_eq!(fs::read_to_string(&dotlock).unwrap(), format!("{}:{host}", holder.pid()));
    assert!(holder.end().success());
    assert!(!dotlock.exists());

    let run = |wait: &str| mailbox.finish(&mut run_sh(&mailbox, &["--with-dovecot", "--wait", wait], "true"));
    // Dovecot's, which is at work.
    fs::write(&dotlock, format!("{}:{host}", std::process::id())).unwrap();
    run("0").fails_with(75).stderr_has("dovecot-uidlist.lock: held by").stderr_has("Dovecot is at work");
    run("0.1").fails_with(75);
    // Another host's may live, until it has not changed for two minutes.
    fs::write(&dotlock, "1:another-host").unwrap();
    run("0").fails_with(75);
    // A dead one's is not young for long.
    let dead = Running::ready(&mut sh(&mailbox, "echo ready")).end_and_pid();
    fs::write(&dotlock, format!("{dead}:{host}")).unwrap();
    run("0").fails_with(75);
    let age = |seconds| {
        let past = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        let times = fs::FileTimes::new().set_modified(past);
        fs::File::options().write(true).open(&dotlock).unwrap().set_times(times).unwrap();
    };
    age(10);
    run("0").ok();
    fs::write(&dotlock, "1:another-host").unwrap();
    age(60);
    run("0").fails_with(75);
    age(200);
    run("0").ok();
    assert!(!dotlock.exists());
    // One that was taken away and made anew is not ours to remove.
    let script = "rm $F/dovecot-uidlist.lock; echo 1:another-host > $F/dovecot-uidlist.lock";
    mailbox.finish(&mut run_sh(&mailbox, &["--with-dovecot"], script)).ok();
    assert_eq!(fs::read_to_string(&dotlock).unwrap(), "1:another-host\n");
    fs::remove_file(&dotlock).unwrap();
    std::os::unix::fs::symlink("victim", &dotlock).unwrap();
    run("0").fails_with(3).stderr_has("dovecot-uidlist.lock: found a symbolic link");
}

impl Running {
    fn end_and_pid(mut self) -> i32 {
        self.end();
        self.pid()
    }
}
