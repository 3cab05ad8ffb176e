//! The text of a mail: of all its parts, decoded.

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};

use crate::maildir::summary::text_of;

/// What a mail says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// All parts that are text, and those of mails that are attached. HTML is as it was written, with its tags.
    pub body: String,
    /// The headers of the parts, and of attached mails; not that of the mail itself.
    pub headers: String,
}

/// Reads a mail, whose header has so many bytes. Nothing is too broken to be read: what makes no sense is taken as text.
pub fn texts(mail: &[u8], header_len: usize) -> Texts {
    let mut texts = Texts::default();
    match MessageParser::new().parse(mail) {
        Some(message) => texts.add(&message, true),
        None => texts.body = String::from_utf8_lossy(&mail[header_len..]).into_owned(),
    }
    texts
}

impl Texts {
    fn add(&mut self, message: &Message<'_>, is_top: bool) {
        for (number, part) in message.parts.iter().enumerate() {
            let header = message.raw_message.get(part.offset_header as usize..part.offset_body as usize);
            if let Some(header) = header.filter(|_| !is_top || number > 0) {
                self.headers += &text_of(header);
            }
            match &part.body {
                PartType::Text(text) | PartType::Html(text) => self.add_text(text),
                PartType::Message(message) => self.add(message, false),
                // Of a mail that did not arrive: message/delivery-status.
                PartType::Binary(bytes) | PartType::InlineBinary(bytes)
                    if part.content_type().is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("message")) =>
                {
                    self.add_text(&String::from_utf8_lossy(bytes));
                }
                PartType::Binary(_) | PartType::InlineBinary(_) | PartType::Multipart(_) => {}
            }
        }
    }

    /// Nothing is found across the border between two parts.
    fn add_text(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\0');
    }
}
