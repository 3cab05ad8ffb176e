//! Who leaves FOLDER out, or puts it elsewhere, is told where it goes.

use std::path::Path;
use std::process::Command;

use crate::mailbox::{Mailbox, Run, mail, maildex};

/// Runs a command line in an empty directory, where nobody has mail.
fn run(arguments: &str) -> Run {
    run_at_home(arguments, Path::new("/nonexistent"))
}

fn run_at_home(arguments: &str, home: &Path) -> Run {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(maildex());
    command.current_dir(temp.path()).env("HOME", home).env_remove("MAILDIR").args(arguments.split_whitespace());
    Mailbox::new().finish(&mut command)
}

#[test]
fn who_leaves_the_folder_out_is_told_that_it_comes_first() {
    for (given, meant) in [
        ("list unseen", "list FOLDER unseen"),
        ("list 1:3", "list FOLDER 1:3"),
        ("list NEW", "list FOLDER NEW"),
        ("list *", "list FOLDER *"),
        ("list uid", "list FOLDER uid"),
        ("list unseen --json", "list FOLDER unseen"),
        ("--color never list unseen", "list FOLDER unseen"),
        ("count flagged", "count FOLDER flagged"),
        ("search unseen", "search FOLDER unseen"),
        ("flag +S 3", "flag FOLDER +S"),
        ("flag -S 3", "flag FOLDER -S"),
        ("flag =FS 3", "flag FOLDER =FS"),
        ("flag +seen 3", "flag FOLDER +seen"),
        ("flag 3 +S", "flag FOLDER SPEC 3"),
        ("show 3 4", "show FOLDER 3"),
        ("cat 3 4:5", "cat FOLDER 3"),
    ] {
        run(given).fails_with(3).stdout("").stderr_has(&format!("hint: FOLDER comes first: maildex {meant}\n"));
    }
    for (given, meant) in [
        ("list", "list FOLDER"),
        ("count", "count FOLDER"),
        ("lock status", "lock status FOLDER"),
        ("show 3", "show FOLDER 3"),
    ] {
        run(given).fails_with(2).stdout("").stderr_has(&format!("hint: FOLDER comes first: maildex {meant}\n"));
    }
    run("list frobnicated").fails_with(3).stderr_has("No such file");
    assert!(!run("list frobnicated").fails_with(3).errors().contains("comes first"));
    assert!(!run("list ./unseen").fails_with(3).errors().contains("comes first"));
}

#[test]
fn who_leaves_the_verb_out_is_told_one() {
    run("unseen").fails_with(2).stderr_has("hint: the verb comes first, then FOLDER: maildex list FOLDER unseen\n");
    run("/ count").fails_with(2).stderr_has("hint: the verb comes first: maildex count /\n");
    run("/ frobnicate").fails_with(2).stderr_has("hint: the verb comes first: maildex list /\n");
    assert!(!run("frobnicate").fails_with(2).errors().contains("comes first"));
}

#[test]
fn who_writes_an_option_behind_a_query_is_told_where_it_goes() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    for option in ["--dry-run", "--json"] {
        let run = mail.run(["expunge", "--query", "unseen", option]).fails_with(2).stdout("");
        run.stderr_has(&format!(
            "hint: --query takes all words that follow; options stand before it: {option} --query"
        ));
    }
    mail.run(["expunge", "--query", "unseen", "frobnicated"]).fails_with(2).stderr_has("hint: a query is");
    assert_eq!(mail.mails().len(), 2);
    // Also what begins with two dashes can be looked for.
    mail.run(["expunge", "--query", "subject", "--dry-run"]).ok();
    assert_eq!(mail.mails().len(), 2);
}

#[test]
fn the_folder_that_is_likely_to_be_meant_is_named() {
    let mail = Mailbox::new().message("cur/1:2,", mail("1"));
    let home = mail.path().with_file_name("my home");
    std::fs::create_dir(&home).expect("mkdir");
    std::fs::rename(mail.path(), home.join("Maildir")).expect("rename");
    let folder = format!("'{}/Maildir'", home.display());
    run_at_home("list", &home).fails_with(2).stderr_has(&format!("hint: FOLDER comes first: maildex list {folder}\n"));
}
