//! The man pages: maildex(1), and one for each verb.
//!
//! What a verb takes and does comes from its `Args`; the examples from `after_long_help` there, which reads
//!
//! ```text
//! Examples:
//!   What it is for:
//!     maildex verb ~/Maildir ...
//! ```
//!
//! What stands before that is the title of a script, an empty line, and the script.
//!
//! What holds for all verbs stands in `manual.roff`, where lines such as `.\" VERBS` say what is put in there.

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::exit::Exit;
use crate::cli::help_query;

/// maildex(1) without what is made from the definitions.
const MAIN: &str = include_str!("manual.roff");

/// maildex-cookbook(7), see [`cookbook_page`].
const COOKBOOK: &str = include_str!("cookbook.txt");

/// The date of this version; to be set at a release.
const DATE: &str = "2026-11-24";

/// What [`Roff`] writes before each document: `\*(Aq` as an apostrophe that can be copied.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Longer lines of text are broken, for those who read the source.
const LINE: usize = 79;

/// All pages: file name and contents.
pub fn pages(command: &Command) -> Vec<(String, Vec<u8>)> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![main_page(&command)];
    add_pages(&command, &mut pages);
    let verbs = pages.into_iter().map(|(name, page)| (name + ".1", page));
    let query = ("maildex-query.7".to_string(), query_page(help_query::TEXT));
    let cookbook = ("maildex-cookbook.7".to_string(), cookbook_page(COOKBOOK));
    verbs.chain([query, cookbook]).map(|(name, page)| (name, wrapped(&page).into_bytes())).collect()
}

fn add_pages(command: &Command, pages: &mut Vec<(String, String)>) {
    for verb in verbs(command) {
        pages.push(verb_page(verb));
        add_pages(verb, pages);
    }
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// `maildex-lock-run`
fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The same for a request, where nothing is escaped.
fn reference(command: &Command) -> String {
    page_name(command).replace('-', "\\-")
}

fn main_page(command: &Command) -> (String, String) {
    let mut page = title(command);
    for line in MAIN.lines() {
        match line {
            ".\\\" VERBS" => page += &verb_list(command),
            ".\\\" OPTIONS" => page += &options(command.clone()),
            ".\\\" EXIT STATUS" => page += &exit_status(),
            ".\\\" SEE ALSO" => page += &see_also(command),
            line => page.extend([line, "\n"]),
        }
    }
    (page_name(command).into(), page)
}

fn verb_page(verb: &Command) -> (String, String) {
    let mut page = title(verb);
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    let name = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    for (number, usage) in usages(verb, name).iter().enumerate() {
        if number > 0 {
            synopsis.control("br", []);
        }
        synopsis.text([bold(name), roman(usage)]);
    }
    page += &synopsis.to_roff();
    page += &description(verb);
    page += &options(verb.clone().mut_arg("help", |help| help.hide(true)));
    if verb.has_subcommands() {
        page += &verb_list(verb);
    }
    if let Some(examples) = verb.get_after_long_help() {
        page += &self::examples(&examples.to_string());
    }
    page += ".SH EXIT STATUS\nAs in\n.BR maildex (1).\n.SH SEE ALSO\n";
    page += &see_also(verb);
    page += ".BR maildex (1)\n";
    (page_name(verb).into(), page)
}

/// maildex-query(7), from the text of `maildex help query`: paragraphs; headings, which end in a colon; and below these
/// text indented by two, or terms, with what they mean in a column of its own.
fn query_page(text: &str) -> String {
    let (text, examples) = text.split_once("\nExamples:\n").expect("the text ends in examples");
    let mut page = begun("query", "which messages are meant") + ".SH DESCRIPTION\n";
    let plain = |text: &str| Roff::from(text).to_roff();
    let column = " ".repeat(TERM);
    let mut begin = ""; // what a line of text needs before it
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_alone = !line.starts_with(&column) && lines.peek().is_some_and(|next| next.starts_with(&column));
        let (term, meaning) = match line.split_at_checked(TERM) {
            Some((term, meaning)) if term.ends_with("  ") => (term.trim(), meaning),
            _ if is_alone => (line.trim(), ""),
            _ => ("", line.trim()),
        };
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ') && !begin.is_empty()) {
            _ if line.is_empty() => begin = ".PP\n",
            Some(heading) => {
                page.extend([".SS ", heading, "\n"]);
                begin = "";
            }
            None if term.is_empty() => page.extend([std::mem::take(&mut begin), &plain(meaning)]),
            None => {
                let mut roff = Roff::new();
                roff.control("TP", []).text([bold(term)]);
                page += &roff.to_roff();
                page += &if meaning.is_empty() { String::new() } else { plain(meaning) };
                begin = "";
            }
        }
    }
    page += &self::examples(examples);
    page + ".SH SEE ALSO\n.BR maildex (1),\n.BR maildex\\-list (1),\n.BR maildex\\-count (1),\n.BR maildex\\-flag (1)\n"
}

