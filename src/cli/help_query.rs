use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// The language, as `maildex help query` prints it; maildex-query(7) is made from it.
pub const TEXT: &str = include_str!("query.txt");

/// What QUERY is
#[derive(clap::Args)]
#[command(override_help = TEXT.trim_end())]
pub struct Args {}

pub fn run(out: &mut Output) -> anyhow::Result<Exit> {
    out.line(TEXT.trim_end())?;
    Ok(Exit::Done)
}
