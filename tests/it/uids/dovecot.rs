//! The same numbers in Dovecot itself, where it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::{list, put};
use crate::mailbox::{Mailbox, installed, mail, skipped};

/// Dovecot wants nothing to do with root's mail.
const NOBODY: u32 = 65534;

/// A Dovecot that has one mailbox.
struct Dovecot<'m> {
    mailbox: &'m Mailbox,
}

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    for entry in fs::read_dir(path).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { give_away(&path) } else { chown(path, Some(NOBODY), Some(NOBODY)).expect("chown") }
    }
}

impl Dovecot<'_> {
    /// `None`, said loudly, where it is not installed.
    fn beside(mailbox: &Mailbox) -> Option<Dovecot<'_>> {
        if !installed("doveadm") {
            skipped("the same UIDs in Dovecot", "install dovecot-core");
            return None;
        }
        let home = mailbox.path().parent().expect("a directory").to_path_buf();
        fs::create_dir(home.join("run")).expect("mkdir");
        let text = format!(
            "base_dir = {0}/run\nstate_dir = {0}/run\nlog_path = {0}/log\nmail_location = maildir:{1}\n\
             first_valid_uid = 1\nssl = no\n",
            home.display(),
            mailbox.path().display()
        );
        fs::write(home.join("dovecot.conf"), text).expect("write");
        Some(Dovecot { mailbox })
    }

    fn run(&self, arguments: &[&str]) -> String {
        let home = self.mailbox.path().parent().expect("a directory").to_path_buf();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            give_away(&home);
        }
        let mut command = Command::new(if is_root { "setpriv" } else { "doveadm" });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "doveadm"]);
        }
        command.arg("-c").arg(home.join("dovecot.conf")).args(arguments);
        command.current_dir(&home).env("HOME", &home).env("USER", "nobody");
        self.mailbox.finish(&mut command).ok().text()
    }

    /// UID and Message-ID of every mail.
    fn numbers(&self) -> BTreeMap<u64, String> {
        let text = self.run(&["-f", "tab", "fetch", "uid hdr.message-id", "mailbox", "INBOX", "all"]);
        let line = |line: &str| {
            let (uid, id) = line.split_once('\t').expect("two columns");
            (uid.parse().expect("a UID"), id.to_string())
        };
        text.lines().skip(1).map(line).collect()
    }

    /// A field of the mailbox.
    fn field(&self, name: &str) -> String {
        let text = self.run(&["-f", "tab", "mailbox", "status", name, "INBOX"]);
        let (names, values) = text.trim_end().split_once('\n').expect("two lines");
        let column = names.split('\t').zip(values.split('\t')).find(|at| at.0 == name);
        column.unwrap_or_else(|| panic!("{text}")).1.to_string()
    }

    /// UIDVALIDITY and UIDNEXT.
    fn status(&self) -> (u64, u64) {
        let number = |name| self.field(name).parse().expect("a number");
        (number("uidvalidity"), number("uidnext"))
    }
}

/// UID and Message-ID of every mail, as `list` has them.
fn numbers(mailbox: &Mailbox) -> BTreeMap<u64, String> {
    let records = mailbox.run(["list", "--json"]).ok().json();
    let text = |record: &serde_json::Value| record["message_id"].as_str().expect("an id").to_string();
    records.iter().map(|record| (record["uid"].as_u64().expect("a UID"), text(record))).collect()
}

/// UIDVALIDITY and UIDNEXT.
fn status(mailbox: &Mailbox) -> (u64, u64) {
    let json = &mailbox.run(["uids", "status", "--json"]).ok().json()[0];
    (json["uidvalidity"].as_u64().expect("a number"), json["uidnext"].as_u64().expect("a number"))
}

fn own_list(mailbox: &Mailbox) -> String {
    mailbox.file("dovecot-uidlist").to_str().expect("UTF-8").to_string()
}

#[track_caller]
fn agree(mailbox: &Mailbox, dovecot: &Dovecot<'_>, messages: usize) {
    let ours = numbers(mailbox);
    assert_eq!(ours, dovecot.numbers());
    assert_eq!(ours.len(), messages);
    mailbox
        .run(["uids", "status"])
        .ok()
        .stdout_has(&format!("dovecot-uidlist\t{messages} agree, 0 differ, 0 only here"));
}