/// maildex-cookbook(7): an introduction, then recipes. Each has a title, which ends in a colon, and below it text indented
/// by two and commands by four.
fn cookbook_page(text: &str) -> String {
    let (introduction, recipes) = text.split_once("\n\n").expect("recipes follow");
    let mut page = begun("cookbook", "what people do with maildex") + ".SH DESCRIPTION\n";
    page += &Roff::from(introduction).to_roff();
    page += ".SH RECIPES\n";
    let mut lines = recipes.lines().peekable();
    while let Some(line) = lines.next() {
        let is_command = |line: &str| line.starts_with("    ");
        if let Some(title) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            page.extend([".SS ", title, "\n"]);
        } else if is_command(line) {
            let mut commands = vec![line];
            // An empty line ends them, unless more follow.
            while let Some(next) = lines.next_if(|next| is_command(next) || next.is_empty()) {
                commands.push(next);
            }
            while commands.last().is_some_and(|line| line.is_empty()) {
                commands.pop();
            }
            page += ".PP\n.RS\n.EX\n";
            for line in commands {
                page.extend([&literal(line.get(4..).unwrap_or("")), "\n"]);
            }
            page += ".EE\n.RE\n";
        } else if !line.is_empty() {
            let begins = page.ends_with(".RE\n");
            page.extend([if begins { ".PP\n" } else { "" }, &Roff::from(line.trim()).to_roff()]);
        }
    }
    let verbs = ["expunge", "move", "watch", "changes", "lock\\-run", "uids\\-import", "dedupe", "check", "repair"];
    page += ".SH SEE ALSO\n.BR maildex (1),\n.BR maildex\\-query (7)";
    for verb in verbs {
        page.extend([",\n.BR maildex\\-", verb, " (1)"]);
    }
    page + "\n"
}

/// What a page of section 7 begins with.
fn begun(name: &str, about: &str) -> String {
    let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    format!(
        "{PREAMBLE}.TH MAILDEX\\-{title} 7 {DATE} \"maildex {version}\" \"maildex manual\"\n.SH NAME\nmaildex\\-{name} \\- {about}\n"
    )
}

/// Width of the column of terms; one that is longer has a line of its own.
const TERM: usize = 26;

/// What may follow the name, as the definition spells it out or else made from the arguments.
fn usages(verb: &Command, name: &str) -> Vec<String> {
    match verb.get_overridden_usage() {
        Some(usage) => {
            let usage = usage.to_string().replace(['<', '>'], "").replace("[OPTIONS]", "[option...]");
            usage.lines().map(|line| line.trim().trim_start_matches(name).to_string()).collect()
        }
        None => vec![usage(verb)],
    }
}

/// `FOLDER [QUERY...] [--json]`: in the order in which people write them.
fn usage(verb: &Command) -> String {
    let name = |arg: &Arg| match arg.get_value_names() {
        Some(names) => names.iter().map(clap::builder::Str::as_str).collect::<Vec<_>>().join(" "),
        None => arg.get_id().to_string(),
    };
    let many = |arg: &Arg| if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "..." } else { "" };
    let shown = |arg: &&Arg| {
        !arg.is_hide_set() && !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str())
    };
    let optional =
        |arg: &Arg, text: String| if arg.is_required_set() { format!(" {text}") } else { format!(" [{text}]") };
    let positional = verb.get_positionals().filter(shown).map(|arg| optional(arg, name(arg) + many(arg)));
    let option = verb.get_arguments().filter(shown).filter(|arg| !arg.is_positional()).map(|arg| {
        let flag = match (arg.get_long(), arg.get_short()) {
            (_, Some(short)) => format!("-{short}"),
            (Some(long), None) => format!("--{long}"),
            (None, None) => name(arg),
        };
        let takes_value = arg.get_num_args().is_some_and(|range| range.takes_values());
        optional(arg, if takes_value { format!("{flag} {}", name(arg)) } else { flag })
    });
    let mut usage: String = positional.chain(option).collect();
    if verb.has_subcommands() {
        usage.insert_str(0, " VERB");
    }
    usage
}

fn title(command: &Command) -> String {
    let name = page_name(command);
    let title = format!(
        ".TH {} 1 {DATE} \"maildex {}\" \"maildex manual\"\n",
        reference(command).to_uppercase(),
        env!("CARGO_PKG_VERSION")
    );
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut first = about.chars();
    let about = first.next().map(|c| c.to_lowercase().to_string() + first.as_str()).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {about}"))]);
    PREAMBLE.to_string() + &title + &roff.to_roff()
}

