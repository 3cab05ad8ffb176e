//! `-r`: one verb, all folders below a directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::mailbox::{Mailbox, Run, installed, mail, maildex, skipped};

/// A Maildir++ with a nested folder in it, and a link that leads back up.
fn tree() -> Mailbox {
    let root = Mailbox::new().messages(2);
    for (folder, mails) in [(".Sent.2026", 3), ("archive/2025", 1)] {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(root.file(folder).join(sub)).expect("make a folder");
        }
        for n in 1..=mails {
            root.deliver(format!("{folder}/cur/{n}.{mails}:2,S"), mail(&format!("{folder} {n}")));
        }
    }
    root.deliver("archive/2025/new/9.host", mail("unread"));
    root.rename("archive/2025/cur/1.1:2,S", "archive/2025/cur/1.1:2,FS");
    symlink(root.path(), root.file("archive/up")).expect("a link");
    root
}

fn run(root: &Mailbox, verb: &str) -> Run {
    let mut words = verb.split(' ');
    let mut command = Command::new(maildex());
    command.args(words.next()).args(["-r", "."]).args(words).current_dir(root.path());
    root.finish(&mut command)
}

#[test]
fn all_folders_are_built_counted_listed_and_checked() {
    let root = tree();
    let folders: Vec<_> =
        run(&root, "build --json").ok().silent().json().iter().map(|report| report["folder"].clone()).collect();
    assert_eq!(folders, [".", "./.Sent.2026", "./archive/2025"]);
    run(&root, "count").ok().silent().stdout(".\t2\t2\t0\n./.Sent.2026\t3\t0\t0\n./archive/2025\t2\t1\t1\n");
    run(&root, "count seen").ok().stdout(".\t0\t0\t0\n./.Sent.2026\t3\t0\t0\n./archive/2025\t1\t0\t1\n");
    let list = run(&root, "list").ok().silent().text();
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 8), "{list}");
    let folders: Vec<_> = rows.iter().map(|row| (row[0], row[7])).collect();
    let sent = "./.Sent.2026";
    let nested = "./archive/2025";
    assert_eq!(folders, [("1", "."), ("2", "."), ("1", sent), ("2", sent), ("3", sent), ("1", nested), ("2", nested)]);
    run(&root, "list flagged --paths").ok().stdout("./archive/2025/cur/1.1:2,FS\n");
    run(&root, "list draft --exit-code").fails_with(1).stdout("");
    run(&root, "list flagged --exit-code").ok();
    run(&root, "list --uids").fails_with(2).stdout("");
    run(&root, "check").ok().stdout(".\t2\t0\t0\n./.Sent.2026\t3\t0\t0\n./archive/2025\t2\t0\t0\n");
}

#[test]
fn one_broken_folder_does_not_stop_the_rest() {
    let root = tree();
    run(&root, "build").ok();
    fs::write(root.file(".Sent.2026/maildex.offsets"), "").expect("break it");
    for (verb, lines) in [("count", 2), ("list", 4)] {
        let run = run(&root, verb).fails_with(4).stderr_has("./.Sent.2026/maildex.offsets").stderr_has("hint: ");
        assert_eq!(run.text().lines().count(), lines, "{run}");
    }
    let check = run(&root, "check").fails_with(1).stderr_has("./.Sent.2026/maildex.offsets: offset 0: header: found");
    assert_eq!(check.text(), ".\t2\t0\t0\n./.Sent.2026\t0\t1\t0\n./archive/2025\t2\t0\t0\n");
    check.stderr_has("hint: maildex repair ./.Sent.2026 mends");
    run(&root, "build").ok();
    run(&root, "check").ok();
}

#[test]
fn folders_without_an_index_are_named_and_the_rest_goes_on() {
    let root = tree();
    root.run(["build"]).ok();
    let count = run(&root, "count").fails_with(4).stdout(".\t2\t2\t0\n");
    count.stderr_shows("./archive/2025: no index");
    count.stderr_shows("maildex build ./.Sent.2026");
}

#[test]
fn when_all_fail_alike_the_exit_status_says_how() {
    let root = tree();
    run(&root, "count").fails_with(3).stdout("");
    let empty = tempfile::tempdir().expect("a directory");
    let mut count = Command::new(maildex());
    root.finish(count.args(["count", "-r"]).arg(empty.path())).fails_with(3).stderr_has("no mail folder");
    root.finish(Command::new(maildex()).args(["count", "-r", "/nowhere"])).fails_with(3).stderr_has("/nowhere");
}

#[test]
fn on_a_terminal_checks_are_a_table_with_totals() {
    if !installed("script") {
        skipped("the table of checks", "install bsdutils");
        return;
    }
    let root = tree();
    run(&root, "build").ok();
    root.rename("cur/1.host:2,", "cur/1.host:2,SF");
    fs::write(root.file(".Sent.2026/maildex.offsets"), "").expect("break it");
    let mut script = Command::new("script");
    let command = format!("stty cols 60; {} check -q -r .", maildex().display());
    script.args(["-qec", &command, "/dev/null"]).current_dir(root.path());
    let text = root.finish(&mut script).fails_with(1).text();
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        vec!["folder", "messages", "damage", "notes"],
        vec![".", "2", "0", "1"],
        vec!["./.Sent.2026", "0", "1", "0"],
        vec!["./archive/2025", "2", "0", "0"],
        vec!["total", "4", "1", "1"],
    ] {
        assert!(words.contains(&row), "{row:?} in {text}");
    }
}

#[test]
fn on_a_terminal_counts_are_a_table_with_totals() {
    if !installed("script") {
        skipped("the table of counts", "install bsdutils");
        return;
    }
    let root = tree();
    run(&root, "build").ok();
    let mut script = Command::new("script");
    let command = format!("stty cols 60; {} count -r .", maildex().display());
    script.args(["-qec", &command, "/dev/null"]).current_dir(root.path());
    let text = root.finish(&mut script).ok().text();
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        vec!["folder", "messages", "unseen", "flagged"],
        vec![".", "2", "2", "0"],
        vec!["./.Sent.2026", "3", "0", "0"],
        vec!["./archive/2025", "2", "1", "1"],
        vec!["total", "7", "3", "1"],
    ] {
        assert!(words.contains(&row), "{row:?} in {text}");
    }
}
