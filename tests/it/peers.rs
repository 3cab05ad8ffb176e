//! Other mail programs at work beside `maildex watch`: after each pause the index shows what an oracle reads from the file
//! names, without a refresh by anybody but the watcher.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::mailbox::{Mailbox, installed, mail, skipped};
use crate::oracle;
use crate::watching::{PATIENCE, Watching};

/// Whether a peer is there; says loudly if not.
fn has(programs: &[&str], package: &str) -> bool {
    let there = programs.iter().all(|program| installed(program));
    if !there {
        skipped(&format!("{package} beside watch"), &format!("install {package}"));
    }
    there
}

/// The watcher has taken up what the folder is, and the oracle agrees.
#[track_caller]
fn agrees(mail: &Mailbox, watch: &Watching, after: &str) {
    let begun = Instant::now();
    loop {
        let listed = oracle::listed(mail, &mail.run(["list", "--json", "--no-refresh"]).ok());
        match oracle::is_the_folder(mail, &listed) {
            Ok(()) => break,
            Err(why) => assert!(begun.elapsed() < PATIENCE, "after {after}: {why}\nstderr: {}", watch.errors()),
        }
    }
    assert_eq!(watch.errors(), "", "after {after}");
    mail.assert_sound();
}

#[track_caller]
fn run(command: &mut Command) {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
}

/// Paths of the mails whose names begin like this.
fn paths(mail: &Mailbox, begins: &str) -> Vec<PathBuf> {
    let fits = |path: &std::ffi::OsString| path.to_str().is_some_and(|path| path.starts_with(begins));
    mail.mails().into_iter().filter(fits).map(|path| mail.file(path)).collect()
}

#[test]
fn mblaze_flags_refiles_and_takes_mail_up() {
    if !has(&["mflag", "mrefile", "minc"], "mblaze") {
        return;
    }
    let (mail, other) = (Mailbox::new().messages(9), Mailbox::new());
    mail.run(["build"]).ok();
    let watch = Watching::from_now(&mail);
    for n in 10..15 {
        mail.deliver(format!("new/{n}.host"), self::mail(&format!("mail {n}")));
    }
    agrees(&mail, &watch, "deliveries");
    run(Command::new("minc").arg("-q").arg(mail.path()));
    assert!(paths(&mail, "new/").is_empty(), "minc has taken all up");
    agrees(&mail, &watch, "minc");
    for (option, letter) in [("-S", "S"), ("-F", "F"), ("-s", ""), ("-RT", "RT")] {
        run(Command::new("mflag").arg(option).args(paths(&mail, "cur/1")));
        assert!(paths(&mail, "cur/1").iter().any(|path| path.to_string_lossy().contains(letter)));
        agrees(&mail, &watch, &format!("mflag {option}"));
    }
    run(Command::new("mrefile").args(paths(&mail, "cur/1")).arg(other.path()));
    assert_eq!(other.mails().len(), 6, "1 and 10 to 14");
    agrees(&mail, &watch, "mrefile");
    let back = other.mails().into_iter().map(|path| other.file(path));
    run(Command::new("mrefile").args(back).arg(mail.path()));
    agrees(&mail, &watch, "mrefile back");
}

#[test]
fn notmuch_tags_become_flags() {
    if !has(&["notmuch"], "notmuch") {
        return;
    }
    let mail = Mailbox::new().messages(9).message("new/10.host", mail("mail 10"));
    mail.run(["build"]).ok();
    let watch = Watching::from_now(&mail);
    let home = mail.path().parent().expect("a home").to_path_buf();
    let config = home.join("notmuch-config");
    let text = format!(
        "[database]\npath={}\n[user]\nname=A\nprimary_email=a@example.org\n[new]\ntags=unread;inbox\nignore=/.*maildex.*/\n[maildir]\nsynchronize_flags=true\n",
        home.display()
    );
    fs::write(&config, text).expect("write its configuration");
    let notmuch = |arguments: &[&str]| {
        run(Command::new("notmuch").args(arguments).env("NOTMUCH_CONFIG", &config).env("HOME", &home));
    };
    notmuch(&["new", "--quiet"]);
    agrees(&mail, &watch, "notmuch new");
    for tags in [&["-unread"][..], &["+flagged"], &["+replied", "-flagged"], &["+unread", "+draft"]] {
        let arguments = [&["tag"], tags, &["--", "subject:mail"]].concat();
        notmuch(&arguments);
        agrees(&mail, &watch, &arguments.join(" "));
    }
    let flags: Vec<_> = oracle::on_disk(&mail).into_iter().map(|mail| mail.flags).collect();
    assert!(flags.len() == 10 && flags.iter().all(|flags| flags == "DR"), "{flags:?}");
}

#[test]
fn neomutt_reads_flags_and_deletes() {
    if !has(&["neomutt", "script"], "neomutt") {
        return;
    }
    let mail = Mailbox::new().messages(5).message("new/6.host", mail("mail 6")).message("new/7.host", mail("mail 7"));
    mail.run(["build"]).ok();
    let watch = Watching::from_now(&mail);
    let home = mail.path().parent().expect("a home").to_path_buf();
    let config = home.join("muttrc");
    let text = format!(
        "set folder={}\nset mbox_type=Maildir\nset record=''\nset confirmappend=no\nset delete=yes\nset quit=yes\n\
         set mark_old=no\nset beep=no\nset trash=''\nset move=no\nset wait_key=no\n",
        home.display()
    );
    fs::write(&config, text).expect("write its configuration");
    let mutt = |keys: &str| {
        let line = format!("neomutt -n -F {} -f {} -e 'push \"{keys}\"'", shell(&config), shell(&mail.path()));
        run(Command::new("timeout")
            .args(["60", "script", "-qec", &line, "/dev/null"])
            .env("HOME", &home)
            .env("TERM", "xterm"));
    };
    mutt(&format!("<first-entry>{}<sync-mailbox><quit>", "<flag-message>".repeat(7))); // each goes on to the next
    agrees(&mail, &watch, "flagging all");
    let flagged = oracle::on_disk(&mail).iter().filter(|mail| mail.flags.contains('F')).count();
    assert_eq!(flagged, 7);
    mutt("<first-entry><display-message><exit><next-entry><display-message><exit><sync-mailbox><quit>");
    agrees(&mail, &watch, "reading two");
    mutt("<last-entry><delete-message><sync-mailbox><quit>");
    agrees(&mail, &watch, "deleting one");
    assert_eq!(mail.mails().len(), 6);
}

/// A path that needs no quoting, as those of temporary directories do not.
fn shell(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}
