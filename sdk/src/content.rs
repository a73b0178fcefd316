//! Content: what a letter says, and of which type it is (docs/protocol.md, "Sending"; litepaper 4.2, 7.1).
//!
//! A type is `authority/name:major.minor`, such as `xmtp.org/text:1.0`. Who does not know it shows the fallback.

use std::fmt;
use std::str::FromStr;

use prost::Message as _;
use xmtp_proto::wire;

/// The longest encoding: 1 MiB less 8 KiB, so that it fits an invite with everything around it.
pub const MAX_BYTES: usize = (1 << 20) - (8 << 10);
/// The longest authority, and the longest name, of a content type.
pub const MAX_ID_BYTES: usize = 64;

/// Plain text, UTF-8: `xmtp.org/text:1.0`.
pub const TEXT: (&str, &str, u32, u32) = ("xmtp.org", "text", 1, 0);

/// That the reader may write to the author: an attestation of 108 bytes, `xmtp.org/connection:1.0`.
pub const CONNECTION: (&str, &str, u32, u32) = ("xmtp.org", "connection", 1, 0);

/// A content type, `authority/name:major.minor`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContentType {
    authority: String,
    name: String,
    major: u32,
    minor: u32,
}

/// Something with a content type.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    content_type: ContentType,
    fallback: Option<String>,
    body: Vec<u8>,
}

/// No content. The fault of whoever made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContent {
    /// Not `authority/name:major.minor`, or a part of it is empty or too long.
    #[error(
        "a content type is written `authority/name:major.minor`, with at most {MAX_ID_BYTES} letters, digits, `.`, `-` \
         and `_` in authority and name"
    )]
    Type,
    /// Longer than [`MAX_BYTES`].
    #[error("{got} bytes of content, and at most {MAX_BYTES} are allowed")]
    TooLarge {
        /// Bytes.
        got: usize,
    },
    /// No message of this schema.
    #[error("the content does not decode: {0}")]
    Encoding(prost::DecodeError),
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotText,
}

impl ContentType {
    /// A content type from its parts.
    ///
    /// # Errors
    /// [`InvalidContent::Type`] if authority or name is empty, longer than [`MAX_ID_BYTES`], or holds other characters
    /// than ASCII letters, digits, `.`, `-` and `_`.
    pub fn new(authority: &str, name: &str, major: u32, minor: u32) -> Result<Self, InvalidContent> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let sound = |id: &str| (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(plain);
        if !sound(authority) || !sound(name) {
            return Err(InvalidContent::Type);
        }
        Ok(Self { authority: authority.to_owned(), name: name.to_owned(), major, minor })
    }

    /// Plain text: `xmtp.org/text:1.0`.
    #[must_use]
    pub fn text() -> Self {
        let (authority, name, major, minor) = TEXT;
        Self { authority: authority.to_owned(), name: name.to_owned(), major, minor }
    }

    /// A connection: `xmtp.org/connection:1.0`.
    #[must_use]
    pub fn connection() -> Self {
        let (authority, name, major, minor) = CONNECTION;
        Self { authority: authority.to_owned(), name: name.to_owned(), major, minor }
    }

    /// Whether who reads `other` can read this: the same authority, name and major version.
    #[must_use]
    pub fn is_read_as(&self, other: &Self) -> bool {
        (&self.authority, &self.name, self.major) == (&other.authority, &other.name, other.major)
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authority, name, major, minor } = self;
        write!(f, "{authority}/{name}:{major}.{minor}")
    }
}

impl FromStr for ContentType {
    type Err = InvalidContent;

    fn from_str(text: &str) -> Result<Self, InvalidContent> {
        let parse = || {
            let (authority, rest) = text.split_once('/')?;
            let (name, version) = rest.split_once(':')?;
            let (major, minor) = version.split_once('.')?;
            Self::new(authority, name, major.parse().ok()?, minor.parse().ok()?).ok()
        };
        // A number has other spellings (`+1`, `01`), a type has one.
        parse().filter(|it| it.to_string() == text).ok_or(InvalidContent::Type)
    }
}

impl Content {
    /// Plain text.
    ///
    /// # Errors
    /// [`InvalidContent::TooLarge`].
    pub fn text(text: impl Into<String>) -> Result<Self, InvalidContent> {
        Self::new(ContentType::text(), None, text.into().into_bytes())
    }

    /// Content of any type, with what is shown where the type is unknown.
    ///
    /// # Errors
    /// [`InvalidContent::TooLarge`]; [`InvalidContent::NotText`] if the type is text and the body is not UTF-8.
    pub fn new(content_type: ContentType, fallback: Option<String>, body: Vec<u8>) -> Result<Self, InvalidContent> {
        if content_type.is_read_as(&ContentType::text()) && str::from_utf8(&body).is_err() {
            return Err(InvalidContent::NotText);
        }
        let it = Self { content_type, fallback, body };
        bounded(wire::Content::from(it.clone()).encoded_len())?;
        Ok(it)
    }

    /// Of which type it is.
    #[must_use]
    pub const fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// What to show where the type is unknown.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Encoded as its type says.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if !self.content_type.is_read_as(&ContentType::text()) {
            return None;
        }
        str::from_utf8(&self.body).ok()
    }

    /// What a program that knows text only can show: the text, or the fallback.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        self.as_text().or_else(|| self.fallback())
    }

    /// The wire encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::Content::from(self.clone()).encode_to_vec()
    }

    /// Reads the wire encoding.
    ///
    /// # Errors
    /// [`InvalidContent`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidContent> {
        bounded(bytes.len())?;
        wire::Content::decode(bytes).map_err(InvalidContent::Encoding)?.try_into()
    }
}