/// The help text; its first line is that of NAME.
fn description(verb: &Command) -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    let text = verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default();
    for (number, line) in text.lines().enumerate() {
        match line.trim() {
            "" => roff.control("PP", []),
            line if number == 0 => roff.text([roman(format!("{}.", line.trim_end_matches('.')))]),
            line => roff.text([roman(line)]),
        };
    }
    roff.to_roff()
}

/// Arguments, then options.
fn options(command: Command) -> String {
    let command = command.mut_args(|arg| {
        let heading = if arg.is_positional() { "Arguments" } else { "Options" };
        arg.help_heading(heading)
    });
    let mut out = Vec::new();
    Man::new(command).render_options_section(&mut out).expect("a Vec takes everything");
    let options = String::from_utf8(out).expect("made from text");
    // The preamble stands at the top already. Names of values are in italics, which is mark enough. And of the empty
    // lines around the possible values the formatter wants none.
    [
        (PREAMBLE, ""),
        ("\n<\\fI", "\n\\fI"),
        ("\\fR>\n", "\\fR\n"),
        ("\\fI<", "\\fI"),
        (">\\fR", "\\fR"),
        (">...\\fR", "...\\fR"),
        (".br\n\n.br\n\\fIPossible values:\\fR\n.RS 14\n", ".RS\n"),
    ]
    .iter()
    .fold(options, |options, (from, to)| options.replace(from, to))
}

fn verb_list(command: &Command) -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["VERBS"]);
    for verb in verbs(command) {
        roff.control("TP", []);
        roff.control("BR", [reference(verb).as_str(), "(1)"]);
        roff.text([roman(verb.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    roff.to_roff()
}

fn see_also(command: &Command) -> String {
    verbs(command)
        .fold(Roff::new(), |mut roff, verb| {
            roff.control("BR", [reference(verb).as_str(), "(1),"]);
            roff
        })
        .to_roff()
}

fn exit_status() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", []);
        roff.text([bold(exit.code().to_string())]);
        roff.text([roman(exit.meaning())]);
    }
    roff.control("TP", []);
    roff.text([bold("101")]);
    roff.text([roman("A bug in maildex.")]);
    roff.control("PP", []);
    roff.text([roman("SIGINT and SIGTERM end a build after the batch in hand; it then dies of the signal.")]);
    roff.to_roff()
}

/// Text indented by two, commands by four.
fn examples(help: &str) -> String {
    let mut page = String::new();
    let (script, examples) = help.split_once("\nExamples:\n").unwrap_or(("", help));
    if let Some((title, script)) = script.split_once("\n\n") {
        page.extend([".SH SCRIPT\n", &Roff::from(title).to_roff(), ".PP\n.EX\n"]);
        script.lines().for_each(|line| page.extend([&literal(line), "\n"]));
        page += ".EE\n";
    }
    page += ".SH EXAMPLES\n";
    let mut in_commands = false;
    for line in examples.lines().skip_while(|line| line.ends_with("xamples:") || line.trim().is_empty()) {
        let is_command = line.starts_with("    ");
        if is_command != in_commands {
            page += if is_command { ".PP\n.RS\n.EX\n" } else { ".EE\n.RE\n.PP\n" };
            in_commands = is_command;
        }
        if is_command {
            page.extend([&literal(line.trim_start()), "\n"]);
        } else {
            page += &Roff::from(line.trim()).to_roff();
        }
    }
    if in_commands {
        page += ".EE\n.RE\n";
    }
    page
}

/// A line to be copied: no hyphens, quotes or tildes of a printer.
fn literal(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '\\' => text += "\\e",
            '-' => text += "\\-",
            '\'' => text += "\\(aq",
            '`' => text += "\\(ga",
            '^' => text += "\\(ha",
            '~' => text += "\\(ti",
            '.' if text.is_empty() => text += "\\&.",
            c => text.push(c),
        }
    }
    text
}

/// With long lines of text broken at a space, where what follows does not look like a request.
fn wrapped(page: &str) -> String {
    let mut wrapped = String::new();
    let mut is_literal = false;
    for mut line in page.lines() {
        is_literal = match line {
            ".EX" | ".nf" => true,
            ".EE" | ".fi" => false,
            _ => is_literal,
        };
        while !is_literal && !line.starts_with(['.', '\'']) && line.len() > LINE {
            let is_break = |&(at, _): &(usize, &str)| !line[at + 1..].starts_with([' ', '.', '\'']);
            let Some((at, _)) = line[..LINE].rmatch_indices(' ').find(is_break) else { break };
            wrapped.extend([&line[..at], "\n"]);
            line = &line[at + 1..];
        }
        wrapped.extend([line, "\n"]);
    }
    wrapped
}
