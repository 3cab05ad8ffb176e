//! Folders that other hosts or containers use, and indexes that are not beside the mail.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Running, lock, run_lock, run_sh, until};
use crate::mailbox::{Mailbox, figures, installed, maildex, skipped};
use crate::tally::Tally;

/// Has a command run in a pid namespace of its own, with the host's name. `None`, said loudly, if that cannot be.
fn contained(command: &Command) -> Option<Command> {
    let options: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["-U", "-r"] };
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(options).args(["-p", "-f", "--mount-proc"]);
        unshare
    };
    if !unshare().arg("true").output().is_ok_and(|output| output.status.success()) {
        skipped("two pid namespaces at one folder", "install util-linux, and allow pid namespaces");
        return None;
    }
    let mut contained = unshare();
    contained.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => contained.env(key, value),
            None => contained.env_remove(key),
        };
    }
    Some(contained)
}

#[test]
fn nobody_in_another_container_is_judged_dead() {
    let mailbox = Mailbox::new().messages(1);
    mailbox.run(["build"]).ok();
    let hold = run_sh(&mailbox, &[], "echo ready; cat");
    let build = mailbox.command(["build", "--wait", "0"]);
    let Some(hold_there) = contained(&hold) else { return };
    let build_there = contained(&build).expect("it worked before");
    for (mut hold, tries) in [
        (hold_there, [build, build_there]),
        (
            hold,
            [
                contained(&mailbox.command(["build", "--wait", "0"])).expect("it worked before"),
                contained(&mailbox.command(["build", "--wait=0.01"])).expect("it worked before"),
            ],
        ),
    ] {
        let is_there = hold.get_program() == "unshare";
        let mut holder = Running::ready(&mut hold);
        for mut attempt in tries {
            let run = mailbox.finish(&mut attempt).fails_with(75);
            run.stderr_shows("in another container on this host has held the lock");
            assert!(!run.errors().contains("ended"), "{run}");
        }
        if is_there {
            assert_eq!(run_lock(&mailbox, "status", &["--json"]).ok().json()[0]["state"], "elsewhere");
            run_lock(&mailbox, "break", &[]).fails_with(75).stderr_has("in another container");
            run_lock(&mailbox, "release", &[]).fails_with(75);
        } else {
            let mut status = contained(&lock(&mailbox, "status", ["--json"])).expect("it worked before");
            assert_eq!(mailbox.finish(&mut status).ok().json()[0]["state"], "elsewhere");
        }
        // Without the lock readers go on, there as here.
        let mut count = contained(&mailbox.command(["count"])).expect("it worked before");
        mailbox.finish(&mut count).ok().stdout("1\n");
        assert!(mailbox.file("maildex.lock").exists());
        assert!(holder.end().success());
    }
    mailbox.run(["build", "--wait", "0"]).ok();
}

/// Started from outside its container a process has a session whose leader has no number in there. That was a panic.
#[test]
fn a_session_that_began_outside_the_container_guesses_nobody() {
    let mailbox = Mailbox::new();
    let acquire = lock(&mailbox, "acquire", [""; 0]);
    let mut command = Command::new("timeout"); // no shell, and no session of its own
    command.arg("60").arg(acquire.get_program()).args(acquire.get_args());
    let Some(mut there) = contained(&command) else { return };
    mailbox.finish(&mut there).fails_with(2).stdout("").stderr_has("not a shell");
}

#[test]
fn two_pid_namespaces_exclude_each_other() {
    const TURNS: usize = 30;
    let mailbox = Mailbox::new();
    let script = format!(
        "n=0; while [ $n -lt {TURNS} ]; do \
         $maildex lock run --wait 2m $F -- flock -n $F/witness sleep 0.001 || exit 1; n=$((n + 1)); done; echo $n"
    );
    let mut shells: Vec<Running> = Vec::new();
    for _ in 0..2 {
        let Some(mut command) = contained(&super::sh(&mailbox, &script)) else { return };
        shells.push(Running::start(&mut command));
    }
    let mut outside = Running::start(&mut super::sh(&mailbox, &script));
    for shell in shells.iter_mut().chain([&mut outside]) {
        assert_eq!(shell.line(), TURNS.to_string(), "{}", shell.rest());
        assert!(shell.end().success());
    }
    assert!(!mailbox.file("maildex.lock").exists());
    Tally::Locks.add(3 * TURNS);
    figures(&format!("two pid namespaces and the host: {} acquisitions, the witness never failed", 3 * TURNS));
}

