//! The command line as one verb needs it.
//!
//! To clap a command is all of its verbs with all of their options, made anew at each start: half of what a quick verb
//! takes. So the verb is looked for first, and clap gets that one alone. Whatever it does not understand then, and every
//! request for help, is read once more with all verbs, for the messages.

use std::ffi::OsString;

use clap::{Args, Command, FromArgMatches};

use crate::cli::{Cli, Common, Verb, verb_of};
use crate::cli::{
    build, cat, changes, check, compact, count, dedupe, deliver, demo, dump, expunge, flag, inc, list, lock, relocate,
    repair, replace, show, stat, sync, uids, watch,
};

/// Gives a command the options of a verb.
type Options = fn(Command) -> Command;

const VERBS: [(&str, Options); 24] = [
    ("build", build::Args::augment_args),
    ("list", list::Args::augment_args),
    ("count", count::Args::augment_args),
    ("stat", stat::Args::augment_args),
    ("show", show::Args::augment_args),
    ("cat", cat::Args::augment_args),
    ("flag", flag::Args::augment_args),
    ("inc", inc::Args::augment_args),
    ("changes", changes::Args::augment_args),
    ("replace", replace::Args::augment_args),
    ("deliver", deliver::Args::augment_args),
    ("move", relocate::MoveArgs::augment_args),
    ("copy", relocate::CopyArgs::augment_args),
    ("expunge", expunge::Args::augment_args),
    ("dedupe", dedupe::Args::augment_args),
    ("compact", compact::Args::augment_args),
    ("watch", watch::Args::augment_args),
    ("check", check::Args::augment_args),
    ("repair", repair::Args::augment_args),
    ("dump", dump::Args::augment_args),
    ("uids", uids::Args::augment_args),
    ("lock", lock::Args::augment_args),
    ("sync", sync::Args::augment_args),
    ("demo", demo::Args::augment_args),
];

/// Reads a command line; `None` if that takes all verbs.
pub fn parse(arguments: &[OsString]) -> Option<Cli> {
    let matches = command(arguments)?.try_get_matches_from(arguments).ok()?;
    Some(Cli { common: Common::from_arg_matches(&matches).ok()?, verb: Verb::from_arg_matches(&matches).ok()? })
}

/// The command with the verb of a command line only; `None` if that is none, or another word for one.
pub fn command(arguments: &[OsString]) -> Option<Command> {
    let word = &arguments[verb_of(arguments)?];
    let &(verb, options) = VERBS.iter().find(|(verb, _)| word == verb)?;
    Some(Common::augment_args(Command::new("maildex")).subcommand(options(Command::new(verb))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// A verb that is missing here is no error, only slower; and one whose options are another's would be.
    #[test]
    fn every_verb_has_its_own_options() {
        fn options(command: &Command) -> String {
            let (own, groups) = (command.get_arguments().collect::<Vec<_>>(), command.get_groups().collect::<Vec<_>>());
            let verbs: Vec<_> = command.get_subcommands().map(|verb| (verb.get_name(), options(verb))).collect();
            format!("{own:?} {groups:?} {verbs:?}")
        }
        let all = Cli::command();
        for verb in all.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let one = command(&["maildex".into(), name.into()]).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(options(one.find_subcommand(name).expect("the verb")), options(verb), "{name}");
            let common = |command: &Command| format!("{:?}", command.get_arguments().collect::<Vec<_>>());
            assert_eq!(common(&one), common(&all), "{name}");
        }
    }
}
