//! `maildex count`; what its queries mean is tested with `list`, of which it is the number.

use crate::mailbox::{Mailbox, mail};

#[test]
fn count_is_a_number_and_a_newline() {
    let mail = Mailbox::new().messages(3).message("new/4.host", mail("mail 4"));
    mail.run(["build"]).ok();
    mail.run(["count"]).ok().silent().stdout("4\n");
    mail.run(["count", "new"]).ok().silent().stdout("1\n");
    mail.run(["count", "seen"]).ok().silent().stdout("0\n");
    mail.assert_sound();
}

#[test]
fn what_changed_since_is_counted() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.rename("cur/1.host:2,", "cur/1.host:2,S");
    mail.remove("cur/2.host:2,");
    mail.deliver("new/4.host", self::mail("mail 4"));
    mail.run(["count", "--no-refresh", "unseen"]).ok().silent().stdout("3\n");
    mail.run(["count", "unseen"]).ok().silent().stdout("2\n");
    mail.assert_sound();
}
