//! notmuch with `maildir.synchronize_flags`: tags are flags, both ways.

use super::*;

/// What the README tells notmuch of our files.
fn ignored() -> String {
    let readme = include_str!("../../../README.md");
    let line = readme.lines().find_map(|line| line.strip_prefix("notmuch config set new.ignore "));
    line.expect("the README has it").trim_matches('\'').to_string()
}

#[test]
fn notmuch_tags_become_flags_and_flags_tags() {
    if !has(&["notmuch"], "notmuch") {
        return;
    }
    let mut shared = Shared::of(Mailbox::new().messages(9).message("new/10.host", mail("mail 10")));
    let (home, elsewhere) = (shared.home(), Mailbox::new());
    let config = elsewhere.file("notmuch-config");
    let text = format!(
        "[database]\npath={}\n[user]\nname=A\nprimary_email=a@example.org\n[new]\ntags=unread;inbox\n[maildir]\nsynchronize_flags=true\n",
        home.display()
    );
    std::fs::write(&config, text).expect("write its configuration");
    let notmuch = |arguments: &[&str]| {
        let mut command = Command::new("notmuch");
        command.args(arguments).env("NOTMUCH_CONFIG", &config).env("HOME", &home);
        command
    };
    // Without being told it says of each of our files that it is no mail, and goes on.
    let output = ended(&mut notmuch(&["new"]));
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("non-mail file") && said.contains("maildex.offsets"), "{said}");
    run(&mut notmuch(&["config", "set", "new.ignore", &ignored()]));
    let said = run(&mut notmuch(&["new", "--full-scan"]));
    assert!(!said.contains("non-mail"), "{said}");
    shared.is_true("notmuch new");
    let ((), worked) = shared.meanwhile(Work { name: "work", flagged: "" }, |_| {
        for tags in [&["-unread"][..], &["+flagged"], &["+replied", "-flagged"], &["+unread", "+draft"]] {
            run(&mut notmuch(&[&["tag"], tags, &["--", "subject:mail"]].concat()));
            // What comes and goes while it looks it tells, and meets again the next time.
            ended(&mut notmuch(&["new", "--quiet"]));
        }
    });
    shared.letters(1..11, "DR", "");
    shared.is_true("notmuch tag");
    let said = run(&mut notmuch(&["new", "--full-scan"]));
    assert!(!said.contains("non-mail"), "{said}");
    shared.is_true("notmuch new");
    // And what maildex has set are tags there.
    let count = |query: &str| {
        let text = run(&mut notmuch(&["count", "--exclude=false", query]));
        text.trim().parse::<usize>().expect("a number")
    };
    let having = |letter: char| shared.truth.values().filter(|letters| letters.contains(letter)).count();
    assert_eq!(count("*"), shared.truth.len());
    assert_eq!((count("tag:flagged"), count("tag:draft")), (having('F'), having('D')));
    assert!(having('F') > 0);
    told(&version("notmuch", "--version"), "new, tag, with synchronize_flags", &worked);
}
