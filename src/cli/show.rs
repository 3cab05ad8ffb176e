use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use maildex::ops::Message;

use crate::cli::exit::Exit;
use crate::cli::json::{Record, Records};
use crate::cli::output::Output;
use crate::cli::reading::Wanted;
use crate::cli::{json, terminal, text};

const EXAMPLES: &str = "\
Examples:
  Everything that is known of one message:
    maildex show ~/Maildir 3
  Of a file, under whatever name it has by now:
    maildex show ~/Maildir \"$(maildex list ~/Maildir --paths --limit 1)\"
  Of several messages, for a script:
    maildex show ~/Maildir 1:5 --json";

/// Print every field that the index has of a message
///
/// In a pipe: one field a line, name and value separated by a tab, messages separated by an empty line.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[command(
    override_usage = "maildex show [OPTIONS] <FOLDER> <MSG>...\n       maildex show [OPTIONS] -r <ROOT> <PATH>..."
)]
pub struct Args {
    #[command(flatten)]
    pub wanted: Wanted,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut first = true;
    args.wanted.each(out, |path, folder, wanted, out| {
        let mut records = Records::new(path, folder)?;
        let mut bad = Vec::new();
        let width = out.width();
        let stdout = out.stdout();
        let mut print = |record: &Record<'_>| -> io::Result<()> {
            if args.json {
                return json::line(stdout, record);
            }
            if !std::mem::take(&mut first) {
                writeln!(stdout)?;
            }
            let fields = json::fields(record);
            match width {
                Some(width) => writeln!(stdout, "{}", table(&fields, width)),
                None => fields.iter().try_for_each(|(name, value)| {
                    write!(stdout, "{name}\t")?;
                    text::field(stdout, value)?;
                    writeln!(stdout)
                }),
            }
        };
        let mut visit = |message: &Message<'_>| records.with(message, &mut print);
        maildex::ops::show::show(folder, wanted, &mut visit, &mut |error| bad.push(error))?;
        out.failed_all(&bad);
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn table(fields: &[(String, String)], width: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.min(u16::MAX.into()) as u16);
    for (name, value) in fields {
        table.add_row([name.as_str(), &terminal::escaped(value)]);
    }
    table
}
