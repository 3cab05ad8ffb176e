//! `maildex list --threads`: who answered whom.

use std::fmt::Write as _;
use std::time::Instant;

use maildex::sample;

use crate::mailbox::{self, Mailbox};

/// A mail of a thread, sent on this day.
fn mail(id: &str, answers: &str, day: u32, subject: &str) -> String {
    let references: Vec<_> = answers.split_whitespace().map(|id| format!("<{id}@x>")).collect();
    format!(
        "From: {id} <{id}@x.org>\nSubject: {subject}\nDate: {day} Jan 2024 00:00:00 +0000\nMessage-ID: <{id}@x>\n\
         References: {}\n\nhello\n",
        references.join(" ")
    )
}

/// UIDs 1 to 7: a thread of four, one alone, and two that answer the same missing mail.
fn threaded() -> Mailbox {
    let mail = Mailbox::new()
        .message("cur/1:2,S", mail("a", "", 3, "apples"))
        .message("cur/2:2,", mail("b", "a", 5, "Re: apples"))
        .message("cur/3:2,S", mail("x", "", 1, "alone"))
        .message("cur/4:2,", mail("c", "a b", 6, "Re: apples"))
        .message("cur/5:2,S", mail("d", "a", 4, "Re: apples"))
        .message("cur/6:2,S", mail("y", "gone", 8, "Re: lost"))
        .message("new/7", mail("z", "gone", 7, "Re: lost"));
    mail.run(["build"]).ok();
    mail
}

#[track_caller]
fn listed(mail: &Mailbox, arguments: &[&str]) -> String {
    let template = ["list", "--threads", "--format", "{uid}:{depth}:{thread}"];
    let run = mail.run(template.iter().chain(arguments)).ok().silent();
    run.text().lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn replies_stand_below_what_they_answer_and_siblings_by_date() {
    let mail = threaded();
    assert_eq!(listed(&mail, &[]), "3:0:3 1:0:1 5:1:1 2:1:1 4:2:1 7:0:6 6:0:6");
    assert_eq!(listed(&mail, &["--sort", "uid"]), "1:0:1 2:1:1 4:2:1 5:1:1 3:0:3 6:0:6 7:0:6");
    assert_eq!(listed(&mail, &["--reverse"]), "7:0:6 6:0:6 1:0:1 5:1:1 2:1:1 4:2:1 3:0:3", "threads, not their mails");
    mail.run(["list", "--sort", "thread", "--uids"]).ok().stdout("3\n1\n5\n2\n4\n7\n6\n");
    mail.run(["list", "--sort", "thread", "--uids", "--limit", "2"]).ok().stdout("3\n1\n");
    mail.assert_sound();
}

#[test]
fn limits_count_threads() {
    let mail = threaded();
    assert_eq!(listed(&mail, &["--limit", "2"]), "3:0:3 1:0:1 5:1:1 2:1:1 4:2:1");
    assert_eq!(listed(&mail, &["--last", "1"]), "7:0:6 6:0:6");
    assert_eq!(listed(&mail, &["--reverse", "--limit", "1"]), "7:0:6 6:0:6");
    assert_eq!(listed(&mail, &["--limit", "0"]), "");
    mail.assert_sound();
}

#[test]
fn what_a_query_leaves_keeps_its_place() {
    let mail = threaded();
    assert_eq!(listed(&mail, &["unseen"]), "2:0:1 4:1:1 7:0:6");
    assert_eq!(listed(&mail, &["4:5"]), "5:0:1 4:0:1", "each has nothing above it that is listed");
    mail.remove("cur/1:2,S");
    assert_eq!(listed(&mail, &[]), "3:0:3 5:0:2 2:0:2 4:1:2 7:0:6 6:0:6", "the first is gone, the thread is not");
    mail.assert_sound();
}

#[test]
fn scripts_get_thread_and_depth() {
    let mail = threaded();
    let lines = mail.run(["list", "--threads"]).ok().silent().text();
    let columns: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    assert!(columns.iter().all(|columns| columns.len() == 10), "{lines}");
    let folder = mail.path();
    assert_eq!(columns[4][7..], [folder.to_str().expect("UTF-8"), "1", "2"], "{lines}");
    let records = mail.run(["list", "--threads", "--json"]).ok().json();
    let keys = |key: &str| records.iter().map(|record| record[key].as_u64().expect("a number")).collect::<Vec<_>>();
    assert_eq!(keys("uid"), [3, 1, 5, 2, 4, 7, 6]);
    assert_eq!(keys("thread"), [3, 1, 1, 1, 1, 6, 6]);
    assert_eq!(keys("depth"), [0, 0, 1, 1, 2, 0, 0]);
    assert!(mail.run(["list", "--json"]).ok().json()[0].get("thread").is_none());
    mail.assert_sound();
}

#[test]
fn people_get_a_tree() {
    let mail = threaded();
    let tree = |settings: &str| {
        let shown = mail.on_terminal(70, &format!("NO_COLOR=1 {settings}"), ["list", "--threads"])?;
        let subject = |line: &str| line.chars().skip(37).collect::<String>();
        Some(shown.lines().map(subject).collect::<Vec<_>>().join("\n"))
    };
    let Some(shown) = tree("") else { return };
    assert_eq!(shown, "alone\napples\n├─ Re: apples\n└─ Re: apples\n  └─ Re: apples\n┌─ Re: lost\n└─ Re: lost");
    let ascii = tree("LC_ALL=C").expect("as before");
    assert_eq!(ascii, "alone\napples\n|- Re: apples\n`- Re: apples\n  `- Re: apples\n,- Re: lost\n`- Re: lost");
    mail.run(["list", "--threads", "--format", "{tree}{uid}"]).ok().stdout("3\n1\n├─ 5\n└─ 2\n  └─ 4\n┌─ 7\n└─ 6\n");
    mail.assert_sound();
}

#[test]
fn circles_and_forged_chains_end() {
    // Each answers the next, and the last one the first.
    let mail = (0..300).fold(Mailbox::new(), |mail, n| {
        mail.message(format!("cur/{n}:2,"), self::mail(&n.to_string(), &((n + 1) % 300).to_string(), 1, "circle"))
    });
    mail.run(["build"]).ok();
    let records = mail.run(["list", "--threads", "--json"]).ok().json();
    let depth = |record: &serde_json::Value| record["depth"].as_u64().expect("a number");
    assert_eq!(records.len(), 300);
    assert_eq!(records.iter().map(depth).max(), Some(299));
    assert_eq!(records.iter().filter(|record| depth(record) == 0).count(), 1);
    let Some(shown) = mail.on_terminal(60, "NO_COLOR=1", ["list", "--threads"]) else { return };
    assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
    mail.assert_sound();
}

#[test]
fn threads_of_many_mails_cost_little_more_than_a_listing() {
    let count = if mailbox::long() { 100_000 } else { 3000 };
    let mail = Mailbox::in_memory();
    sample::write(&mail.path(), 0..count).expect("write");
    mail.run(["build"]).ok();
    let timed = |arguments: &[&str]| {
        let begun = Instant::now();
        let lines = mail.run(["list", "--no-refresh"].iter().chain(arguments)).ok().text().lines().count();
        assert_eq!(lines, count as usize);
        begun.elapsed()
    };
    let mut line = format!("list of {count} mails:");
    for arguments in [
        &[][..],
        &["--threads"],
        &["--sort", "date"],
        &["--sort", "subject"],
        &["--format", "{uid} {flags} {subject:40}"],
    ] {
        let _ = write!(line, " {:?} {:?},", arguments, timed(arguments));
    }
    mailbox::figures(&line);
    mail.assert_sound();
}
