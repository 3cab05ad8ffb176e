//! The templates of `list --format`.

use std::os::unix::ffi::OsStrExt;

use jiff::tz::TimeZone;
use maildex::Error;
use maildex::ops::Message;
use maildex::ops::list::InThread;

use crate::cli::json::Records;
use crate::cli::terminal::{self, Align, Columns};
use crate::cli::text;
use crate::cli::view::Tree;
use crate::cli::zone;

/// Levels of a thread that `{tree}` draws.
const TREE_LEVELS: usize = 40;

/// The widest column: more is a mistake, and would fill the memory.
const WIDTH_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Uid,
    Path,
    Base,
    Dir,
    Flags,
    Keywords,
    Size,
    Date,
    Received,
    DateEpoch,
    ReceivedEpoch,
    Subject,
    From,
    To,
    Cc,
    MessageId,
    InReplyTo,
    References,
    Change,
    Truncated,
    Folder,
    Uidvalidity,
    Thread,
    Depth,
    Tree,
}

/// The names are those of JSON.
const FIELDS: [(&str, Field); 25] = [
    ("uid", Field::Uid),
    ("path", Field::Path),
    ("base", Field::Base),
    ("dir", Field::Dir),
    ("flags", Field::Flags),
    ("keywords", Field::Keywords),
    ("size", Field::Size),
    ("date", Field::Date),
    ("received", Field::Received),
    ("date_epoch", Field::DateEpoch),
    ("received_epoch", Field::ReceivedEpoch),
    ("subject", Field::Subject),
    ("from", Field::From),
    ("to", Field::To),
    ("cc", Field::Cc),
    ("message_id", Field::MessageId),
    ("in_reply_to", Field::InReplyTo),
    ("references", Field::References),
    ("change", Field::Change),
    ("truncated", Field::Truncated),
    ("folder", Field::Folder),
    ("uidvalidity", Field::Uidvalidity),
    ("thread", Field::Thread),
    ("depth", Field::Depth),
    ("tree", Field::Tree),
];

impl Field {
    /// Of what a program reads as one value nothing is cut, however narrow the column is.
    fn is_text(self) -> bool {
        use Field::{Base, Cc, Folder, From, InReplyTo, Keywords, MessageId, Path, References, Subject, To, Truncated};
        matches!(
            self,
            Path | Base | Keywords | Subject | From | To | Cc | MessageId | InReplyTo | References | Truncated | Folder
        )
    }

    fn is_number(self) -> bool {
        use Field::{Change, DateEpoch, Depth, ReceivedEpoch, Size, Thread, Uid, Uidvalidity};
        matches!(self, Uid | Size | DateEpoch | ReceivedEpoch | Change | Uidvalidity | Thread | Depth)
    }
}

/// How a field is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Plain,
    Columns(Columns),
    /// A time as strftime(3) has it, in local time.
    Time(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Field(Field, Form),
}

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Reads a template; what is wrong with it is said for people.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '\\']) {
            literal.extend_from_slice(&rest.as_bytes()[..at]);
            let (special, after) = rest[at..].split_at(1);
            rest = match special {
                "\\" => {
                    let mut letters = after.chars();
                    literal.push(match letters.next() {
                        Some('t') => b'\t',
                        Some('n') => b'\n',
                        Some('0') => b'\0',
                        Some('\\') => b'\\',
                        other => {
                            let found: String = std::iter::once('\\').chain(other).collect();
                            return Err(format!("found {found:?}, expected \\t, \\n, \\0 or \\\\"));
                        }
                    });
                    letters.as_str()
                }
                brace if after.starts_with(brace) => {
                    literal.extend_from_slice(brace.as_bytes());
                    &after[1..]
                }
                "}" => return Err("found } without {; a brace by itself is written }}".into()),
                _ => {
                    let end = after.find('}').ok_or("found { without }; a brace by itself is written {{")?;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(field(&after[..end])?);
                    &after[end + 1..]
                }
            };
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Template { pieces })
    }

    /// Whether it has fields that only threads have.
    pub fn wants_threads(&self) -> bool {
        let wants = |piece: &Piece| matches!(piece, Piece::Field(Field::Thread | Field::Depth | Field::Tree, _));
        self.pieces.iter().any(wants)
    }
}

/// What stands between braces: a name, and perhaps a colon and a form.
fn field(text: &str) -> Result<Piece, String> {
    let (name, form) = text.split_once(':').map_or((text, None), |(name, form)| (name, Some(form)));
    let Some(&(_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
        let names = FIELDS.map(|(name, _)| name).join(", ");
        return Err(format!("there is no field {name:?}; there are: {names}"));
    };
    let form = match form {
        None => Form::Plain,
        Some(form) if form.contains('%') && matches!(field, Field::Date | Field::Received) => time(form)?,
        Some(form) => Form::Columns(columns(field, form).ok_or_else(|| {
            let or_time =
                if matches!(field, Field::Date | Field::Received) { ", or a time as %Y-%m-%d %H:%M" } else { "" };
            format!(
                "found {form:?} for {name}, expected columns such as 40 (exactly), >40 or ^40 (at which side), \
                 .40 (at most), 20.40 (from to){or_time}"
            )
        })?),
    };
    Ok(Piece::Field(field, form))
}

fn time(form: &str) -> Result<Form, String> {
    let wrong = |error: jiff::Error| format!("the time {form:?}: {error}");
    jiff::fmt::strtime::format(form, &jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)).map_err(wrong)?;
    Ok(Form::Time(form.into()))
}

