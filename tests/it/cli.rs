//! The command line itself: help, usage, and what holds for every verb.

use std::process::Command;

use crate::mailbox::{Mailbox, Run, mail, maildex};

const VERBS: &[(&str, &str)] = &[
    ("build", "Make the index of a folder, or bring it up to date"),
    ("list", "List messages, one a line"),
    ("count", "Print how many messages there are"),
    ("stat", "Print what is in a folder: flags, sizes, ages, senders, and what the index costs"),
    ("show", "Print every field that the index has of a message"),
    ("cat", "Print mails as they are"),
    ("flag", "Set and clear flags, in place"),
    ("inc", "Take new mail up: move what is in new/ to cur/"),
    ("changes", "Print what changed since a token"),
    ("repair", "Mend a broken index, and say what was made of what"),
    ("replace", "Give a message new contents, from standard input"),
    ("deliver", "Deliver a mail from standard input"),
    ("move", "Move messages to another folder"),
    ("copy", "Copy messages to another folder"),
    ("expunge", "Remove messages, for good"),
    ("dedupe", "Remove mail that is there more than once"),
    ("compact", "Rewrite the index without its dead entries"),
    ("watch", "Keep indexes up to date, and print what happens to the mail"),
    ("check", "Look for damage in the index of a folder, and change nothing"),
    ("dump", "Print the files of an index as they are, field by field"),
];

fn run(arguments: &[&str]) -> Run {
    Mailbox::new().finish(Command::new(maildex()).args(arguments))
}

#[test]
fn help_says_what_each_verb_does() {
    for help in ["--help", "-h", "help"] {
        let all = run(&[help]).ok().silent().text();
        for (verb, does) in VERBS {
            assert!(all.contains(verb) && all.contains(does), "{verb} in {all}");
        }
    }
    for (verb, does) in VERBS {
        let one = run(&[verb, "--help"]).ok().silent().stdout_has(does).stdout_has("<FOLDER>").text();
        assert!(one.contains("Mail folder"), "{one}");
        assert_eq!(run(&["help", verb]).ok().text(), one);
    }
}

#[test]
fn without_a_verb_the_help_is_shown_as_an_error() {
    run(&[]).fails_with(2).stdout("").stderr_has("Usage: maildex");
}

