//! Hints for who leaves out FOLDER, or puts it elsewhere: it always comes first, after the verb.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use maildex::Error;
use maildex::maildir::change::FlagChange;
use maildex::maildir::keywords::Keywords;
use maildex::query::parse::is_key;
use maildex::query::uidset::UidSet;

use crate::cli::exit::Exit;
use crate::cli::{Cli, shell, terminal};

/// Tells what is wrong with the command line, with the way out. Or what was asked for: help is an error to clap.
pub fn wrong_usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let hint = match error.kind() {
        ErrorKind::MissingRequiredArgument => missing(error, arguments),
        ErrorKind::InvalidSubcommand => no_verb(arguments),
        _ => None,
    };
    let _ = error.print();
    if let Some(hint) = hint {
        let _ = writeln!(io::stderr(), "hint: {}", terminal::escaped(&hint));
    }
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// `maildex list` alone, or `maildex show 3`.
fn missing(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_missing = |name: &str| missing.iter().any(|missing| missing.trim_end_matches('.') == format!("<{name}>"));
    let (verb, rest) = verb(arguments)?;
    if is_missing("FOLDER") {
        return Some(format!("FOLDER comes first: maildex {verb} {}", example()));
    }
    let first = rest.first().filter(|first| is_missing("MSG") && !Path::new(first).is_dir())?.to_str()?;
    Some(format!("FOLDER comes first: maildex {verb} FOLDER {first}"))
}

/// `maildex unseen`, or `maildex ~/Maildir list`.
fn no_verb(arguments: &[OsString]) -> Option<String> {
    let first = arguments.get(1)?;
    if Path::new(first).is_dir() {
        let verb = arguments.get(2).and_then(|word| word.to_str()).filter(|word| is_verb(word)).unwrap_or("list");
        return Some(format!("the verb comes first: maildex {verb} {}", shell::directory(Path::new(first))));
    }
    let word = first.to_str().filter(|word| is_key(word))?;
    Some(format!("the verb comes first, then FOLDER: maildex list {} {word}", example()))
}

/// A folder that is likely to be meant.
fn example() -> String {
    let named = std::env::var_os("MAILDIR").map(PathBuf::from);
    let home = std::env::home_dir().map(|home| home.join("Maildir"));
    match named.into_iter().chain(home).find(|folder| folder.join("cur").is_dir()) {
        Some(folder) => shell::directory(&folder),
        None => "FOLDER".into(),
    }
}

/// The verb of a command line, and what follows without options.
fn verb(arguments: &[OsString]) -> Option<(String, Vec<&OsStr>)> {
    let takes_value = |option: &OsStr| option == "--index-dir" || option == "--color";
    let mut words = Vec::new();
    let mut rest = arguments.iter().skip(1);
    while let Some(word) = rest.next() {
        if takes_value(word) {
            rest.next();
        } else if !word.to_string_lossy().starts_with('-') {
            words.push(word.as_os_str());
        }
    }
    let verb = words.first()?.to_str().filter(|word| is_verb(word))?.to_string();
    let of_verb = |word: &&OsStr| find(&verb).is_some_and(|verb| verb.find_subcommand(word).is_some());
    match words.get(1).filter(|word| of_verb(word)) {
        Some(second) => Some((format!("{verb} {}", second.to_string_lossy()), words.split_off(2))),
        None => Some((verb, words.split_off(1))),
    }
}

fn find(verb: &str) -> Option<Command> {
    Cli::command().find_subcommand(verb).cloned()
}

fn is_verb(word: &str) -> bool {
    find(word).is_some()
}

/// Who writes an option behind `--query` has made it a word of the query.
pub fn late_option(error: &Error) -> Option<String> {
    match error {
        Error::Query { word, .. } if word.starts_with("--") && std::env::args_os().any(|word| word == "--query") => {
            Some(format!("--query takes all words that follow; options stand before it: {word} --query ..."))
        }
        _ => None,
    }
}

/// Who writes `maildex list unseen` or `maildex flag +S 3` has left out the folder.
pub fn folder(error: &Error, folder: &Path) -> Option<String> {
    let missing = match error {
        Error::NotAMaildir { .. } => true,
        Error::Io { source, path, .. } => source.kind() == io::ErrorKind::NotFound && path == folder,
        // `maildex list from ann`, of which `ann` is all that is left.
        Error::Query { .. } => !folder.exists(),
        _ => false,
    };
    let word = folder.to_str().filter(|word| missing && !word.contains('/'))?;
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (verb, _) = verb(&arguments)?;
    let is_spec = FlagChange::parse(word, &Keywords::default()).is_ok();
    let is_uids = UidSet::looks_like(word.as_bytes());
    let rest = match verb.as_str() {
        "flag" if is_spec => word.to_string(),
        "flag" if is_uids => format!("SPEC {word}"),
        "list" | "ls" | "search" | "count" if is_key(word) => word.to_string(),
        "show" | "cat" | "replace" | "move" | "copy" | "expunge" if is_uids => word.to_string(),
        _ => return None,
    };
    Some(format!("FOLDER comes first: maildex {verb} FOLDER {rest}"))
}
