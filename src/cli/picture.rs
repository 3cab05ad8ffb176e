//! The picture in the README: what `list` prints of made-up mail on a terminal, as SVG. All its mail is of 2023, so that
//! its dates stay as they are.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, ensure};
use maildex::sample;
use unicode_width::UnicodeWidthStr;

/// Messages of the folder.
const MESSAGES: u32 = 600;

/// What is listed: arguments behind the folder.
const ARGUMENTS: [&str; 3] = ["thread", "46,48,50,52,56,84", "--threads"];

/// As wide as `list` makes it where there is no terminal to ask.
const COLUMNS: usize = 80;

/// Size of a character, and space around all of them.
const CELL: (f64, f64) = (8.4, 19.0);
const MARGIN: f64 = 14.0;

/// The picture.
pub fn list() -> anyhow::Result<Vec<u8>> {
    let folder = Scratch(env::temp_dir().join(format!("maildex-picture-{}", std::process::id())));
    fs::create_dir_all(folder.0.join("cur"))?;
    fs::create_dir_all(folder.0.join("new"))?;
    fs::create_dir_all(folder.0.join("tmp"))?;
    sample::write(&folder.0, 0..MESSAGES)?;
    run(&folder.0, "build", &[])?;
    let text = run(&folder.0, "list", &[&["--color", "always"], &ARGUMENTS[..]].concat())?;
    Ok(svg(&format!("$ maildex list ~/Maildir {}", ARGUMENTS.join(" ")), &text).into_bytes())
}

fn run(folder: &Path, verb: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(verb).arg(folder).args(arguments).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    let output = command.output().with_context(|| format!("{verb}: cannot run"))?;
    ensure!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Removed on drop.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A command, and below it what it printed.
fn svg(command: &str, text: &str) -> String {
    let rows = 2 + text.lines().count();
    let (width, height) = (2.0 * MARGIN + CELL.0 * COLUMNS as f64, 2.0 * MARGIN + CELL.1 * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1d2129\"/>\n"
    );
    line(&mut svg, 0, "fill=\"#8fb573\"", command);
    for (row, text) in text.lines().enumerate() {
        let (style, text) = match text.strip_prefix("\x1b[").and_then(|text| text.split_once('m')) {
            Some((codes, text)) => (style(codes), text.trim_end_matches("\x1b[0m")),
            None => ("fill=\"#c8ccd4\"", text),
        };
        line(&mut svg, row + 2, style, text);
    }
    svg + "</svg>\n"
}

/// The styles of `view.rs`.
fn style(codes: &str) -> &'static str {
    match codes {
        "1" => "fill=\"#ffffff\" font-weight=\"bold\"",
        "33" => "fill=\"#e5c07b\"",
        "1;33" => "fill=\"#e5c07b\" font-weight=\"bold\"",
        _ => "fill=\"#767c88\"",
    }
}

/// One line; as long as its columns say, whatever font there is.
fn line(svg: &mut String, row: usize, style: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let (x, y, length) = (MARGIN, MARGIN + CELL.1 * row as f64 + 14.0, CELL.0 * text.width() as f64);
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.0}\" y=\"{y:.0}\" textLength=\"{length:.1}\" xml:space=\"preserve\" {style}>{text}</text>"
    );
}
