//! Fixed layouts: fields one after the other, integers big-endian, what varies behind its length. For bytes that hold
//! secrets: the buffer is sized first and never grows, so no copy is left behind, and is wiped when dropped.

use zeroize::Zeroizing;

/// The bytes are not of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not of the expected layout")]
pub(crate) struct Unreadable;

/// The parts, one after the other.
pub(crate) fn join(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The length of a part, as a field of four bytes. What is too long to be counted so is refused before it gets here.
pub(crate) fn length(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Reads fields in order.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Unreadable> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(array)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A part behind its length of four bytes.
    pub(crate) fn part(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(self.u32()?).map_err(|_| Unreadable)?;
        self.bytes(length)
    }

    /// Text behind its length of four bytes.
    pub(crate) fn text(&mut self) -> Result<&'a str, Unreadable> {
        str::from_utf8(self.part()?).map_err(|_| Unreadable)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Unreadable> {
        self.array().map(|&[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Unreadable> {
        self.array().copied().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.array().copied().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Unreadable> {
        self.array().copied().map(u64::from_be_bytes)
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(crate) const fn end(self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::content::Content;
    use crate::identity::Identity;
    use crate::invite::Invitation;

    #[test]
    fn fields_are_read_as_they_were_joined() {
        let bytes =
            join(&[&[1], &2_u16.to_be_bytes(), &3_u32.to_be_bytes(), &4_u64.to_be_bytes(), &length(b"text"), b"text"]);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u8(), reader.u16(), reader.u32(), reader.u64()), (Ok(1), Ok(2), Ok(3), Ok(4)));
        assert_eq!((reader.text(), reader.u8()), (Ok("text"), Err(Unreadable)));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(Reader::new(&bytes).end(), Err(Unreadable));
        assert_eq!(Reader::new(&[0xff; 4]).part(), Err(Unreadable), "a length beyond the end");
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0xff]).text(), Err(Unreadable), "not UTF-8");
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_reader(mut bytes in vec(any::<u8>(), 0..500), format in 0..2_u8) {
            if let Some(first) = bytes.first_mut() {
                *first = format;
            }
            if let Ok(identity) = Identity::from_secret_bytes(&bytes) {
                prop_assert_eq!(&*identity.to_secret_bytes(), &bytes);
            }
            let _ = Invitation::from_secret_bytes(&bytes);
            if let Ok(content) = Content::from_bytes(&bytes) {
                prop_assert!(Content::from_bytes(&content.to_bytes()) == Ok(content));
            }
        }
    }
}
