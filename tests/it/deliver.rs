//! `maildex deliver`: the mail is safe, or the server is told to try again; nothing in between.

use std::fs;
use std::io::{Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::mailbox::{Mailbox, Run, installed, mail, maildex, skipped};

const SERVERS: &str = include_str!("../../src/cli/deliver_servers.txt");

/// The mail that is delivered, as a file.
fn a_mail() -> fs::File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(mail("new contents").as_bytes()).and_then(|()| file.rewind()).expect("write");
    file
}

/// Delivers it.
fn deliver(mail: &Mailbox, options: &[&str]) -> Run {
    with_input(mail, options, crate::mailbox::mail("new contents"))
}

fn with_input(mail: &Mailbox, options: &[&str], text: impl AsRef<[u8]>) -> Run {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_ref()).expect("write");
    file.rewind().expect("rewind");
    mail.finish(mail.command([&["deliver"], options].concat()).stdin(file))
}

/// `sh -c SCRIPT sh maildex deliver FOLDER`, with a mail on standard input.
fn in_shell(mail: &Mailbox, script: &str) -> Run {
    let command = mail.command(["deliver"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args()).stdin(a_mail());
    mail.finish(&mut shell)
}

/// The only mail in new/.
#[track_caller]
fn the_new(mail: &Mailbox) -> PathBuf {
    let new: Vec<_> =
        fs::read_dir(mail.file("new")).expect("list").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    new[0].clone()
}

fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail
}

#[test]
fn a_mail_is_in_new_and_in_the_index_at_once() {
    let mail = indexed();
    let run = deliver(&mail, &[]).ok().silent();
    let new = the_new(&mail);
    assert_eq!(run.text(), format!("4\t{}\n", new.display()));
    assert_eq!(fs::read_to_string(&new).expect("read"), self::mail("new contents"));
    let group = mail.file("cur").metadata().expect("stat").mode() & 0o060;
    assert_eq!(new.metadata().expect("stat").mode() & 0o777, 0o600 | group, "for whom cur/ is");
    mail.run(["list", "--no-refresh", "--uids", "new"]).ok().stdout("4\n");
    mail.run(["cat", "4"]).ok().stdout(self::mail("new contents"));
    assert!(fs::read_dir(mail.file("tmp")).expect("list").next().is_none());
    mail.assert_sound();
}

#[test]
fn with_flags_it_is_in_cur() {
    let mail = indexed();
    let run = deliver(&mail, &["--flags", "SFa", "--json"]).ok().silent();
    let record = &run.json()[0];
    assert!(record["path"].as_str().expect("a path").ends_with(":2,FSa"), "{record}");
    assert_eq!((&record["dir"], &record["flags"], &record["uid"]), (&"cur".into(), &"FSa".into(), &4.into()));
    assert_eq!(record["event"], "added");
    mail.run(["list", "--no-refresh", "--uids", "flagged"]).ok().stdout("4\n");
    mail.assert_sound();
}

#[test]
fn what_the_index_does_not_know_of_others_does_not_matter() {
    let mail = indexed();
    mail.deliver("new/5.host", self::mail("mail 5"));
    mail.rename("cur/1.host:2,", "cur/1.host:2,S");
    mail.remove("cur/2.host:2,");
    deliver(&mail, &[]).ok().silent().stdout_has("4\t");
    mail.run(["list", "--uids"]).ok().stdout("1\n3\n4\n5\n");
    mail.assert_sound();
}

#[test]
fn an_index_is_made_where_that_is_done_at_once() {
    let mail = Mailbox::new().messages(3);
    deliver(&mail, &[]).ok().silent().stdout_has("4\t");
    mail.assert_sound();
    let mail = (1..=1001).fold(Mailbox::in_memory(), |mail, n| mail.message(format!("cur/{n}.host:2,"), ""));
    deliver(&mail, &[]).ok().stderr_has("no index").stderr_has("maildex build").stdout_has("-\t");
    let run = deliver(&mail, &["--json"]).ok();
    assert!(run.json()[0]["uid"].is_null() && run.json()[0]["uidvalidity"].is_null(), "{run}");
    assert!(mail.own_files().is_empty());
}

#[test]
fn the_from_line_of_a_server_is_left_out() {
    let mail = indexed();
    let text = self::mail("x");
    with_input(&mail, &[], format!("From ann@example.org Fri Nov 21 09:55:06 1997\n{text}")).ok();
    assert_eq!(fs::read_to_string(the_new(&mail)).expect("read"), text);
    mail.run(["list", "--json", "4"]).ok().stdout_has("\"subject\":\"x\"");
}

