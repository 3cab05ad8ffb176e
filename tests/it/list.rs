//! `maildex list`: which messages, in which order.

use std::process::Stdio;

use crate::mailbox::{Mailbox, mail};

/// UIDs 1 to 6 with all kinds of flags, 6 in new/, and 3 removed.
fn flagged() -> Mailbox {
    let names = ["cur/1:2,", "cur/2:2,S", "cur/3:2,", "cur/4:2,DFRS", "cur/5:2,ST", "new/6"];
    let mail = names.into_iter().fold(Mailbox::new(), |mail, name| mail.message(name, mail_of(name)));
    mail.run(["build"]).ok();
    mail.remove("cur/3:2,");
    mail.run(["build"]).ok();
    mail
}

fn mail_of(name: &str) -> String {
    mail(&format!("in {name}"))
}

/// The UIDs that a query finds.
#[track_caller]
fn found(mail: &Mailbox, query: &[&str]) -> String {
    let list = mail.run([&["list", "--uids"], query].concat()).ok().silent();
    let found = list.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let count = mail.run([&["count"], query].concat()).ok().silent().text();
    assert_eq!(count.trim(), found.split_whitespace().count().to_string(), "count and list agree on {query:?}");
    found
}

#[test]
fn queries_find_what_imap_says() {
    let mail = flagged();
    for (query, expected) in [
        ("", "1 2 4 5 6"),
        ("all", "1 2 4 5 6"),
        ("not all", ""),
        ("seen", "2 4 5"),
        ("unseen", "1 6"),
        ("answered", "4"),
        ("unanswered", "1 2 5 6"),
        ("flagged", "4"),
        ("unflagged", "1 2 5 6"),
        ("draft", "4"),
        ("undraft", "1 2 5 6"),
        ("deleted", "5"),
        ("undeleted", "1 2 4 6"),
        ("new", "6"),
        ("old", "1 2 4 5"),
        ("unseen old", "1"),
        ("not seen not new", "1"),
        ("not not seen", "2 4 5"),
        ("SEEN Not FLAGGED", "2 5"),
        ("3", ""),
        ("1:3", "1 2"),
        ("3:1", "1 2"),
        ("5:*", "5 6"),
        ("*", "6"),
        ("99:*", ""),
        ("1,4:5,2", "1 2 4 5"),
        ("uid 2:4", "2 4"),
        ("not 2:4", "1 5 6"),
        ("2:* unseen", "6"),
    ] {
        let words: Vec<_> = query.split_whitespace().collect();
        assert_eq!(found(&mail, &words), expected, "{query}");
        if !query.is_empty() {
            assert_eq!(found(&mail, &[query]), expected, "{query} as one argument");
        }
    }
    mail.assert_sound();
}

#[test]
fn a_wrong_query_is_wrong_usage_and_the_word_is_named() {
    let mail = flagged();
    for (query, word) in [
        ("frobnicated", "frobnicated"),
        ("seen 1:x", "1:x"),
        ("not", "not"),
        ("uid", "uid"),
        ("uid seen", "seen"),
        ("0", "0"),
        ("4294967296", "4294967296"),
        ("1:", "1:"),
    ] {
        for verb in ["list", "count"] {
            mail.run([verb, query]).fails_with(2).stdout("").stderr_has(&format!(": found {word:?}, expected"));
        }
    }
    mail.assert_sound();
}

/// Four mails whose orders all differ.
fn sortable() -> Mailbox {
    let text = |from: &str, subject: &str, date: &str, filler: usize| {
        let filler = "x".repeat(filler);
        format!("From: {from}\nSubject: {subject}\nDate: {date}\n\n{filler}\n")
    };
    let mail = Mailbox::new()
        .message("cur/1:2,", text("Zoe <z@x.org>", "Re: apples", "Mon, 1 Jan 2024 00:00:00 +0000", 500))
        .message("cur/2:2,", text("adam <a@x.org>", "Zebra", "Wed, 3 Jan 2024 00:00:00 +0000", 10))
        .message("cur/3:2,", text("Berta <b@x.org>", "bees", "Tue, 2 Jan 2024 00:00:00 +0000", 900))
        .message("cur/4:2,", text("Carl <c@x.org>", "Fwd: Re: cats", "Tue, 2 Jan 2024 00:00:00 +0000", 100));
    for (name, day) in [("cur/1:2,", 3), ("cur/2:2,", 1), ("cur/3:2,", 2), ("cur/4:2,", 4)] {
        let file = std::fs::File::options().write(true).open(mail.file(name)).expect("open");
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * day);
        file.set_modified(time).expect("set its mtime");
    }
    mail.run(["build"]).ok();
    mail
}

