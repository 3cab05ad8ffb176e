//! neomutt on a terminal, with keys that are pushed.

use super::*;

#[test]
fn neomutt_reads_flags_deletes_and_saves() {
    if !has(&["neomutt", "script", "timeout"], "neomutt bsdutils") {
        return;
    }
    let first = Mailbox::new().messages(6);
    let mut shared = Shared::of(first.message("new/7.host", mail("mail 7")).message("new/8.host", mail("mail 8")));
    let home = shared.home();
    let saved = Mailbox::new();
    let config = home.join("muttrc");
    let text = format!(
        "set folder={}\nset mbox_type=Maildir\nset record=''\nset confirmappend=no\nset delete=yes\nset quit=yes\n\
         set mark_old=no\nset beep=no\nset trash=''\nset move=no\nset wait_key=no\nset sort=subject\nset pager_stop=yes\n",
        home.display()
    );
    std::fs::write(&config, text).expect("write its configuration");
    let mutt = |mail: &Mailbox, keys: &str| {
        let line = format!("neomutt -n -F {} -f {} -e 'push \"{keys}\"'", config.display(), mail.path().display());
        run(Command::new("timeout")
            .args(["60", "script", "-qec", &line, "/dev/null"])
            .env("HOME", &home)
            .env("TERM", "xterm"))
    };
    // By their subjects: others come and go meanwhile.
    let tagged = |pattern: &str, action: &str| {
        format!(
            "<untag-pattern>.<enter><tag-pattern>~s mail.{pattern}$<enter><tag-prefix>{action}<untag-pattern>.<enter>"
        )
    };
    let (sync, save) = ("<sync-mailbox>", format!("<save-message>{}<enter>", saved.path().display()));
    let ((), worked) = shared.meanwhile(Work { name: "work", flagged: "" }, |mail| {
        let keys = tagged("[1-7]", "<flag-message>") + &tagged("[23]", "<set-flag>r") + sync;
        mutt(mail, &format!("{keys}<quit>"));
        let keys = tagged("5", "<clear-flag>N") + sync + &tagged("8", "<delete-message>") + sync;
        mutt(mail, &format!("{keys}<quit>"));
        mutt(mail, &format!("{}{sync}<quit>", tagged("4", &save)));
    });
    shared.letters(1..8, "F", "");
    shared.letters([2, 3], "RS", ""); // to mutt what was answered has been read
    shared.letters([5], "S", "");
    shared.gone([4, 8]);
    shared.is_true("neomutt");
    assert_eq!(saved.mails().len(), 1);
    told(&version("neomutt", "-v"), "flag, set-flag, clear-flag, delete, save to another folder, quit", &worked);
}
