//! neomutt on a terminal, with keys that are pushed. While it has the folder open, with changes that it has not written
//! yet, maildex is at work there: from one shell escape of neomutt's to its end. (If mail changes while it writes neomutt
//! stops, and drops the keys that follow; so at other moments nothing could be told beforehand.)

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::*;

/// A command for a shell escape that lasts until a file is there, and says by another one that it has begun.
fn pause(home: &Path) -> String {
    let file = home.join("pause");
    let text = format!("cd {}; > begun; until [ -e ended ]; do sleep 0.01; done; rm begun; rm ended\n", home.display());
    fs::write(&file, text).expect("write");
    format!("<shell-escape>sh {}<enter>", file.display())
}

/// Lets it go on to the next one.
fn next_pause(home: &Path) {
    let begun = Instant::now();
    fs::write(home.join("ended"), "").expect("write");
    // The first one removes both files, the second one makes the first again.
    while home.join("ended").exists() || !home.join("begun").exists() {
        assert!(begun.elapsed() < PATIENCE, "neomutt does not come to the next shell escape");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Does something between beginning and end of that.
fn in_pause<T>(home: &Path, neomutt: impl FnOnce() + Send, act: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let neomutt = scope.spawn(neomutt);
        let begun = Instant::now();
        while !home.join("begun").exists() {
            assert!(begun.elapsed() < PATIENCE && !neomutt.is_finished(), "neomutt does not come to the shell escape");
            thread::sleep(Duration::from_millis(2));
        }
        let done = act();
        fs::write(home.join("ended"), "").expect("write");
        neomutt.join().expect("neomutt");
        done
    })
}

/// A session on a terminal, with a configuration of its own.
fn session(inbox: &Path, keys: &str) {
    let home = inbox.parent().expect("it has one");
    let config = home.join("muttrc");
    let text = format!(
        "set folder={}\nset mbox_type=Maildir\nset record=''\nset confirmappend=no\nset delete=yes\nset quit=yes\n\
         set mark_old=no\nset beep=no\nset trash=''\nset move=no\nset wait_key=no\nset sort=subject\n",
        home.display()
    );
    fs::write(&config, text).expect("write its configuration");
    let line = format!("neomutt -n -F {} -f {} -e 'push \"{keys}\"'", config.display(), inbox.display());
    run(Command::new("timeout")
        .args(["300", "script", "-qec", &line, "/dev/null"])
        .env("HOME", home)
        .env("TERM", "xterm"));
}

/// Writes the folder and ends. The first one that finds the folder changed only says so.
fn end() -> String {
    "<sync-mailbox>".repeat(3) + &"<quit>".repeat(3)
}

/// `NeoMutt` marks what it has seen go as deleted, and when it writes the folder it unlinks whatever has that name by then.
#[test]
fn what_is_moved_away_and_back_outlives_neomutt() {
    if !has(&["neomutt", "script", "timeout"], "neomutt bsdutils") {
        return;
    }
    let mut shared = Shared::with(3);
    let (home, inbox, other) = (shared.home(), shared.mail.path(), Mailbox::new());
    let ours = |from: &Mailbox, to: &Mailbox, uid: &str| {
        let mut command = Command::new(crate::mailbox::maildex());
        from.finish(command.arg("move").args([from.path(), to.path()]).arg(uid)).ok();
    };
    let pause = pause(&home);
    // It looks at the folder in between.
    let keys = pause.clone() + "<first-entry><last-entry>" + &pause + &end();
    in_pause(
        &home,
        || session(&inbox, &keys),
        || {
            ours(&shared.mail, &other, "2");
            other.run(["build"]).ok();
            next_pause(&home);
            ours(&other, &shared.mail, "1");
        },
    );
    shared.uids.remove(&id(2)); // it is another mail now
    shared.is_true("a move there and back");
}

#[test]
fn neomutt_reads_flags_deletes_and_saves() {
    if !has(&["neomutt", "script", "timeout"], "neomutt bsdutils") {
        return;
    }
    let first = Mailbox::new().messages(6);
    let mut shared = Shared::of(first.message("new/7.host", mail("mail 7")).message("new/8.host", mail("mail 8")));
    let home = shared.home();
    let saved = Mailbox::new();
    let inbox = shared.mail.path();
    let mutt = |keys: &str| session(&inbox, keys);
    // By their subjects: other mail comes and goes.
    let tagged = |pattern: &str, action: &str| {
        format!(
            "<untag-pattern>.<enter><tag-pattern>~s mail.{pattern}$<enter><tag-prefix>{action}<untag-pattern>.<enter>"
        )
    };
    let end = end();
    let pause = pause(&home);
    let keys = tagged("[1-7]", "<flag-message>") + &tagged("[23]", "<set-flag>r") + &pause + &end;
    let worked = in_pause(&home, || mutt(&keys), || Work { name: "one", flagged: "" }.beside(&shared.mail, || ()).1);
    shared.truth.extend(worked.mails);
    shared.letters(1..8, "F", "");
    shared.letters([2, 3], "RS", ""); // to mutt what was answered has been read
    shared.is_true("flagging");
    let keys = tagged("5", "<clear-flag>N") + &tagged("8", "<delete-message>") + &pause + &end;
    let worked = in_pause(&home, || mutt(&keys), || Work { name: "two", flagged: "6" }.beside(&shared.mail, || ()).1);
    shared.truth.extend(worked.mails);
    shared.letters([5], "S", "");
    shared.gone([8]);
    shared.is_true("deleting");
    let save = format!("<save-message>{}<enter>", saved.path().display());
    let keys = tagged("4", &save) + &pause + &end;
    let worked = in_pause(&home, || mutt(&keys), || Work { name: "three", flagged: "" }.beside(&shared.mail, || ()).1);
    shared.truth.extend(worked.mails.clone());
    shared.gone([4]);
    shared.is_true("saving");
    assert_eq!(saved.mails().len(), 1);
    let what = "flag, set-flag, clear-flag, delete, save to another folder, quit; three sessions";
    told(&version("neomutt", "-v"), what, &worked);
}