#[test]
fn each_order_is_kept_and_equal_ones_stay_in_uid_order() {
    let mail = sortable();
    for (by, expected) in [
        ("uid", "1 2 3 4"),
        ("date", "1 3 4 2"),
        ("arrival", "2 3 1 4"),
        ("size", "2 4 1 3"),
        ("from", "2 3 4 1"),
        ("subject", "1 3 4 2"),
    ] {
        let order = |options: &[&str]| {
            let run = mail.run([&["list", "--uids", "--sort", by], options].concat()).ok().silent();
            run.text().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(&[]), expected, "{by}");
        let reversed = expected.split(' ').rev().collect::<Vec<_>>();
        assert_eq!(order(&["--reverse"]), reversed.join(" "), "{by} reversed");
        assert_eq!(order(&["--limit", "2"]), expected[..3], "the first two by {by}");
        assert_eq!(order(&["--last", "2"]), expected[4..], "the last two by {by}");
        assert_eq!(order(&["--reverse", "--limit", "1"]), reversed[0], "the first of {by} reversed");
        assert_eq!(order(&["--last", "9"]), expected);
        assert_eq!(order(&["--limit", "0"]), "");
        assert_eq!(order(&["--last", "0"]), "");
    }
    mail.run(["list", "--limit", "1", "--last", "1"]).fails_with(2);
    mail.run(["list", "--sort", "colour"]).fails_with(2).stderr_has("colour");
    mail.assert_sound();
}

#[test]
fn limits_count_what_the_query_found() {
    let mail = flagged();
    assert_eq!(mail.run(["list", "--uids", "--limit", "2", "seen"]).ok().text(), "2\n4\n");
    assert_eq!(mail.run(["list", "--uids", "seen", "--last", "1"]).ok().text(), "5\n");
    mail.assert_sound();
}

#[test]
fn exit_code_says_whether_there_was_any() {
    let mail = flagged();
    mail.run(["list", "--exit-code", "flagged"]).ok();
    mail.run(["list", "--exit-code", "flagged", "new"]).fails_with(1).silent().stdout("");
    mail.run(["list", "flagged", "new"]).ok().silent().stdout("");
    mail.assert_sound();
}

#[test]
fn without_a_refresh_the_index_is_shown_as_it_is() {
    let mail = Mailbox::new().messages(2);
    mail.run(["list", "--no-refresh"]).fails_with(3).stderr_has("no index");
    mail.run(["build"]).ok();
    mail.deliver("new/3.host", self::mail("mail 3"));
    mail.remove("cur/1.host:2,");
    let before = mail.own_files();
    for verb in ["list", "count", "show", "cat"] {
        let mut arguments = vec![verb, "--no-refresh"];
        arguments.extend(["show", "cat"].contains(&verb).then_some("2"));
        mail.run(arguments).ok().silent();
    }
    mail.run(["list", "--no-refresh", "--uids"]).ok().silent().stdout("1\n2\n");
    assert_eq!(mail.own_files(), before);
    mail.run(["list", "--uids"]).ok().silent().stdout("2\n3\n");
    mail.assert_sound();
}

#[test]
fn a_folder_without_an_index_gets_none_by_reading() {
    let mail = Mailbox::new().messages(1);
    for arguments in [vec!["list"], vec!["count"], vec!["show", "1"], vec!["cat", "1"], vec!["check"]] {
        mail.run(arguments).fails_with(3).stderr_has("no index").stderr_has("hint: make one with: maildex build");
    }
    assert!(mail.own_files().is_empty());
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    for arguments in [
        vec!["list"],
        vec!["list", "--json"],
        vec!["list", "--paths"],
        vec!["list", "--uids", "-0"],
        vec!["count"],
        vec!["show", "1:3"],
        vec!["show", "1:3", "--json"],
        vec!["cat", "1:3"],
        vec!["build", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = mail.command(arguments).stdout(Stdio::from(writer)).stderr(Stdio::piped()).spawn().expect("runs");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
    mail.assert_sound();
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    for arguments in
        [vec!["list"], vec!["list", "--json"], vec!["count"], vec!["show", "1"], vec!["cat", "1"], vec!["check"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let run = mail.finish(mail.command(arguments).stdout(Stdio::from(full)));
        run.fails_with(3).stderr_has("No space left on device");
    }
    mail.assert_sound();
}

#[test]
fn a_reader_that_has_refreshed_still_dies_of_a_signal_at_once() {
    let mail = Mailbox::new();
    mail.run(["build"]).ok();
    // More than a pipe holds, so that the reader hangs in it.
    let subject = "x".repeat(4000);
    let mail = (0..100).fold(mail, |mail, n| mail.message(format!("new/{n}.host"), format!("Subject: {subject}\n\n")));
    let mut command = mail.command(["list"]);
    let mut list = command.stdout(std::process::Stdio::piped()).spawn().expect("maildex runs");
    let mut first = [0];
    std::io::Read::read_exact(list.stdout.as_mut().expect("a pipe"), &mut first).expect("the first byte");
    let pid = rustix::process::Pid::from_child(&list);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    let status = list.wait().expect("it ends");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(rustix::process::Signal::TERM.as_raw()));
    mail.assert_sound();
}