#[test]
fn the_version_is_told() {
    for option in ["--version", "-V"] {
        run(&[option]).ok().silent().stdout(format!("maildex {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_report_begins_with_what_the_program_is() {
    let about = run(&["--version", "--verbose"]).ok().silent().text();
    assert_eq!(run(&["--verbose", "--version"]).ok().silent().text(), about);
    let mut lines = about.lines();
    assert_eq!(lines.next(), Some(concat!("maildex ", env!("CARGO_PKG_VERSION"))));
    let names: Vec<_> = lines.clone().map(|line| line.split_once(": ").expect("a name").0).collect();
    assert_eq!(names, ["format", "features", "commit", "target", "profile", "compiler"], "{about}");
    let has = |text: &str| assert!(lines.clone().any(|line| line.starts_with(text)), "{text} is not in {about}");
    has("format: 1");
    // Of the program that is tested.
    has("features: cli generate failpoints");
    has(&format!("target: {}-", std::env::consts::ARCH));
    has("compiler: rustc 1.");
    run(&["--verbose"]).fails_with(2);
    run(&["--verbose", "list", "x"]).fails_with(2).stderr_has("--verbose");
    assert!(run(&["--help"]).ok().text().contains("maildex --version --verbose"));
}

#[test]
fn what_is_not_known_is_wrong_usage_and_named() {
    run(&["frobnicate", "x"]).fails_with(2).stdout("").stderr_has("frobnicate");
    for (verb, _) in VERBS {
        // A mail server would take 2 for the end of a mail.
        let wrong = if *verb == "deliver" { 75 } else { 2 };
        run(&[verb]).fails_with(wrong).stdout("").stderr_has("<FOLDER>");
        run(&[verb, "x", "--frobnicate"]).fails_with(wrong).stdout("").stderr_has("--frobnicate");
    }
    for wait in ["soon", "-1", "1d", ""] {
        run(&["build", "x", &format!("--wait={wait}")]).fails_with(2).stderr_has("expected seconds");
    }
    run(&["list", "x", "--limit", "-1"]).fails_with(2);
    run(&["list", "x", "--limit", "many"]).fails_with(2).stderr_has("many");
}

#[test]
fn other_names_of_a_verb_do_the_same() {
    let mail = Mailbox::new().messages(2);
    mail.run(["index"]).ok().silent();
    mail.run(["update"]).ok().silent();
    let list = mail.run(["list"]).ok().text();
    for alias in ["ls", "search"] {
        mail.run([alias]).ok().stdout(&list);
    }
    mail.assert_sound();
}

#[test]
fn quiet_may_stand_anywhere_and_hushes_notes_but_no_errors() {
    let mail = Mailbox::new().messages(1);
    std::fs::create_dir(mail.file("cur/directory")).expect("a directory");
    mail.run(["build"]).ok().stderr_has("left alone");
    mail.run(["build", "--quiet"]).ok().silent();
    mail.finish(Command::new(maildex()).args(["-q", "build"]).arg(mail.path())).ok().silent();
    mail.deliver("new/1.host", self::mail("twin"));
    mail.run(["build", "-q"]).fails_with(4).stderr_has("not indexed");
    mail.run(["show", "-q", "99"]).fails_with(4).stderr_has("no message with UID 99");
    mail.assert_sound();
}

#[test]
fn a_folder_may_be_named_in_any_way() {
    let mail = Mailbox::new().messages(1);
    let odd = mail.path().with_file_name("in \u{7}box\n'");
    std::os::unix::fs::symlink(mail.path(), &odd).expect("a symlink");
    let inside = |folder: &str, verb: &str| {
        let mut command = Command::new(maildex());
        mail.finish(command.current_dir(mail.path()).args([verb, folder]))
    };
    for folder in [".", "./", "../inbox", "cur/.."] {
        inside(folder, "build").ok().silent();
        inside(folder, "count").ok().silent().stdout("1\n");
    }
    mail.finish(Command::new(maildex()).arg("list").arg(&odd)).ok().stdout_has("mail 1");
    mail.remove("maildex.offsets");
    mail.remove("maildex.index.1");
    let run = mail.finish(Command::new(maildex()).arg("list").arg(&odd)).fails_with(3).stderr_has("in \\u{7}box\\n'");
    assert_eq!(run.errors().lines().count(), 2, "{run}");
}

#[test]
fn no_verb_touches_the_mail_or_the_files_of_others() {
    let mail = Mailbox::new().messages(2).message("new/3.host", mail("mail 3")).message("cur/4:1,odd", "");
    for name in ["dovecot-uidlist", ".mbsyncstate", "maildirfolder", "tmp/5.host"] {
        std::fs::write(mail.file(name), "not ours").expect("write");
    }
    let names = ["cur/1.host:2,", "cur/2.host:2,", "new/3.host", "cur/4:1,odd"];
    let others = ["dovecot-uidlist", ".mbsyncstate", "maildirfolder", "tmp/5.host"];
    let look = || {
        let look = |name: &&str| {
            let meta = std::fs::metadata(mail.file(name)).expect("it is there");
            (std::fs::read(mail.file(name)).expect("read"), meta.modified().expect("mtime"), meta.permissions())
        };
        names.iter().chain(&others).map(look).collect::<Vec<_>>()
    };
    let before = look();
    let runs = ["build", "build --full --accept-removals", "list --json", "count", "show 1:*", "cat 1:*", "check"];
    for arguments in runs {
        mail.run(arguments.split(' ')).ok();
        assert!(look() == before, "{arguments}");
        mail.assert_files(names);
    }
    let root = std::fs::read_dir(mail.path()).expect("read").count();
    assert_eq!(root, 3 + 3 + 2, "cur, new, tmp; files of others; maildex.offsets and maildex.index.1");
}
