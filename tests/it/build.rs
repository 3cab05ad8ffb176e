//! `maildex build`

use crate::mailbox::{Mailbox, mail};

#[test]
fn build_makes_an_index_and_a_second_one_finds_nothing_new() {
    let mail = Mailbox::new().messages(3).message("new/4.host", mail("mail 4"));
    mail.run(["build"]).ok().silent().stdout("");
    assert_eq!(
        mail.listed(),
        [(1, "cur/1.host:2,"), (2, "cur/2.host:2,"), (3, "cur/3.host:2,"), (4, "new/4.host")]
            .map(|(uid, path)| (uid, path.to_string()))
    );
    let again = mail.run(["build", "--json"]).ok().silent();
    assert_eq!((&again.json()[0]["added"], &again.json()[0]["messages"]), (&0.into(), &4.into()));
    mail.assert_sound();
}