/// The directory of a folder's files, by the words of the manual and another program.
fn own_dir(index_dir: &Path, mailbox: &Mailbox) -> PathBuf {
    let script = "printf %s \"$(realpath \"$F\")\" | sha256sum | cut -c1-16";
    let run = mailbox.finish(Command::new("sh").args(["-c", script]).env("F", mailbox.path())).ok();
    index_dir.join(run.text().trim_end())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_index_may_be_elsewhere() {
    let (mailbox, other) = (Mailbox::new().messages(3), Mailbox::new().messages(1));
    let index_dir = mailbox.path().with_file_name("indexes/of mine");
    let with = |mailbox: &Mailbox, arguments: &[&str]| {
        let mut command = mailbox.command(arguments);
        mailbox.finish(command.arg("--index-dir").arg(&index_dir))
    };
    with(&mailbox, &["count"]).fails_with(3).stderr_has("no index");
    with(&mailbox, &["build"]).ok().silent();
    let dir = own_dir(&index_dir, &mailbox);
    assert_eq!(names(&dir), ["maildex.index.1", "maildex.offsets"]);
    assert_eq!(names(&mailbox.path()), ["cur", "new", "tmp"], "nothing is beside the mail");
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(dir.join("maildex.offsets")).unwrap().mode() & 0o7777, 0o600);
    with(&mailbox, &["flag", "+S", "2"]).ok();
    mailbox.assert_files(["cur/1.host:2,", "cur/2.host:2,S", "cur/3.host:2,"]);
    with(&mailbox, &["list", "--uids", "unseen"]).ok().stdout("1\n3\n");
    with(&mailbox, &["check"]).ok();
    mailbox.run(["count"]).fails_with(3).stderr_has("no index"); // there is none

    // By the environment, by another name of the folder, and before the verb.
    let link = mailbox.path().with_file_name("link");
    symlink(mailbox.path(), &link).unwrap();
    let mut count = Command::new(maildex());
    mailbox.finish(count.arg("count").arg(&link).env("MAILDEX_INDEX_DIR", &index_dir)).ok().stdout("3\n");
    for arguments in [&["count"][..], &["flag", "-S", "1"]] {
        let mut early = Command::new(maildex());
        early.arg("--index-dir").arg(&index_dir).arg(arguments[0]).arg(mailbox.path()).args(&arguments[1..]);
        mailbox.finish(&mut early).ok();
    }
    let mut unset = mailbox.command(["count"]);
    mailbox.finish(unset.env("MAILDEX_INDEX_DIR", "")).fails_with(3).stderr_has("no index");

    with(&other, &["build"]).ok();
    with(&other, &["count"]).ok().stdout("1\n");
    assert_eq!(names(&index_dir).len(), 2, "a directory each");
}

#[test]
fn the_lock_is_where_the_index_is() {
    let mailbox = Mailbox::new().messages(1);
    let index_dir = mailbox.path().with_file_name("indexes");
    // What the command starts finds it, too, wherever it goes.
    let script = "cd / && $maildex build --wait 0 $F && echo ready && cat";
    let mut command = run_sh(&mailbox, &["--index-dir", "indexes"], script);
    command.current_dir(mailbox.path().parent().unwrap());
    let mut holder = Running::ready(&mut command);
    let dir = own_dir(&index_dir, &mailbox);
    assert!(dir.join("maildex.lock").exists() && !mailbox.file("maildex.lock").exists());
    let mut build = mailbox.command(["build", "--wait", "0"]);
    mailbox.finish(build.env("MAILDEX_INDEX_DIR", &index_dir)).fails_with(75);
    assert!(holder.end().success());
    assert_eq!(names(&dir), ["maildex.index.1", "maildex.inner", "maildex.offsets"]);

    let mut owner = Running::ready(&mut super::sh(&mailbox, "echo ready; cat"));
    let mut acquire = lock(&mailbox, "acquire", [format!("--pid={}", owner.pid())]);
    mailbox.finish(acquire.env("MAILDEX_INDEX_DIR", &index_dir)).ok();
    assert!(dir.join("maildex.lock").exists());
    assert!(owner.end().success());
    until("the guard has ended", || !dir.join("maildex.lock").exists());
}

