//! Every verb that writes (`verbs.rs`) where something is missing that is always there: the working directory, standard
//! input, output and errors, HOME.

use crate::mailbox::Mailbox;
use crate::tally::Tally;
use crate::trouble::{Excuse, Told, Tries, step, under};
use crate::verbs::ALL;

const WITHOUT: [(&str, &str); 6] = [
    ("a working directory", r#"mkdir gone && cd gone && rmdir ../gone && exec "$@""#),
    ("standard input", r#"exec "$@" <&-"#),
    ("standard output", r#"exec "$@" >&-"#),
    ("standard error", r#"exec "$@" 2>&-"#),
    ("any of the three", r#"exec "$@" <&- >&- 2>&-"#),
    ("HOME and the rest", r#"exec env -i ${MAILDEX_KILL_AT+KILL} F="$F" maildex="$maildex" PATH="$PATH" "$@""#),
];

#[test]
fn no_verb_needs_more_than_it_must() {
    let excuse = Excuse { not_begun: true, ..Excuse::default() };
    let mut tries = Tries::default();
    let step = step(WITHOUT.len(), 2);
    for (at, (_, sweep)) in ALL.iter().enumerate() {
        let expected = sweep.undisturbed_beside();
        for (what, script) in WITHOUT.iter().skip(at % step).step_by(step) {
            tries.one(sweep, &expected, excuse, |place| {
                let run = place.mailbox.finish(&mut under(place, sweep.command, &["sh", "-c", script, "sh"]));
                Told { run, trouble: format!("without {what}") }
            });
        }
    }
    assert!(tries.done > tries.told, "{} done, {} told", tries.done, tries.told);
    tries.end(Tally::Faults, "without what is always there");
}

/// A file of ours that got the number of a closed standard output would be written into.
#[test]
fn nothing_is_printed_into_our_files() {
    for script in [r#"exec "$@" >&-"#, r#"exec "$@" 2>&-"#, r#"exec "$@" <&- >&- 2>&-"#] {
        let mailbox = Mailbox::in_memory().messages(20);
        mailbox.run(["build"]).ok();
        let before = mailbox.own_files();
        for verb in
            [&["list", "--no-refresh"][..], &["show", "1:*"], &["stat"], &["check"], &["cat", "1"], &["nonsense"]]
        {
            let bare = mailbox.command(verb);
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", script, "sh"]).arg(bare.get_program()).args(bare.get_args());
            let run = mailbox.finish(&mut sh);
            assert!(matches!(run.code(), Some(0 | 2 | 3)), "{script}: {run}");
        }
        assert!(mailbox.own_files() == before, "{script}");
    }
}
