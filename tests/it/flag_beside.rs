//! `maildex flag` beside others: processes of its own, foreign programs, signals, and a full disk.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::flag::{indexed, lines};
use crate::mailbox::{Mailbox, figures, installed, mail, maildex, skipped};

#[test]
fn eight_processes_set_eight_letters_at_once() {
    const LETTERS: &str = "DFPRSTab";
    let rounds = if std::env::var_os("MAILDEX_LONG").is_some() { 200 } else { 25 };
    let mail = Mailbox::in_memory().messages(1);
    mail.run(["build"]).ok();
    for round in 0..rounds {
        for (sign, expected) in [("+", LETTERS), ("-", "")] {
            thread::scope(|scope| {
                for letter in LETTERS.chars() {
                    let mail = &mail;
                    scope.spawn(move || mail.run(["flag", &format!("{sign}{letter}"), "1"]).ok());
                }
            });
            mail.assert_files([format!("cur/1.host:2,{expected}")]);
            let listed = mail.run(["list", "--json", "--no-refresh"]).ok();
            assert_eq!(listed.json()[0]["flags"], expected, "round {round}");
        }
    }
    mail.assert_sound();
}

#[test]
fn a_mail_that_is_renamed_without_pause_is_flagged_or_said_to_keep_changing() {
    let mail = Mailbox::in_memory().messages(30);
    mail.run(["build"]).ok();
    let done = AtomicBool::new(false);
    let renames = AtomicUsize::new(0);
    let (mut arrived, mut kept_changing) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            // As a mail reader does: takes the name that is there, and changes one letter.
            for n in 0.. {
                if done.load(Ordering::Acquire) {
                    return;
                }
                let names = mail.mails();
                let prefix = "cur/7.host:2,";
                let name =
                    names.iter().find_map(|name| name.to_str()?.strip_prefix(prefix)).expect("the mail is there");
                let flags: BTreeSet<char> = if n % 2 == 0 {
                    name.chars().chain(['S']).collect()
                } else {
                    name.chars().filter(|&c| c != 'S').collect()
                };
                let new = format!("{prefix}{}", flags.into_iter().collect::<String>());
                let old = format!("{prefix}{name}");
                if fs::rename(mail.file(old), mail.file(new)).is_ok() {
                    renames.fetch_add(1, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_micros(500));
            }
        });
        let begun = Instant::now();
        for round in 0.. {
            if round >= 20 && begun.elapsed() > Duration::from_secs(2) {
                break;
            }
            let spec = ["+F", "-F"][round % 2];
            let run = mail.run(["flag", spec, "7"]);
            match run.code() {
                Some(0) => {
                    arrived += 1;
                    let names: Vec<_> =
                        mail.mails().into_iter().filter(|name| name.as_bytes().starts_with(b"cur/7.")).collect();
                    // The readdir of this test may itself miss it.
                    if let [name] = &*names {
                        assert_eq!(name.as_bytes().contains(&b'F'), spec == "+F", "{name:?}\n{run}");
                    }
                }
                Some(4) => {
                    kept_changing += 1;
                    run.stderr_shows("keeps changing");
                }
                _ => panic!("{run}"),
            }
        }
        done.store(true, Ordering::Release);
    });
    let text = mail
        .mails()
        .into_iter()
        .filter(|name| name.as_bytes().starts_with(b"cur/7."))
        .map(|name| fs::read_to_string(mail.file(name)).expect("read"));
    assert_eq!(text.collect::<Vec<_>>(), [self::mail("mail 7")], "the mail is there, once");
    mail.run(["build"]).ok();
    mail.run(["count"]).ok().stdout("30\n");
    mail.assert_sound();
    figures(&format!(
        "flag beside {} renames of that mail: {arrived} arrived, {kept_changing} kept changing",
        renames.into_inner()
    ));
}

/// Sends SIGINT to a batch that is at work, and waits for its end.
fn interrupt(mail: &Mailbox, command: &mut Command) -> ExitStatus {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("run");
    let batch: String = (1..=2000).map(|uid| format!("+S {uid}\n")).collect::<Vec<_>>().concat().repeat(20);
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || drop(stdin.write_all(batch.as_bytes())));
    // It is in the middle of it: something is done, and the signal is not met before it is waited for.
    while !mail.file("cur/1.host:2,S").exists() && child.try_wait().expect("wait").is_none() {
        thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    writer.join().expect("the writer");
    child.wait().expect("wait")
}

#[test]
fn an_interrupted_batch_ends_well() {
    let mail = Mailbox::in_memory().messages(2000);
    mail.run(["build"]).ok();
    interrupt(&mail, &mut mail.command(["flag", "--batch"]));
    assert!(!mail.file("maildex.lock").exists(), "nothing is left behind");
    let stale = mail.run(["list", "--uids", "--no-refresh", "seen"]).ok().text();
    assert_eq!(mail.run(["list", "--uids", "seen"]).ok().text(), stale, "what was renamed was published");
    mail.assert_sound();
}

#[test]
fn a_full_disk_keeps_nobody_from_marking_mail_as_trashed() {
    if !installed("strace") {
        return skipped("flag on a full disk", "install strace");
    }
    let mail = indexed(1);
    let log = mail.path().with_file_name("log");
    // The first thing that is written is the text of the lockfile.
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(&log).args(["-e", "trace=write", "-e", "inject=write:error=ENOSPC:when=1"]);
    strace.arg(maildex()).arg("flag").arg(mail.path()).args(["+T", "1"]);
    mail.finish(&mut strace).ok().silent().stdout(lines(&mail, &[(1, "cur/1.host:2,T")]));
    let log = fs::read_to_string(log).expect("the log of strace");
    let injected = log.lines().find(|line| line.contains("INJECTED")).expect("a write failed");
    assert!(injected.contains("id: "), "it is the lockfile: {injected}");
    mail.assert_sound();
}

#[test]
fn programs_beside_it_see_the_names_that_they_expect() {
    if !installed("mflag") {
        return skipped("flag beside mflag", "install mblaze");
    }
    let mail = indexed(3);
    let first = mail.file("cur/1.host:2,");
    mail.finish(Command::new("mflag").arg("-S").arg(&first)).ok();
    mail.run(["flag", "+F", "1"]).ok().stdout(lines(&mail, &[(1, "cur/1.host:2,FS")]));
    mail.finish(Command::new("mflag").arg("-s").arg(mail.file("cur/1.host:2,FS"))).ok();
    mail.run(["flag", "+T", "1"]).ok().stdout(lines(&mail, &[(1, "cur/1.host:2,FT")]));
    let ours = OsStr::from_bytes(&mail.run(["list", "--paths", "flagged"]).ok().bytes()).to_os_string().into_vec();
    let theirs = mail.finish(Command::new("magrep").args(["subject:mail 1", "--"]).arg(mail.file("cur/1.host:2,FT")));
    drop(theirs);
    assert_eq!(String::from_utf8_lossy(&ours).trim_end(), mail.file("cur/1.host:2,FT").display().to_string());
    mail.assert_sound();
}

/// A shell starts what a script puts into the background with SIGINT ignored; it died of it all the same.
#[test]
fn an_interrupt_that_is_ignored_interrupts_nothing() {
    let mail = Mailbox::in_memory().messages(2000);
    mail.run(["build"]).ok();
    let batch = mail.command(["flag", "--batch"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(batch.get_program()).args(batch.get_args());
    let status = interrupt(&mail, &mut shell);
    assert_eq!(status.code(), Some(0), "{status}");
    mail.run(["count", "seen"]).ok().stdout("2000\n");
    mail.assert_sound();
}