/// Nothing was delivered, and nothing is left over.
#[track_caller]
fn refused(mail: &Mailbox, run: Run) -> Run {
    let run = run.fails_with(75).stdout("");
    for sub in ["new", "cur", "tmp"] {
        let left = fs::read_dir(mail.file(sub)).map_or(0, Iterator::count);
        assert_eq!(left, if sub == "cur" { 3 } else { 0 }, "{sub}\n{run}");
    }
    assert!(!run.errors().is_empty(), "it says why\n{run}");
    run
}

#[test]
fn whatever_is_wrong_is_75_and_nothing_is_delivered() {
    let mail = indexed();
    refused(&mail, deliver(&mail, &["--frobnicate"]));
    refused(&mail, deliver(&mail, &["--flags", "X"])).stderr_shows("DFPRST");
    refused(&mail, deliver(&mail, &["--flags", "é"]));
    refused(&mail, deliver(&mail, &["extra"]));
    refused(&mail, with_input(&mail, &[], "")).stderr_shows("expected a mail");
    refused(&mail, with_input(&mail, &[], "From a@b Fri Nov 21 09:55:06 1997\n"));
    refused(&mail, in_shell(&mail, "exec \"$@\" <&-"));
    refused(&mail, in_shell(&mail, "exec \"$@\" < /"));
    let no_folder = |folder: &Path| mail.finish(Command::new(maildex()).arg("deliver").arg(folder).stdin(a_mail()));
    refused(&mail, no_folder(&mail.file("missing")));
    refused(&mail, no_folder(&mail.file("tmp"))).stderr_shows("not a Maildir");
    refused(&mail, mail.finish(Command::new(maildex()).arg("deliver").stdin(a_mail())));
    refused(&mail, mail.finish(Command::new(maildex()).args(["--quiet", "deliver"]).stdin(a_mail())));
    for sub in ["tmp", "new"] {
        fs::rename(mail.file(sub), mail.file("away")).expect("rename");
        refused(&mail, deliver(&mail, &[])).stderr_shows(sub);
        fs::rename(mail.file("away"), mail.file(sub)).expect("rename");
    }
    mail.finish(Command::new(maildex()).args(["deliver", "--help"])).ok();
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
    mail.assert_sound();
}

#[test]
fn where_permissions_forbid_it_the_server_keeps_the_mail() {
    let mail = indexed();
    for (sub, mode) in [("tmp", 0o500), ("new", 0o500), ("new", 0o000)] {
        let set = |mode| fs::set_permissions(mail.file(sub), fs::Permissions::from_mode(mode)).expect("chmod");
        set(mode);
        let run = mail.run_unprivileged(["deliver"]);
        set(0o700);
        let Some(run) = run else { return };
        refused(&mail, run);
    }
}

#[test]
fn a_disk_that_is_full_or_fails_leaves_nothing() {
    let mail = indexed();
    // A limit on the size of files, as some servers set it, comes with a signal.
    let large = mail.path().with_file_name("large");
    fs::write(&large, self::mail("large") + &"x".repeat(100_000)).expect("write");
    refused(&mail, in_shell(&mail, &format!("ulimit -f 16; exec \"$@\" < '{}'", large.display())));
    if !installed("strace") {
        return skipped("deliver on a full disk", "install strace");
    }
    for (call, error) in [("write", "ENOSPC"), ("write", "EDQUOT"), ("fsync", "EIO"), ("linkat", "ENOSPC")] {
        let inject =
            format!("exec strace -f -o /dev/null -e trace={call} -e inject={call}:error={error}:when=1 \"$@\"");
        refused(&mail, in_shell(&mail, &inject));
    }
    // The directory could not be synced: what stands in new/ might be gone after a power cut, so it is taken away.
    refused(
        &mail,
        in_shell(&mail, "exec strace -f -o /dev/null -e trace=fsync -e inject=fsync:error=EIO:when=2 \"$@\""),
    );
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
    mail.assert_sound();
}

