//! A chart without a library: a line for each work, a dot for each tool, on a logarithmic scale.

use std::fmt::{self, Write as _};

use super::{LINES, Results, thousands, time};
use crate::tools::Kind;

const LEFT: f64 = 270.0;
const WIDTH: f64 = 980.0;
const TOP: f64 = 74.0;
const STEP: f64 = 34.0;

/// Colours that people who see few of them can tell apart (Okabe and Ito).
const COLOURS: [(Kind, &str); 7] = [
    (Kind::Maildex, "#d55e00"),
    (Kind::Mblaze, "#e69f00"),
    (Kind::Dovecot, "#0072b2"),
    (Kind::Mairix, "#009e73"),
    (Kind::Neomutt, "#cc79a7"),
    (Kind::Notmuch, "#56b4e9"),
    (Kind::Mu, "#999999"),
];

/// The chart of one size, warm.
pub fn draw(results: &Results, size: u32) -> Result<String, fmt::Error> {
    let lines: Vec<_> = LINES
        .into_iter()
        .filter(|(key, _)| !key.ends_with("-cold") && results.median_s(key, Kind::Maildex.name(), size).is_some())
        .collect();
    let dots = |key: &str| {
        let of = |kind: Kind| results.median_s(key, kind.name(), size);
        COLOURS.iter().filter_map(|(kind, colour)| Some((kind.name(), *colour, of(*kind)?))).collect::<Vec<_>>()
    };
    let all: Vec<f64> = lines
        .iter()
        .flat_map(|(key, _)| dots(key).into_iter().map(|dot| dot.2).chain(results.limit_s(key, size)))
        .collect();
    let low = all.iter().copied().fold(f64::MAX, f64::min).log10().floor();
    let high = all.iter().copied().fold(0.0, f64::max).log10().ceil();
    let x = |seconds: f64| LEFT + (seconds.log10() - low) / (high - low) * (WIDTH - LEFT - 40.0);
    let bottom = TOP + lines.len() as f64 * STEP;
    let mut text = String::new();
    writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\">{} mails, warm: whole processes, median; the bar is the machine's limit</text>",
        bottom + 40.0,
        thousands(size)
    )?;
    let mut at = 16.0;
    for (kind, colour) in
        COLOURS.into_iter().filter(|(kind, _)| *kind == Kind::Maildex || results.peers(size).contains(&kind.name()))
    {
        writeln!(text, "<circle cx=\"{at}\" cy=\"46\" r=\"6\" fill=\"{colour}\"/>")?;
        writeln!(text, "<text x=\"{}\" y=\"50\">{}</text>", at + 11.0, kind.name())?;
        at += 96.0;
    }
    let mut exponent = low;
    while exponent <= high {
        let (line, label) = (x(10f64.powf(exponent)), axis(10f64.powf(exponent)));
        writeln!(text, "<path d=\"M{line:.1} {TOP}V{bottom}\" stroke=\"#dddddd\"/>")?;
        writeln!(text, "<text x=\"{line:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 20.0)?;
        exponent += 1.0;
    }
    for (at, (key, title)) in lines.iter().enumerate() {
        let y = TOP + (at as f64 + 0.5) * STEP;
        let title = title.split(" (").next().unwrap_or(title);
        writeln!(text, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{title}</text>", LEFT - 14.0, y + 4.0)?;
        if let Some(limit) = results.limit_s(key, size) {
            writeln!(
                text,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"4\" height=\"22\" fill=\"#333333\"><title>limit: {}</title></rect>",
                x(limit) - 2.0,
                y - 11.0,
                time(limit)
            )?;
        }
        // maildex last, so that nothing hides it.
        for (tool, colour, seconds) in dots(key).into_iter().rev() {
            writeln!(
                text,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"{colour}\" fill-opacity=\"0.9\"><title>{tool}: {}</title></circle>",
                x(seconds),
                time(seconds)
            )?;
        }
    }
    writeln!(text, "</svg>")?;
    Ok(text)
}

fn axis(seconds: f64) -> String {
    if seconds < 0.9 { format!("{} ms", (seconds * 1e4).round() / 10.0) } else { format!("{seconds:.0} s") }
}
