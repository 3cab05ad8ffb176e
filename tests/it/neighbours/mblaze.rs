//! mblaze: tools for a shell, as maildex is.

use super::*;

#[test]
fn mblaze_flags_refiles_and_takes_mail_up() {
    if !has(&["mflag", "mrefile", "minc"], "mblaze") {
        return;
    }
    let mut shared = Shared::with(9);
    let other = Mailbox::new();
    for n in 10..15 {
        shared.mail.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    shared.came((10..15).map(id));
    run(Command::new("minc").arg("-q").arg(shared.mail.path()));
    shared.is_true("minc");
    let ((), worked) = shared.meanwhile(Work { name: "work", flagged: "2:9" }, |mail| {
        for option in ["-S", "-F", "-s", "-RT"] {
            // It may lose a race for new mail to maildex, and says so.
            let output = ended(Command::new("minc").arg("-q").arg(mail.path()));
            assert!(!String::from_utf8_lossy(&output.stderr).contains("maildex."));
            run(Command::new("mflag").arg(option).args(paths(mail, "cur/1.")).args(paths(mail, "cur/10.")));
        }
        run(Command::new("mrefile").args(paths(mail, "cur/11.")).args(paths(mail, "cur/12.")).arg(other.path()));
    });
    shared.letters([1, 10], "FRT", "");
    shared.letters(2..10, "F", "");
    shared.gone([11, 12]);
    shared.is_true("mblaze");
    assert_eq!(other.mails().len(), 2);
    run(Command::new("minc").arg("-q").arg(shared.mail.path()));
    assert!(paths(&shared.mail, "new/").is_empty(), "minc has taken all up");
    shared.is_true("minc");
    let back = other.mails().into_iter().map(|path| other.file(path));
    run(Command::new("mrefile").args(back).arg(shared.mail.path()));
    // They may have been known before they were taken away: then they have come anew.
    shared.came([id(11), id(12)]);
    shared.is_true("mrefile back");
    let listed = run(Command::new("mlist").arg(shared.mail.path()));
    assert_eq!(listed.lines().count(), shared.truth.len(), "mlist finds mail, and nothing else: {listed}");
    told(&package_version("mblaze"), "minc, mflag, mrefile to another folder and back, mlist", &worked);
}