/// A file system that is really full.
#[test]
fn a_full_file_system_is_75() {
    if !rustix::process::geteuid().is_root() {
        return crate::mailbox::forbidden("a full file system", "run the tests as root");
    }
    let place = tempfile::tempdir().expect("a directory");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(place.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return crate::mailbox::forbidden("a full file system", "allow mount");
    }
    let mail = Mailbox::in_directory(place.path());
    let big = self::mail("big") + &"x".repeat(200_000);
    let big = with_input(&mail, &[], &big);
    let fill = fs::write(mail.path().with_file_name("fill"), vec![0; 100_000]);
    let full = deliver(&mail, &[]);
    let left: Vec<_> = ["tmp", "new"].iter().flat_map(|sub| fs::read_dir(mail.file(sub)).expect("list")).collect();
    let left = left.len();
    drop(mail);
    let _ = Command::new("umount").arg(place.path()).output();
    big.fails_with(75).stderr_has("No space left");
    assert!(fill.is_err());
    full.fails_with(75).stderr_has("No space left");
    assert_eq!(left, 0);
}

/// A file without a name could not be linked there, and every delivery failed.
#[test]
fn where_proc_is_missing_mail_is_delivered_all_the_same() {
    let mail = indexed();
    let hide = |command: &str| format!("exec unshare -m sh -c 'mount -t tmpfs none /proc && {command}' sh \"$@\"");
    let mut probe = Command::new("unshare");
    if !probe.args(["-m", "mount", "-t", "tmpfs", "none", "/proc"]).output().is_ok_and(|output| output.status.success())
    {
        return crate::mailbox::forbidden("delivery without /proc", "run the tests as root, and allow mount");
    }
    accepted(&mail, in_shell(&mail, &hide("exec \"$@\"")));
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n");
    mail.assert_sound();
}

/// The mail is safe, whatever else is wrong, and the next reader has it.
#[track_caller]
fn accepted(mail: &Mailbox, run: Run) -> Run {
    let run = run.ok();
    assert_eq!(fs::read_to_string(the_new(mail)).expect("read"), self::mail("new contents"), "{run}");
    assert_eq!(fs::read_dir(mail.file("tmp")).expect("list").count(), 0, "{run}");
    run
}

#[test]
fn an_index_that_cannot_be_used_is_no_reason_to_fail() {
    type Damage = (&'static str, fn(&Mailbox));
    let damages: [Damage; 7] = [
        ("offsets gone", |mail| mail.remove("maildex.offsets")),
        ("index gone", |mail| mail.remove("maildex.index.1")),
        ("offsets of junk", |mail| mail.edit("maildex.offsets", |bytes| bytes.fill(0xa5))),
        ("index of junk", |mail| mail.edit("maildex.index.1", |bytes| bytes.fill(0xa5))),
        ("offsets cut", |mail| mail.edit("maildex.offsets", |bytes| bytes.truncate(100))),
        ("index empty", |mail| mail.edit("maildex.index.1", Vec::clear)),
        ("a directory for a lock", |mail| fs::create_dir(mail.file("maildex.lock")).expect("mkdir")),
    ];
    for (what, damage) in damages {
        let mail = indexed();
        damage(&mail);
        let run = accepted(&mail, deliver(&mail, &[]));
        assert!(run.text().starts_with("-\t") == run.errors().contains("not in the index yet"), "{what}\n{run}");
        // Whoever mends it has the mail.
        let _ = fs::remove_dir(mail.file("maildex.lock"));
        let _ = mail.run(["build", "--full"]);
        let run = mail.run(["list", "--json", "new"]);
        if run.code() == Some(0) {
            assert_eq!(run.json().len(), 1, "{what}\n{run}");
        }
    }
    let mail = indexed();
    accepted(&mail, mail.finish(mail.command(["deliver", "--index-dir", "/proc/none"]).stdin(a_mail())));
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n");
}

#[test]
fn a_lock_that_is_held_is_not_waited_for() {
    let mail = indexed();
    let mut holder = Command::new(maildex());
    holder
        .args(["lock", "run"])
        .arg(mail.path())
        .args(["--", "sh", "-c", "echo held; read -r _ || exit 0"])
        .env_remove("MAILDEX_LOCK");
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run");
    let mut said = String::new();
    let mut out = std::io::BufReader::new(holder.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut out, &mut said).expect("read");
    assert_eq!(said, "held\n");
    let run = accepted(&mail, deliver(&mail, &[]));
    run.stderr_shows("not in the index yet");
    assert!(run.text().starts_with("-\t"), "{run}");
    drop(holder.stdin.take());
    assert!(holder.wait().expect("wait").success());
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n");
    mail.assert_sound();
}

#[test]
fn what_cannot_be_printed_is_delivered_all_the_same() {
    for script in [
        "exec \"$@\" >&-",
        "exec \"$@\" > /dev/full",
        "exec \"$@\" >&- 2>&-",
        "\"$@\" | true",
        "exec \"$@\" 2> /dev/full",
    ] {
        let mail = indexed();
        accepted(&mail, in_shell(&mail, script));
        mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("1\n2\n3\n4\n");
    }
}

#[test]
fn a_signal_while_the_mail_comes_is_75() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::ALARM] {
        let mail = indexed();
        let mut command = mail.command(["deliver"]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("run");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(self::mail("half").as_bytes()).expect("write");
        // It has the mail so far, and waits for more: until then the signal would end it as it does any program.
        let (pid, pipe) = (Pid::from_child(&child), &stdin);
        while rustix::io::ioctl_fionread(pipe).expect("look") > 0 {
            std::thread::yield_now();
        }
        kill_process(pid, signal).expect("kill");
        let output = child.wait_with_output().expect("wait");
        drop(stdin);
        assert_eq!(output.status.code(), Some(75), "{signal:?}: {}", String::from_utf8_lossy(&output.stderr));
        for sub in ["new", "tmp"] {
            assert_eq!(fs::read_dir(mail.file(sub)).expect("list").count(), 0);
        }
    }
}