/// Dovecot has numbered everything itself, differently. After an export it has our numbers, and goes on above them.
#[test]
fn dovecot_has_the_same_uids_after_an_export() {
    let mailbox = (1..=12).fold(Mailbox::new(), |mailbox, n| {
        let text = mail(&format!("mail {n}"));
        let place = if n % 3 == 0 { format!("new/{n}.host,S={}", text.len()) } else { format!("cur/{n}.host:2,S") };
        mailbox.message(place, text)
    });
    let Some(dovecot) = Dovecot::beside(&mailbox) else { return };
    assert_eq!(dovecot.numbers().len(), 12);
    let guid = dovecot.field("guid");
    // What another server's users knew the mail by: only the list has it.
    let own = fs::read_to_string(own_list(&mailbox)).expect("read");
    fs::write(own_list(&mailbox), own.replace(" :1.host\n", " Pof-old :1.host\n")).expect("write");
    let lines = [(4, "12.host,S=144"), (17, "2.host"), (30, "1.host"), (31, "gone")];
    let numbers = put(&mailbox, "numbers", list(100, &lines));
    mailbox.run(["uids", "import", &numbers]).ok();
    mailbox.remove("cur/5.host:2,S");
    mailbox.deliver("cur/13.host:2,F", mail("mail 13"));
    let run = mailbox.run(["uids", "export", &own_list(&mailbox)]).ok();
    run.stderr_has("and is 1000: mail programs fetch everything anew");
    agree(&mailbox, &dovecot, 12);
    assert_eq!((dovecot.status(), status(&mailbox)), ((1000, 110), (1000, 110)));
    assert_eq!(dovecot.field("guid"), guid);
    let fetch = ["-f", "tab", "fetch", "pop3.uidl", "mailbox", "INBOX", "uid", "30"];
    assert_eq!(dovecot.run(&fetch), "pop3.uidl\nof-old\n");
    // Flags change names, and nothing else.
    mailbox.run(["flag", "+F", "17"]).ok();
    dovecot.run(&["flags", "add", "\\Answered", "mailbox", "INBOX", "uid", "30"]);
    agree(&mailbox, &dovecot, 12);
    // The next one: here first, and by another export there.
    mailbox.deliver("new/14.host", mail("mail 14"));
    assert_eq!(self::numbers(&mailbox)[&110], "<mail.14@example.org>");
    mailbox.run(["uids", "export", &own_list(&mailbox)]).ok().silent();
    agree(&mailbox, &dovecot, 13);
    // And there first.
    mailbox.deliver("new/15.host", mail("mail 15"));
    assert_eq!(dovecot.numbers()[&111], "<mail.15@example.org>");
    mailbox.run(["uids", "import", &own_list(&mailbox)]).ok();
    agree(&mailbox, &dovecot, 14);
    mailbox.assert_sound();
}

/// Dovecot has numbered everything, and expunged some, the newest among them. An index that begins with its list has the
/// same numbers, and both go on above all that were ever given out.
#[test]
fn an_import_has_the_same_uids_as_dovecot() {
    let mailbox = (1..=9)
        .fold(Mailbox::new(), |mailbox, n| mailbox.message(format!("cur/{n}.host:2,"), mail(&format!("mail {n}"))));
    let Some(dovecot) = Dovecot::beside(&mailbox) else { return };
    dovecot.numbers();
    for n in 10..=20 {
        mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    assert_eq!(dovecot.numbers().len(), 20);
    for uid in ["2", "7", "19:20"] {
        dovecot.run(&["expunge", "mailbox", "INBOX", "uid", uid]);
    }
    mailbox.run(["uids", "import", &own_list(&mailbox)]).ok().silent();
    agree(&mailbox, &dovecot, 16);
    assert_eq!(dovecot.status(), status(&mailbox));
    assert_eq!(status(&mailbox).1, 21);
    mailbox.deliver("new/21.host", mail("mail 21"));
    let newest = Some((21, "<mail.21@example.org>".to_string()));
    assert_eq!((numbers(&mailbox).pop_last(), dovecot.numbers().pop_last()), (newest.clone(), newest));
    agree(&mailbox, &dovecot, 17);
    mailbox.assert_sound();
}
