//! `maildex inc`: from new/ to cur/, without a flag.

use crate::mailbox::{Mailbox, mail};

#[test]
fn new_mail_is_taken_up_without_a_flag() {
    let mail = Mailbox::new().messages(1).message("new/2.host", self::mail("mail 2"));
    mail.run(["build"]).ok();
    mail.deliver("new/3.host:2,F", self::mail("mail 3"));
    mail.deliver("new/4.host;2,S", self::mail("mail 4"));
    mail.deliver("new/5.host:1,x", self::mail("mail 5"));
    let expected = ["cur/2.host:2,", "cur/3.host:2,F", "cur/4.host;2,S", "cur/5.host:1,x"];
    let lines = (2..)
        .zip(expected)
        .fold(String::new(), |lines, (uid, name)| format!("{lines}{uid}\t{}\n", mail.file(name).display()));
    mail.run(["inc"]).ok().silent().stdout(lines);
    mail.assert_files(["cur/1.host:2,"].into_iter().chain(expected));
    mail.run(["list", "--uids", "--no-refresh", "new"]).ok().stdout("");
    mail.run(["inc"]).ok().silent().stdout("");
    mail.assert_sound();
}

#[test]
fn a_name_that_is_taken_is_told_and_nothing_is_replaced() {
    let mail = Mailbox::new().message("new/1.host", self::mail("new")).message("new/2.host", self::mail("mail 2"));
    mail.run(["build"]).ok();
    mail.deliver("cur/1.host:2,", self::mail("old"));
    let run = mail.run(["inc"]).fails_with(4).stdout(format!("2\t{}\n", mail.file("cur/2.host:2,").display()));
    run.stderr_has("is there already");
    mail.assert_files(["new/1.host", "cur/1.host:2,", "cur/2.host:2,"]);
}

#[test]
fn json_has_the_keys_of_every_verb() {
    let mail = Mailbox::new().message("new/1.host", self::mail("mail 1"));
    mail.run(["build"]).ok();
    let run = mail.run(["inc", "--json"]).ok();
    let record = &run.json()[0];
    assert_eq!((record["v"].as_u64(), record["uid"].as_u64()), (Some(1), Some(1)), "{run}");
    assert_eq!((record["event"].as_str(), record["dir"].as_str()), (Some("moved"), Some("cur")), "{run}");
    assert_eq!(record["path"].as_str(), mail.file("cur/1.host:2,").to_str(), "{run}");
    mail.assert_sound();
}