fn bounded(got: usize) -> Result<(), InvalidContent> {
    if got > MAX_BYTES { Err(InvalidContent::TooLarge { got }) } else { Ok(()) }
}

impl TryFrom<wire::Content> for Content {
    type Error = InvalidContent;

    fn try_from(wire: wire::Content) -> Result<Self, InvalidContent> {
        let wire::Content { r#type, fallback, body } = wire;
        let wire::ContentType { authority, name, major, minor } = r#type.ok_or(InvalidContent::Type)?;
        Self::new(ContentType::new(&authority, &name, major, minor)?, fallback, body)
    }
}

impl From<Content> for wire::Content {
    fn from(it: Content) -> Self {
        let Content { content_type: ContentType { authority, name, major, minor }, fallback, body } = it;
        Self { r#type: Some(wire::ContentType { authority, name, major, minor }), fallback, body }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::hex;

    use super::*;

    #[test]
    fn type_has_one_spelling() {
        for text in ["xmtp.org/text:1.0", "example.com/a_b-c:0.4294967295"] {
            assert_eq!(text.parse::<ContentType>().map(|it| it.to_string()).as_deref(), Ok(text));
        }
        let long = format!("{}/text:1.0", "a".repeat(MAX_ID_BYTES + 1));
        for text in [
            "",
            "xmtp.org",
            "xmtp.org/text",
            "xmtp.org/text:1",
            "xmtp.org/text:1.0.0",
            "xmtp.org/text:01.0",
            "xmtp.org/text:+1.0",
            "xmtp.org/text:1.4294967296",
            "/text:1.0",
            "xmtp.org/:1.0",
            "xmtp.org/te xt:1.0",
            "xmtp.org/te/xt:1.0",
            "xmtp.org/t\u{e9}xt:1.0",
            &long,
        ] {
            assert_eq!(text.parse::<ContentType>(), Err(InvalidContent::Type), "{text}");
        }
    }

    #[test]
    fn text_is_pinned() {
        let content = Content::text("hi").unwrap();
        // type { authority "xmtp.org", name "text", major 1 }, body "hi".
        let bytes = hex!("0a120a08786d74702e6f726712047465787418012202 6869");
        assert_eq!(hex::encode(content.to_bytes()), hex::encode(bytes));
        assert!(Content::from_bytes(&bytes) == Ok(content));
    }

    #[test]
    fn later_minor_version_of_text_is_read_and_another_type_shows_its_fallback() {
        let of = |content_type: &str, fallback: Option<&str>, body: &[u8]| {
            let content_type = content_type.parse().unwrap();
            let content = Content::new(content_type, fallback.map(str::to_owned), body.to_vec()).ok().unwrap();
            let again = Content::from_bytes(&content.to_bytes()).ok().unwrap();
            (again.as_text().map(str::to_owned), again.shown().map(str::to_owned))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of("xmtp.org/text:1.7", None, b"hello"), (text("hello"), text("hello")));
        assert_eq!(of("xmtp.org/text:2.0", Some("a text"), b"hello"), (None, text("a text")));
        assert_eq!(of("xmtp.org/text:2.0", None, b"hello"), (None, None));
        assert_eq!(of("example.com/text:1.0", Some(""), &[0xff]), (None, text("")));
    }

    #[test]
    fn what_is_no_content_is_refused() {
        let new = Content::new(ContentType::text(), None, vec![0xff]);
        assert_eq!(new.err(), Some(InvalidContent::NotText));
        let wire = |change: fn(&mut wire::Content)| {
            let mut wire = wire::Content::from(Content::text("hi").ok().unwrap());
            change(&mut wire);
            Content::from_bytes(&wire.encode_to_vec()).err()
        };
        assert_eq!(wire(|_| ()), None);
        assert_eq!(wire(|wire| wire.r#type = None), Some(InvalidContent::Type));
        assert_eq!(wire(|wire| wire.body = vec![0xc3]), Some(InvalidContent::NotText));
        assert_eq!(wire(|wire| wire.r#type.as_mut().unwrap().name.clear()), Some(InvalidContent::Type));
        assert!(matches!(Content::from_bytes(&[0x0a, 0x05]).err(), Some(InvalidContent::Encoding(_))));
    }

    #[test]
    fn content_of_the_largest_size_is_the_last_to_be_taken() {
        let overhead = Content::text(" ".repeat(MAX_BYTES - 100)).ok().unwrap().to_bytes().len() - (MAX_BYTES - 100);
        let largest = MAX_BYTES - overhead;
        let content = Content::text(" ".repeat(largest)).ok().unwrap();
        assert_eq!(content.to_bytes().len(), MAX_BYTES);
        assert!(Content::from_bytes(&content.to_bytes()).is_ok());
        let got = MAX_BYTES + 1;
        assert_eq!(Content::text(" ".repeat(largest + 1)).err(), Some(InvalidContent::TooLarge { got }));
        assert_eq!(Content::from_bytes(&vec![0; got]).err(), Some(InvalidContent::TooLarge { got }));
    }
}
