//! One file a verb: parse, call one function of the library, print.

mod build;
mod cat;
mod changes;
mod check;
mod compact;
#[cfg(feature = "generate")]
mod complete;
mod count;
mod dedupe;
mod deliver;
mod demo;
mod dump;
mod exit;
mod expunge;
mod fatal;
mod flag;
#[cfg(feature = "generate")]
mod generate;
mod help_query;
mod hints;
mod inc;
mod json;
mod list;
mod lock;
#[cfg(feature = "generate")]
mod manual;
mod messages;
mod one_verb;
mod output;
#[cfg(feature = "generate")]
mod picture;
mod placed;
mod query;
mod reading;
mod relocate;
mod renamed;
mod repair;
mod replace;
mod setting;
mod shell;
mod show;
mod signals;
mod stat;
mod stat_view;
mod state;
mod sync;
mod syncing;
mod template;
mod terminal;
mod text;
mod tree;
mod uids;
mod version;
mod view;
mod waiting;
mod watch;
mod zone;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;
use maildex::ops::relocate::Kind;
use output::Output;
use terminal::Color;

/// One shared, memory-mapped index of a Maildir folder: no server, no daemon
///
/// maildex keeps an index beside the mail that any number of programs read at once, without waiting. UIDs, once shown,
/// never refer to another mail.
#[derive(Parser)]
#[command(name = "maildex", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "What QUERY is: maildex help query\nFor a report: maildex --version --verbose")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What goes with every verb.
#[derive(clap::Args)]
struct Common {
    /// Print results and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Keep what belongs to FOLDER in a directory of its own in DIR, not beside the mail
    ///
    /// For mail on network file systems, where an index cannot be shared, and for mail that may only be read. All who
    /// use the folder must name the same DIR, here or in `MAILDEX_INDEX_DIR`; it is made if it is not there. The lock is
    /// there, too.
    #[arg(long, global = true, value_name = "DIR")]
    index_dir: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    color: Color,
}

#[derive(Subcommand)]
enum Verb {
    #[command(aliases = ["index", "update"])]
    Build(build::Args),
    #[command(aliases = ["ls", "search"])]
    List(list::Args),
    Count(count::Args),
    Stat(stat::Args),
    Show(show::Args),
    Cat(cat::Args),
    Flag(flag::Args),
    Inc(inc::Args),
    Changes(changes::Args),
    Replace(replace::Args),
    Deliver(deliver::Args),
    Move(relocate::MoveArgs),
    Copy(relocate::CopyArgs),
    Expunge(expunge::Args),
    Dedupe(dedupe::Args),
    Compact(compact::Args),
    Watch(watch::Args),
    Check(check::Args),
    Repair(repair::Args),
    Dump(dump::Args),
    Uids(uids::Args),
    Lock(lock::Args),
    Sync(sync::Args),
    #[command(hide = true)]
    LockGuard(lock::guard::Args),
    Demo(demo::Args),
    /// For `maildex help query`.
    #[command(hide = true)]
    Query(help_query::Args),
    #[cfg(feature = "generate")]
    #[command(hide = true)]
    Generate(generate::Args),
}