/// `40`, `>40`, `.40`, `20.40`
fn columns(field: Field, form: &str) -> Option<Columns> {
    let mut align = if field.is_number() { Align::Right } else { Align::Left };
    let mut widths = form;
    for (mark, its_align) in [('<', Align::Left), ('>', Align::Right), ('^', Align::Center)] {
        if let Some(rest) = form.strip_prefix(mark) {
            (align, widths) = (its_align, rest);
        }
    }
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|&width: &usize| is_number && width <= WIDTH_MAX)
    };
    let (least, most) = match widths.split_once('.') {
        None => (number(widths)?, number(widths)?),
        Some(("", most)) => (0, number(most)?),
        Some((least, most)) => (number(least)?, number(most)?),
    };
    let most = if field.is_text() { most } else { usize::MAX };
    (least <= most).then_some(Columns { least, most, align })
}

/// Writes messages as a template says.
pub struct Printer<'t> {
    template: &'t Template,
    zone: TimeZone,
    tree: Tree,
    is_terminal: bool,
    line: Vec<u8>,
    /// A field before it gets its columns.
    field: Vec<u8>,
    fitted: String,
}

impl<'t> Printer<'t> {
    pub fn new(template: &'t Template, is_terminal: bool) -> Printer<'t> {
        let tree = Tree::new(!is_terminal || terminal::draws_boxes());
        let (line, field, fitted) = (Vec::new(), Vec::new(), String::new());
        Printer { template, zone: zone::local(), tree, is_terminal, line, field, fitted }
    }

    /// A message, without what ends it.
    pub fn line(
        &mut self,
        message: &Message<'_>,
        place: Option<&InThread>,
        records: &mut Records,
    ) -> Result<&[u8], Error> {
        self.line.clear();
        for piece in &self.template.pieces {
            match piece {
                Piece::Literal(bytes) => self.line.extend_from_slice(bytes),
                Piece::Field(field, Form::Plain) => {
                    let value = Value { records, tree: &mut self.tree, is_terminal: self.is_terminal };
                    value.write(*field, message, place, &mut self.line)?;
                }
                Piece::Field(field, Form::Columns(columns)) => {
                    self.field.clear();
                    let value = Value { records, tree: &mut self.tree, is_terminal: self.is_terminal };
                    value.write(*field, message, place, &mut self.field)?;
                    self.fitted.clear();
                    columns.add(&mut self.fitted, &String::from_utf8_lossy(&self.field));
                    self.line.extend_from_slice(self.fitted.as_bytes());
                }
                Piece::Field(field, Form::Time(form)) => {
                    let seconds = if *field == Field::Date { message.entry.date } else { message.received() };
                    if let Some(time) = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
                        let time = jiff::fmt::strtime::format(form, &time.to_zoned(self.zone.clone()));
                        self.line.extend_from_slice(time.unwrap_or_default().as_bytes());
                    }
                }
            }
        }
        Ok(&self.line)
    }
}

/// Where the values of fields come from.
struct Value<'p> {
    records: &'p mut Records,
    tree: &'p mut Tree,
    is_terminal: bool,
}

impl Value<'_> {
    fn write(
        self,
        field: Field,
        message: &Message<'_>,
        place: Option<&InThread>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let entry = &message.entry;
        match field {
            Field::Uid => text::number(out, message.uid.get()),
            Field::Size => text::number(out, entry.size),
            Field::Change => text::number(out, message.change),
            Field::DateEpoch => number(out, entry.date),
            Field::ReceivedEpoch => number(out, message.received()),
            Field::Uidvalidity => text::number(out, self.records.uidvalidity()),
            Field::Thread => number(out, place.map(|place| place.first.get())),
            Field::Depth => number(out, place.map(|place| place.depth)),
            Field::Date => time_of(out, entry.date),
            Field::Received => time_of(out, message.received()),
            Field::Dir => out.extend_from_slice(message.status.sub().as_str().as_bytes()),
            Field::Flags => out.extend(message.status.flags().letters().map(|letter| letter as u8)),
            Field::Subject => self.text(out, entry.subject),
            Field::From => self.text(out, entry.from),
            Field::To => self.text(out, entry.to),
            Field::Cc => self.text(out, entry.cc),
            Field::MessageId => self.text(out, entry.message_id),
            Field::InReplyTo => self.text(out, entry.in_reply_to),
            Field::References => self.text(out, entry.references),
            Field::Keywords => self.text(out, &self.records.keywords(message).join(" ")),
            Field::Truncated => self.text(out, &entry.cut.names().collect::<Vec<_>>().join(" ")),
            Field::Folder => self.text(out, self.records.folder()),
            Field::Base => self.bytes(out, entry.base),
            Field::Path => {
                if let Some((_, path)) = self.records.place(message)? {
                    self.bytes(out, path.as_os_str().as_bytes());
                }
            }
            Field::Tree => {
                if let Some(place) = place {
                    out.extend_from_slice(self.tree.branch(place, TREE_LEVELS).as_bytes());
                }
            }
        }
        Ok(())
    }

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        let escaped = if self.is_terminal { text::escaped_for_terminal(out, text) } else { text::escaped(out, text) };
        escaped.expect("a Vec takes everything");
    }

    fn bytes(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        if !bytes.is_empty() {
            text::bytes(out, bytes, self.is_terminal).expect("a Vec takes everything");
        }
    }
}

fn number(out: &mut Vec<u8>, number: Option<impl itoa::Integer>) {
    if let Some(number) = number {
        text::number(out, number);
    }
}

fn time_of(out: &mut Vec<u8>, seconds: Option<i64>) {
    seconds.map(|seconds| text::time(out, seconds));
}
