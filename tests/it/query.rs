//! The query language, as people and scripts meet it.

use std::collections::BTreeSet;
use std::process::Command;

use maildex::query::parse::KEYS;

use crate::mailbox::{Mailbox, Run, maildex};

/// UIDs that a query means, by `list` with the words as arguments of their own, and by `count`, which must agree.
#[track_caller]
fn uids(mail: &Mailbox, words: &[&str]) -> Vec<u32> {
    let run = mail.run([&["list"], words, &["--uids"]].concat()).ok().silent();
    let uids: Vec<u32> = run.text().lines().map(|line| line.parse().expect("a UID")).collect();
    mail.run([&["count", "--no-refresh"], words].concat()).ok().stdout(format!("{}\n", uids.len()));
    uids
}

/// Texts that shells and parsers take for something else.
const ODD: [&str; 20] = [
    "a or all",
    "\"",
    "-x",
    "(",
    "\n",
    "--json",
    "-",
    "--",
    "all)",
    "\\",
    "\\\"",
    "'",
    "*",
    "1:3",
    "\u{1}",
    "--sort=size",
    "-0",
    "$HOME",
    "%",
    "\t",
];

/// One mail for each odd text, which has it in its subject.
fn odd_mails() -> Mailbox {
    ODD.iter().enumerate().fold(Mailbox::new(), |mail, (n, text)| {
        let hex = text.bytes().fold(String::new(), |hex, byte| format!("{hex}={byte:02X}"));
        mail.message(format!("cur/{n:02}.host:2,"), format!("Subject: <=?utf-8?q?{hex}?=>\n\nx\n"))
    })
}

#[test]
fn a_text_is_matched_literally_whatever_it_is() {
    let mail = odd_mails();
    mail.run(["build"]).ok();
    for text in ODD {
        // Blanks of a header field are one space.
        let blank = |text: &str| text.replace('\t', " ");
        let has = |odd: &&str| blank(odd).contains(&blank(text));
        let meant: Vec<u32> = (1..).zip(&ODD).filter(|(_, odd)| has(odd)).map(|(uid, _)| uid).collect();
        assert!(!meant.is_empty());
        assert_eq!(uids(&mail, &["subject", text]), meant, "{text:?}");
        assert_eq!(uids(&mail, &["old", "not", "subject", text]).len(), ODD.len() - meant.len(), "{text:?}");
        assert_eq!(uids(&mail, &["or", "subject", text, "header", "Subject", text]), meant, "{text:?}");
        let flagged = mail.run(["flag", "+F", "--dry-run", "--query", "subject", text]).ok().text();
        assert_eq!(flagged.lines().count(), meant.len(), "{text:?}: {flagged}");
    }
    // Empty: whoever has the field.
    assert_eq!(uids(&mail, &["subject", ""]).len(), ODD.len());
    assert!(uids(&mail, &["from", ""]).is_empty());
    mail.assert_sound();
}

#[test]
fn options_may_stand_around_a_query() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.run(["list", "--sort", "size", "subject", "mail 2", "--uids"]).ok().stdout("2\n");
    mail.run(["list", "subject", "mail", "--limit", "1", "--uids", "unseen"]).ok().stdout("1\n");
    mail.run(["list", "--uids", "--", "subject", "-x"]).ok().stdout("");
    mail.run(["list", "subject", "-x", "--uids"]).ok().stdout("");
    mail.run(["list", "--uids", "--limit=1", "header", "-x", "-y"]).ok().stdout("");
    let before = |arguments: &[&str]| {
        let mut command = Command::new(maildex());
        mail.finish(command.args(arguments).arg(mail.path()).args(["subject", "--quiet"]))
    };
    before(&["-q", "list", "--uids"]).ok().stdout("");
    before(&["search", "--limit", "2"]).ok().stdout("");
    mail.run(["list", "unseen", "--frobnicate"]).fails_with(2).stderr_has("--frobnicate");
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_a_way_out() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let wrong = |words: &[&str]| -> Run { mail.run([&["list"], words].concat()).fails_with(2).stdout("") };
    wrong(&["unseen", "frmo", "x"])
        .stderr_has("maildex: query: word 2: found \"frmo\", expected a UID set or a search key\n")
        .stderr_has("hint: did you mean from?");
    wrong(&["seen or flagged"]).stderr_has("word 2: found \"or\"").stderr_has("hint: or comes before its two keys");
    wrong(&["(seen"]).stderr_has("expected a closing parenthesis");
    wrong(&["before", "soon"]).stderr_has("word 2: found \"soon\", expected a date such as");
    wrong(&["subject"]).stderr_has("expected a text after it");
    wrong(&["meeting"]).stderr_has("maildex help query");
    mail.run(["count", "larger", "1T"]).fails_with(2).stderr_has("a size");
    mail.run(["flag", "+S", "--query", "nothing"]).fails_with(2).stderr_has("word 1");
    // A variable that was never set does not mean all mail.
    mail.run(["flag", "+T", "--query", ""]).fails_with(2).stderr_has("--query is empty");
    mail.assert_files(["cur/1.host:2,"]);
    // Who leaves the folder out.
    let run = mail.finish(Command::new(maildex()).args(["list", "from", "ann"]).current_dir(mail.path()));
    run.fails_with(2).stderr_has("hint: FOLDER comes first: maildex list FOLDER from");
}

#[test]
fn the_help_has_every_key_and_the_page_says_the_same() {
    let run = |arguments: &[&str]| Mailbox::new().finish(Command::new(maildex()).args(arguments)).ok().silent().text();
    let help = run(&["help", "query"]);
    assert_eq!(run(&["query"]), help);
    assert!(help.lines().all(|line| line.len() < 80 || line.contains("    maildex ")), "{help}");
    let words: BTreeSet<&str> = help.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/maildex-query.7")).expect("a page");
    for key in KEYS {
        assert!(words.contains(key), "{key} is not in the help");
        assert!(page.contains(key), "{key} is not in the page");
    }
    // All that is said, in the same order.
    let bare = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let plain = page.replace("\\fB", "").replace("\\fR", "").replace(".SS ", "").replace(".TP", "").replace(".PP", "");
    let plain = bare(&plain.replace("\\(aq", "").replace("\\*(Aq", "").replace("\\e", ""));
    let before_examples = help.split("\nExamples:").next().expect("a text");
    for paragraph in before_examples.split("\n\n") {
        for line in paragraph.lines() {
            assert!(plain.contains(&bare(line)), "{line} is not in the page");
        }
    }
    assert!(run(&["--help"]).contains("maildex help query"));
}
