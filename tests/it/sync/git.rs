//! git does what sync needs, whatever the user, or who wants to harm the user, has told it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::replica::Replica;
use crate::mailbox::{Mailbox, Run, mail, maildex};

/// Settings that are of use elsewhere, and would break sync.
const SETTINGS: &str = "
[init]
    templateDir = EVIL/template
    defaultObjectFormat = sha256
    defaultRefFormat = reftable
[core]
    hooksPath = EVIL/hooks
    fsmonitor = EVIL/hooks/reference-transaction
    autocrlf = true
    bare = false
    logAllRefUpdates = always
[transfer]
    fsckObjects = false
[fastimport]
    unpackLimit = 1
[gc]
    auto = 1
[commit]
    gpgSign = true
[push]
    default = nothing
    gpgSign = true
    followTags = true
[fetch]
    prune = true
    recurseSubmodules = true
[remote \"origin\"]
    url = EVIL/nowhere
    fetch = +refs/heads/*:refs/maildex/r/*
[protocol]
    allow = always
";

#[test]
fn no_setting_of_git_and_no_variable_gets_between() {
    let evil = tempfile::tempdir().expect("a directory");
    let at = evil.path().to_str().expect("UTF-8");
    fs::write(evil.path().join(".gitconfig"), SETTINGS.replace("EVIL", at)).expect("write");
    for hooks in ["hooks", "template/hooks"] {
        let hooks = evil.path().join(hooks);
        fs::create_dir_all(&hooks).expect("make");
        for hook in ["reference-transaction", "post-receive", "update", "pre-push", "post-update", "pre-auto-gc"] {
            fs::write(hooks.join(hook), format!("#!/bin/sh\necho {hook} >>{at}/ran\n")).expect("write");
            fs::set_permissions(hooks.join(hook), fs::Permissions::from_mode(0o755)).expect("chmod");
        }
    }
    let run = |mailbox: &Mailbox, args: &[&str]| -> Run {
        let mut command = Command::new(maildex());
        command.args(args).arg(mailbox.path()).current_dir(mailbox.path().parent().expect("a directory"));
        command
            .env("HOME", at)
            .env("XDG_CONFIG_HOME", at)
            .env("XDG_STATE_HOME", mailbox.path().with_file_name("state"));
        for (name, value) in [
            ("GIT_DIR", at),
            ("GIT_WORK_TREE", at),
            ("GIT_OBJECT_DIRECTORY", at),
            ("GIT_INDEX_FILE", at),
            ("GIT_NAMESPACE", "evil"),
            ("GIT_EXEC_PATH", at),
            ("GIT_TEMPLATE_DIR", at),
            ("GIT_ALLOW_PROTOCOL", "none"),
            ("GIT_DEFAULT_HASH", "sha256"),
            ("GIT_DEFAULT_REF_FORMAT", "reftable"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.hooksPath"),
            ("GIT_CONFIG_VALUE_0", at),
            ("GIT_CONFIG_PARAMETERS", "'core.bare'='false'"),
            ("GIT_TRACE", &format!("{at}/trace")),
        ] {
            command.env(name, value);
        }
        mailbox.finish(&mut command)
    };
    let (a, b) = (Mailbox::in_memory(), Mailbox::in_memory());
    a.deliver("cur/1.a:2,S", mail("of a\r\nwith another line end"));
    b.deliver("new/2.b", mail("of b"));
    for (mailbox, peer) in [(&a, &b), (&b, &a)] {
        let own = mailbox.path().with_file_name("repository");
        run(mailbox, &["sync", "init", "--repo", own.to_str().expect("UTF-8")]).ok();
        let peer = peer.path().with_file_name("repository");
        let mut command = Command::new(maildex());
        command.args(["sync", "add-peer"]).arg(mailbox.path()).arg("peer").arg(peer);
        command.env("HOME", at).env("XDG_STATE_HOME", mailbox.path().with_file_name("state"));
        mailbox.finish(&mut command).ok();
    }
    for _ in 0..2 {
        for mailbox in [&a, &b] {
            run(mailbox, &["sync", "run"]).ok();
        }
    }
    a.deliver("new/3.a", mail("another"));
    for mailbox in [&a, &b] {
        run(mailbox, &["sync", "run"]).ok();
    }
    for mailbox in [&a, &b] {
        let text = fs::read(mailbox.file("cur/1.a:2,S")).expect("the mail");
        assert_eq!(text, mail("of a\r\nwith another line end").into_bytes(), "byte for byte");
        assert_eq!(mailbox.mails().len(), 3, "{:?}", mailbox.mails());
    }
    let left: Vec<_> =
        fs::read_dir(evil.path()).expect("list").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(
        !left.iter().any(|name| name == "ran" || name == "trace"),
        "{left:?}: {:?}",
        fs::read_to_string(evil.path().join("ran"))
    );
}

#[test]
fn what_git_has_stored_is_whole_and_packed_when_it_is_much() {
    let (replicas, hub) = Replica::with_hub(1);
    let replica = &replicas[0];
    replica.mailbox.deliver("cur/1.a:2,", mail("a"));
    replica.sync();
    // A thousand flags later there are some thousand objects; here they are there at once.
    let repository = replica.repository();
    let git = |args: &[&str], input: &str| {
        let mut git = Command::new("git");
        let mut git = git.arg("--git-dir").arg(&repository).args(args).stdin(std::process::Stdio::piped());
        git = git.stdout(std::process::Stdio::piped());
        let mut git = git.spawn().expect("git");
        let written = std::io::Write::write_all(&mut git.stdin.take().expect("a pipe"), input.as_bytes());
        written.expect("git reads");
        let output = git.wait_with_output().expect("git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let mut loose = String::from("feature done\n");
    for n in 0..5000 {
        let n = n.to_string();
        let (mark, len) = (n.parse::<u32>().expect("a number") + 1, n.len());
        let _ = write!(loose, "blob\nmark :{mark}\ndata {len}\n{n}\n");
    }
    loose.push_str("commit refs/maildex/test\ncommitter x <x@x> 0 +0000\ndata 0\n");
    for n in 1..=5000 {
        let _ = writeln!(loose, "M 100644 :{n} {n}");
    }
    git(
        &["-c", "fastimport.unpackLimit=100000", "-c", "core.fsync=none", "fast-import", "--quiet"],
        &(loose + "done\n"),
    );
    let count = |text: String| text.split(' ').next().and_then(|n| n.parse::<u32>().ok()).expect("a number");
    assert!(count(git(&["count-objects"], "")) > 4000);
    replica.mailbox.deliver("cur/2.a:2,", mail("b"));
    replica.sync();
    assert!(count(git(&["count-objects"], "")) < 100);
    assert_eq!(git(&["fsck", "--strict", "--no-dangling"], ""), "");
    replica.sync();
    assert_eq!(replica.mailbox.mails().len(), 2);
    drop(hub);
}