impl Verb {
    fn run(&self, out: &mut Output) -> anyhow::Result<Exit> {
        match self {
            Verb::Build(args) => build::run(args, out),
            Verb::List(args) => list::run(args, out),
            Verb::Count(args) => count::run(args, out),
            Verb::Stat(args) => stat::run(args, out),
            Verb::Show(args) => show::run(args, out),
            Verb::Cat(args) => cat::run(args, out),
            Verb::Flag(args) => flag::run(args, out),
            Verb::Inc(args) => inc::run(args, out),
            Verb::Changes(args) => changes::run(args, out),
            Verb::Repair(args) => repair::run(args, out),
            Verb::Replace(args) => replace::run(args, out),
            Verb::Deliver(args) => deliver::run(args, out),
            Verb::Move(args) => relocate::run(&args.args, Kind::Move, out),
            Verb::Copy(args) => relocate::run(&args.args, Kind::Copy, out),
            Verb::Expunge(args) => expunge::run(args, out),
            Verb::Dedupe(args) => dedupe::run(args, out),
            Verb::Compact(args) => compact::run(args, out),
            Verb::Watch(args) => watch::run(args, out),
            Verb::Check(args) => check::run(args, out),
            Verb::Dump(args) => dump::run(args, out),
            Verb::Uids(args) => uids::run(args, out),
            Verb::Lock(args) => lock::run(args, out),
            Verb::Sync(args) => sync::run(args, out),
            Verb::LockGuard(args) => lock::guard::run(args, out),
            Verb::Demo(args) => demo::run(args, out),
            Verb::Query(_) => help_query::run(out),
            #[cfg(feature = "generate")]
            Verb::Generate(args) => generate::run(args, out),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Verb::Build(args) => &args.folder,
            Verb::List(args) => &args.folder,
            Verb::Count(args) => &args.folder,
            Verb::Stat(args) => &args.folder,
            Verb::Show(args) => args.wanted.place(),
            Verb::Cat(args) => args.wanted.place(),
            Verb::Flag(args) => args.place(),
            Verb::Inc(args) => &args.folder,
            Verb::Changes(args) => &args.folder,
            Verb::Repair(args) => &args.folder,
            Verb::Replace(args) => &args.folder,
            Verb::Deliver(args) => &args.folder,
            Verb::Move(args) => args.args.place(),
            Verb::Copy(args) => args.args.place(),
            Verb::Expunge(args) => args.place(),
            Verb::Dedupe(args) => &args.folders[0],
            Verb::Compact(args) => &args.folder,
            Verb::Watch(args) => &args.folders[0],
            Verb::Check(args) => &args.folders[0],
            Verb::Dump(args) => &args.folder,
            Verb::Uids(args) => args.folder(),
            Verb::Lock(args) => args.folder(),
            Verb::Sync(args) => args.root(),
            Verb::LockGuard(args) => &args.hold.folder,
            Verb::Demo(args) => &args.dir,
            Verb::Query(_) => Path::new(""),
            #[cfg(feature = "generate")]
            Verb::Generate(args) => &args.dir,
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = query::shielded(flag::with_long_options(std::env::args_os()));
    let verb = verb_of(&arguments).and_then(|at| arguments[at].to_str());
    if verb == Some(deliver::VERB) { deliver::with_one_failure(|| run(&arguments)) } else { run(&arguments) }.into()
}

fn run(arguments: &[OsString]) -> Exit {
    if version::is_wanted(arguments) {
        // As clap does with the version: who does not read it misses nothing.
        let _ = version::print();
        return Exit::Done;
    }
    let cli = match one_verb::parse(arguments).map_or_else(|| Cli::try_parse_from(arguments), Ok) {
        Ok(cli) => cli,
        Err(error) => return hints::wrong_usage(&error, arguments),
    };
    fatal::tell();
    setting::set(cli.common.index_dir.as_deref());
    let mut out = match Output::new(cli.common.quiet, cli.common.color) {
        Ok(out) => out,
        Err(exit) => return exit,
    };
    if setting::has_foreign_rights() {
        out.error(
            "it has the rights of another user than the one who called it",
            Some(
                "it is not made for set-user-ID: chmod ug-s the program, and let sudo or setpriv change the user"
                    .into(),
            ),
        );
        return Exit::Unusable;
    }
    let done = cli.verb.run(&mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    let exit = done.unwrap_or_else(|error| exit::report(&error, cli.verb.folder(), &mut out));
    signals::resume();
    exit.with_problems(out.problems())
}

/// Where the verb stands: the first word that is no option, nor the value of one.
pub fn verb_of(arguments: &[OsString]) -> Option<usize> {
    let is_value = |at: usize| ["--index-dir", "--color"].iter().any(|option| arguments[at - 1] == *option);
    let is_option = |at: usize| arguments[at].as_encoded_bytes().starts_with(b"-") || is_value(at);
    (1..arguments.len()).find(|&at| !is_option(at))
}
