//! Completions: what `clap_complete` makes of the definitions, and the words that it knows nothing of.
//!
//! zsh takes these with the arguments. For bash and fish, which know options only, a function finds out which argument is
//! expected; it stands in `complete.bash` and `complete.fish`, where `# VERBS` and words in capitals say what is put in.

use std::fmt::Write as _;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueHint};
use clap_complete::Shell;
use maildex::query::parse::KEYS;

const BASH: &str = include_str!("complete.bash");
const FISH: &str = include_str!("complete.fish");

/// What `flag` can do, one letter or name each.
const FLAGS: [(&str, &str); 6] =
    [("S", "seen"), ("F", "flagged"), ("R", "answered"), ("T", "trashed"), ("D", "draft"), ("P", "passed")];

/// The script for a shell.
pub fn script(shell: Shell, command: &Command) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = command.clone();
    if shell != Shell::Bash {
        command = with_words(command);
    }
    clap_complete::generate(shell, &mut command, "maildex", &mut script);
    let ours = match shell {
        Shell::Bash => filled(BASH, &bash_verbs(&command)),
        Shell::Fish => filled(FISH, &fish_verbs(&command)),
        _ => String::new(),
    };
    script.extend_from_slice(ours.as_bytes());
    script
}

/// A folder is a directory, for all shells.
pub fn with_directories(arg: Arg) -> Arg {
    if kind(&arg) == "folder" || arg.get_id() == "root" { arg.value_hint(ValueHint::DirPath) } else { arg }
}

fn specs() -> Vec<String> {
    let both = |word: &str| [format!("+{word}"), format!("-{word}")];
    FLAGS.iter().flat_map(|(letter, name)| both(letter).into_iter().chain(both(name))).collect()
}

/// The same command, whose arguments have the words that they can be as possible values.
fn with_words(command: Command) -> Command {
    let words = |arg: Arg| match kind(&arg) {
        "query" => arg.value_parser(PossibleValuesParser::new(KEYS)),
        "spec" => {
            let specs: Vec<&'static str> = specs().into_iter().map(|spec| &*spec.leak()).collect();
            arg.value_parser(PossibleValuesParser::new(specs))
        }
        _ => arg,
    };
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_string()).collect();
    verbs.into_iter().fold(command.mut_args(words), |command, verb| command.mut_subcommand(verb, with_words))
}

/// What is expected in the place of an argument.
fn kind(arg: &Arg) -> &'static str {
    match arg.get_id().as_str() {
        "folder" | "folders" | "dir" | "dest" => "folder",
        "query" => "query",
        "spec" => "spec",
        "messages" => "file",
        _ => "other",
    }
}

/// Each verb: its words, what it expects one after the other, the last of it again and again, and which of its options
/// take a value.
fn verbs(command: &Command) -> Vec<(String, String, String)> {
    fn collect(command: &Command, name: &str, found: &mut Vec<(String, String, String)>) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let name = format!("{name} {}", verb.get_name()).trim().to_string();
            let mut expects: Vec<&str> = verb.get_positionals().map(kind).collect();
            let is_repeated = |arg: &Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
            if !verb.get_positionals().last().is_some_and(is_repeated) {
                expects.push("other");
                expects.dedup();
            }
            let options = verb.get_arguments().chain(command.get_arguments().filter(|arg| arg.is_global_set()));
            let takes_value = |arg: &&Arg| !arg.is_positional() && arg.get_action().takes_values();
            let spelt = |option: &Arg| {
                let long = option.get_long().map(|long| format!("--{long}"));
                long.into_iter().chain(option.get_short().map(|short| format!("-{short}")))
            };
            let mut values: Vec<String> = Vec::new();
            for option in options.filter(takes_value).flat_map(spelt) {
                if !values.contains(&option) {
                    values.push(option);
                }
            }
            found.push((name.clone(), expects.join(" "), values.join(" ")));
            collect(verb, &name, found);
        }
    }
    let mut found = Vec::new();
    collect(command, "", &mut found);
    found
}

fn bash_verbs(command: &Command) -> String {
    verbs(command).iter().fold(String::new(), |mut cases, (name, expects, values)| {
        let name = if name.contains(' ') { format!("\"{name}\"") } else { name.clone() };
        let words = name.trim_matches('"');
        let _ = writeln!(cases, "{name}) verb=\"{words}\" expects=\"{expects}\" values=\"{values}\" ;;");
        cases
    })
}

fn fish_verbs(command: &Command) -> String {
    verbs(command).iter().fold(String::new(), |mut cases, (name, expects, values)| {
        let _ =
            writeln!(cases, "case '{name}'\n    set verb {name}\n    set expects {expects}\n    set values {values}");
        cases
    })
}

/// A script with what is made put in, indented as the line that it replaces.
fn filled(script: &str, verbs: &str) -> String {
    let mut filled = String::new();
    for line in script.lines() {
        if line.trim() == "# VERBS" {
            let indent = &line[..line.len() - line.trim_start().len()];
            verbs.lines().for_each(|verb| filled.extend([indent, verb, "\n"]));
        } else {
            filled.extend([line, "\n"]);
        }
    }
    filled.replace("QUERY KEYS", &KEYS.join(" ")).replace("FLAG SPECS", &specs().join(" "))
}
