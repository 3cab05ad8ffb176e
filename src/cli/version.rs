//! What others need to know of this program to make sense of a report: `maildex --version --verbose`.

use std::ffi::OsString;
use std::io::{self, Write};

use maildex::format::header::VERSION;

/// Whether that is what a command line asks for. clap would print the version at once, whatever else is asked for.
pub fn is_wanted(arguments: &[OsString]) -> bool {
    let is_version = |argument: &OsString| argument == "--version" || argument == "-V";
    match arguments {
        [_, first, second] if first == "--verbose" => is_version(second),
        [_, first, second] if second == "--verbose" => is_version(first),
        _ => false,
    }
}

pub fn print() -> io::Result<()> {
    let features =
        [("cli", true), ("generate", cfg!(feature = "generate")), ("failpoints", cfg!(feature = "failpoints"))];
    let features: Vec<_> = features.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "maildex {}", env!("CARGO_PKG_VERSION"))?;
    for (name, value) in [
        ("format", VERSION.to_string().as_str()),
        ("features", &features.join(" ")),
        ("commit", env!("MAILDEX_COMMIT")),
        ("target", env!("MAILDEX_TARGET")),
        ("profile", env!("MAILDEX_PROFILE")),
        ("compiler", env!("MAILDEX_RUSTC")),
    ] {
        writeln!(out, "{name}: {value}")?;
    }
    out.flush()
}