#[test]
fn a_quota_file_is_named_as_not_kept() {
    let mail = indexed();
    fs::write(mail.file("maildirsize"), "1000S\n").expect("write");
    deliver(&mail, &[]).ok().stderr_has("maildirsize: not kept");
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n");
}

#[test]
fn the_lines_for_servers_are_in_docs_and_help() {
    let docs = include_str!("../../docs/scripts.md");
    assert!(docs.contains(&format!("```\n{SERVERS}```")), "docs/scripts.md has other lines");
    let help = Mailbox::new().finish(Command::new(maildex()).args(["deliver", "--help"])).ok().text();
    for line in SERVERS.lines() {
        assert!(help.contains(line.trim()), "{line}");
    }
}

/// The part of the lines that begins with a comment on a file, for this program and folder.
fn lines_for(what: &str, folder: &Path) -> String {
    let parts = SERVERS.split("\n\n").find(|part| part.starts_with(&format!("# {what}"))).expect("a part");
    let program = maildex();
    let parts = parts.replace("/usr/local/bin/maildex", program.to_str().expect("a path"));
    parts.replace("$HOME/Maildir", folder.to_str().expect("a path")) + "\n"
}

#[test]
fn procmail_delivers_with_the_lines_that_we_print() {
    if !installed("procmail") {
        return skipped("delivery by procmail", "install procmail");
    }
    let mail = indexed();
    let rc = mail.path().with_file_name("rc");
    let spool = mail.path().with_file_name("spool");
    let lines = lines_for("~/.procmailrc", &mail.path());
    let run = |lines: &str| {
        // What is not delivered goes here, and is not lost.
        fs::write(&rc, format!("SHELL=/bin/sh\nDEFAULT={}\n{lines}", spool.display())).expect("write");
        mail.finish(Command::new("procmail").arg("-t").arg(&rc).stdin(a_mail()))
    };
    run(&lines).ok();
    assert_eq!(fs::read_to_string(the_new(&mail)).expect("read"), self::mail("new contents"), "no From line");
    mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("1\n2\n3\n4\n");
    assert!(!spool.exists());
    // Where the folder is missing the mail is kept by procmail.
    let _ = run(&lines.replace("inbox", "missing"));
    assert!(fs::read_to_string(&spool).is_ok_and(|kept| kept.contains("new contents")));
    mail.assert_sound();
}

#[test]
fn maildrop_delivers_with_the_lines_that_we_print() {
    if !installed("maildrop") {
        return skipped("delivery by maildrop", "install maildrop");
    }
    let mail = indexed();
    let filter = mail.path().with_file_name("filter");
    let lines = lines_for("~/.mailfilter", &mail.path());
    let run = |lines: &str| {
        fs::write(&filter, lines).expect("write");
        fs::set_permissions(&filter, fs::Permissions::from_mode(0o600)).expect("chmod");
        mail.finish(Command::new("maildrop").arg(&filter).stdin(a_mail()))
    };
    run(&lines).ok();
    assert_eq!(fs::read_to_string(the_new(&mail)).expect("read"), self::mail("new contents"), "no From line");
    run(&lines.replace("inbox", "missing")).fails_with(75);
    mail.assert_sound();
}
