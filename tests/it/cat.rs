//! `maildex cat`: the raw bytes, whatever the file is called by now.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::mailbox::{Mailbox, mail};

#[test]
fn mails_come_byte_by_byte_in_the_order_in_which_they_are_named() {
    let odd: Vec<u8> = (0..=255).chain(*b"\r\n\0no newline at the end").collect();
    let large = "0123456789abcdef".repeat(40_000);
    let mail = Mailbox::new().message("cur/1:2,", &odd).message("cur/2:2,S", &large).message("cur/3", "");
    mail.run(["build"]).ok();
    mail.run(["cat", "1"]).ok().silent().stdout(&odd);
    mail.run(["cat", "2", "1", "3", "1"]).ok().silent().stdout([large.as_bytes(), &odd, &odd].concat());
    mail.run(["cat", "1:*"]).ok().silent().stdout([&odd, large.as_bytes()].concat());
    mail.assert_sound();
}

#[test]
fn a_mail_renamed_since_the_refresh_is_found() {
    let mail = Mailbox::new().messages(2).message("new/3.host", mail("mail 3"));
    mail.run(["build"]).ok();
    mail.rename("cur/1.host:2,", "cur/1.host:2,RS");
    mail.rename("new/3.host", "cur/3.host:2,odd");
    let both = [self::mail("mail 3"), self::mail("mail 1")].concat();
    mail.run(["cat", "--no-refresh", "3", "1"]).ok().silent().stdout(&both);
    mail.run(["cat", "3", "1"]).ok().silent().stdout(&both);
    mail.assert_sound();
}

#[test]
fn mails_with_odd_names_are_found() {
    let names: [&[u8]; 4] = [b"cur/1:2,SF", b"cur/2\xff\n:1,x", b"cur/3;2,S", b"new/4:2,F"];
    let mail = names.iter().fold(Mailbox::new(), |mail, name| mail.message(OsStr::from_bytes(name), name));
    mail.run(["build"]).ok();
    mail.run(["cat", "1:4"]).ok().silent().stdout(names.concat());
    mail.assert_sound();
}

#[test]
fn a_mail_that_is_gone_is_named_and_the_rest_is_printed() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.remove("cur/2.host:2,");
    let rest = [self::mail("mail 1"), self::mail("mail 3")].concat();
    mail.run(["cat", "--no-refresh", "1:3"])
        .fails_with(4)
        .stdout(&rest)
        .stderr_has("no message with the base name 2.host");
    mail.run(["cat", "1", "2", "3"]).fails_with(4).stdout(&rest).stderr_has("no message with UID 2");
    mail.assert_sound();
}

#[test]
fn another_file_under_the_name_is_not_followed() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.remove("cur/1.host:2,");
    std::os::unix::fs::symlink("/etc/hostname", mail.file("cur/1.host:2,")).expect("a symlink");
    mail.run(["cat", "--no-refresh", "1", "2"]).fails_with(4).stdout(self::mail("mail 2")).stderr_has("1.host:2,");
    mail.assert_sound();
}

#[test]
fn another_mail_under_the_name_is_not_taken_for_the_one_that_was_indexed() {
    let mail = Mailbox::new().message("cur/1.host:2,", self::mail("mail 1"));
    mail.run(["build"]).ok();
    mail.remove("cur/1.host:2,");
    mail.deliver("new/1.host", self::mail("quite another mail"));
    mail.run(["cat", "--no-refresh", "1"]).fails_with(4).stdout("").stderr_has("is not the mail that was indexed");
    mail.run(["cat", "2"]).ok().stdout(self::mail("quite another mail"));
    mail.assert_sound();
}

#[test]
fn of_two_files_with_one_base_name_the_indexed_one_is_printed() {
    let mail = Mailbox::new().message("cur/1.host:2,SF", self::mail("the first"));
    mail.run(["build"]).ok();
    for flags in ["AT", "TA", "ZZ"] {
        mail.deliver(format!("cur/1.host:2,{flags}"), self::mail("the second"));
    }
    mail.run(["cat", "--no-refresh", "1"]).ok().stdout(self::mail("the first"));
    let path = format!("{}\n", mail.file("cur/1.host:2,SF").display());
    mail.run(["list", "--no-refresh", "--paths"]).ok().stdout(path);
}