#[test]
fn mail_that_may_only_be_read_is_indexed_elsewhere() {
    let mailbox = Mailbox::new().messages(2);
    let index_dir = mailbox.path().with_file_name("indexes");
    let mode = |mode| {
        for dir in ["", "cur", "new", "tmp"] {
            fs::set_permissions(mailbox.file(dir), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    mode(0o555);
    let index_dir = index_dir.to_str().unwrap();
    let runs = mailbox.run_unprivileged(["build"]).and_then(|run| {
        run.fails_with(3).stderr_has("cannot create");
        mailbox.run_unprivileged(["build", "--index-dir", index_dir])?.ok().silent();
        mailbox.run_unprivileged(["list", "--index-dir", index_dir])?.ok().stdout_has("mail 2");
        mailbox.run_unprivileged(["flag", "+S", "1", "--index-dir", index_dir]).map(|run| run.fails_with(4))
    });
    mode(0o755);
    if runs.is_none() {
        skipped("mail that may only be read", "install setpriv, or run as another user than root");
    }
    mailbox.assert_files(["cur/1.host:2,", "cur/2.host:2,"]);
}

#[test]
fn a_planted_directory_is_not_followed() {
    let mailbox = Mailbox::new().messages(1);
    let index_dir = mailbox.path().with_file_name("indexes");
    let victim = mailbox.path().with_file_name("victim");
    fs::create_dir(&victim).unwrap();
    fs::create_dir(&index_dir).unwrap();
    let dir = own_dir(&index_dir, &mailbox);
    let build = || {
        let mut command = mailbox.command(["build", "--index-dir"]);
        mailbox.finish(command.arg(&index_dir))
    };
    symlink(&victim, &dir).unwrap();
    build().fails_with(3).stderr_has(dir.to_str().unwrap());
    fs::remove_file(&dir).unwrap();
    fs::write(&dir, "").unwrap();
    build().fails_with(3).stderr_has(dir.to_str().unwrap());
    assert!(names(&victim).is_empty());
}

/// There is no network here, but strace can have the kernel say so.
#[test]
fn network_file_systems_are_refused_with_a_way_out() {
    let strace = |inject: &str, command: &Command| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=fstatfs", "-e", inject]);
        strace.arg(command.get_program()).args(command.get_args());
        strace
    };
    let nfs = "inject=fstatfs:poke_exit=@arg2=6969000000000000";
    if !installed("strace") || !strace(nfs, &Command::new("true")).output().is_ok_and(|run| run.status.success()) {
        return skipped("network file systems", "install strace 6, and allow ptrace");
    }
    let mailbox = Mailbox::new().messages(1);
    for arguments in [&["build"][..], &["list"], &["flag", "+S", "1"], &["check"]] {
        let run = mailbox.finish(&mut strace(nfs, &mailbox.command(arguments))).fails_with(3).stdout("");
        run.stderr_shows(&format!("{}: is on NFS", mailbox.path().display()));
        run.stderr_shows("hint: keep the index on a local disk: maildex --index-dir DIR");
    }
    mailbox.finish(&mut strace(nfs, &run_sh(&mailbox, &[], "echo not reached"))).fails_with(3).stdout("");
    assert_eq!(names(&mailbox.path()), ["cur", "new", "tmp"]);
    // Only where the index is matters.
    let index_dir = mailbox.path().with_file_name("indexes");
    let index_dir = index_dir.to_str().unwrap();
    let build = mailbox.command(["build", "--index-dir", index_dir]);
    mailbox.finish(&mut strace(nfs, &build)).fails_with(3).stderr_has(&format!("{index_dir}/"));
    mailbox.finish(&mut strace(&format!("{nfs}:when=2+"), &build)).ok();
}
