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
