//! Where verbs get their QUERY from.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Command, CommandFactory};
use jiff::Timestamp;
use maildex::Error;
use maildex::query::parse::wants_text;
use maildex::query::{Clock, Query, Zone};

use crate::cli::Cli;
use crate::cli::exit::Usage;
use crate::cli::{one_verb, zone};

/// Stands before a word that is a text of a query, so that nobody takes it for an option.
const SHIELD: u8 = 1;

fn clock() -> Clock {
    Clock { now: Timestamp::now(), zone: Zone::found_by(zone::local) }
}

/// Reads the words of QUERY.
pub fn parse(words: &[String]) -> Result<Query, Error> {
    Query::parse(words.iter().map(|word| word.strip_prefix(SHIELD as char).unwrap_or(word)), &clock())
}

/// Reads what follows `--query`. Nothing at all, which a variable that was never set gives, does not mean all mail.
pub fn parse_option(words: &[String]) -> anyhow::Result<Query> {
    if words.iter().all(|word| word.trim().is_empty()) {
        return Err(Usage("--query is empty; every message is: --query all").into());
    }
    Ok(Query::parse(words.iter().map(String::as_str), &clock())?)
}

/// Shields texts in a QUERY that stands among options: what follows `subject` is a text, even if it is `--json`.
pub fn shielded(mut arguments: Vec<OsString>) -> Vec<OsString> {
    // In nearly all commands nothing follows QUERY that looks like an option, and nothing has to be known of options.
    let is_odd = |argument: &OsString| matches!(argument.as_bytes(), [b'-' | SHIELD, ..]);
    if !arguments.iter().skip(3).any(is_odd) {
        return arguments;
    }
    let command = one_verb::command(&arguments).unwrap_or_else(Cli::command);
    let takes_value = |command: &Command, option: &[u8]| {
        let is_it = |arg: &&clap::Arg| match option.strip_prefix(b"--") {
            Some(long) => arg.get_long().is_some_and(|name| name.as_bytes() == long),
            None => arg.get_short().is_some_and(|short| option.last() == Some(&(short as u8))),
        };
        command.get_arguments().find(is_it).is_some_and(|arg| arg.get_action().takes_values())
    };
    let mut verb: Option<&Command> = None;
    let mut has_folder = false;
    let mut words: Vec<String> = Vec::new();
    let mut at = 1;
    while at < arguments.len() {
        let argument = arguments[at].as_bytes();
        let is_text = has_folder && is_odd(&arguments[at]) && wants_text(words.iter().map(String::as_str), &clock());
        match verb {
            _ if is_text => {
                words.push(arguments[at].to_string_lossy().into_owned());
                let shielded = [&[SHIELD], argument].concat();
                arguments[at] = OsString::from_vec(shielded);
            }
            _ if argument == b"--" => break, // all that follows are words
            _ if argument.starts_with(b"-") && argument.len() > 1 => {
                let takes_value =
                    verb.is_some_and(|verb| takes_value(verb, argument)) || takes_value(&command, argument);
                at += usize::from(takes_value);
            }
            None => {
                verb = command.find_subcommand(&arguments[at]);
                if !verb.is_some_and(|verb| verb.get_positionals().any(|arg| arg.get_id() == "query")) {
                    break;
                }
            }
            Some(_) if has_folder => words.push(arguments[at].to_string_lossy().into_owned()),
            Some(_) => has_folder = true,
        }
        at += 1;
    }
    arguments
}
