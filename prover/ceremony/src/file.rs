//! iden3's binary files: a magic word, a version, and sections with a number and a length each.
//!
//! A file may come from anybody and have any size, so nothing is read that was not asked for, and no room is made for
//! what a file says of itself before it is held against what it ought to be.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

use crate::points::Point;

/// Files have eleven at most.
const MAX_SECTIONS: u32 = 32;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read. For its owner to mend.
    #[error("cannot read the file")]
    Io(#[from] io::Error),
    /// It is not what it should be. The fault of where it came from.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What is wrong with a file. The fault of where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a file of this kind.
    #[error("not a file of this kind, or of a version that is not known here")]
    Kind,
    /// The sections are not where the file says.
    #[error("the file was cut short, or has bytes behind its end")]
    Length,
    /// There is no such section.
    #[error("section {0} is missing")]
    Missing(u32),
    /// The section is there more than once.
    #[error("section {0} is there twice")]
    Twice(u32),
    /// The section is not as long as it should be.
    #[error("section {0} has not the length that belongs to this circuit or power")]
    SectionLength(u32),
    /// The section holds something that it should not.
    #[error("section {0} cannot be read")]
    Content(u32),
    /// A point is not on its curve, or not in its subgroup, or not in its one encoding.
    #[error("section {section} has no valid point at position {position}")]
    Point {
        /// The section.
        section: u32,
        /// Counted from zero.
        position: usize,
    },
    /// A contribution is not in its one encoding.
    #[error("contribution {0} cannot be read")]
    Contribution(usize),
    /// The numbers are of another field.
    #[error("the file is not over the curve BN254")]
    Curve,
    /// A power of tau below the one that is needed, or above every one that there is.
    #[error("the powers of tau go up to 2^{0}, which will not do here")]
    Power(u32),
    /// The circuit has no rows, or names variables that it does not have.
    #[error("not a circuit")]
    Circuit,
}

/// The sections of an open file.
pub(crate) struct Sections<R> {
    source: R,
    /// Where each begins and how long it is.
    places: BTreeMap<u32, (u64, u64)>,
}

impl<R: Read + Seek> Sections<R> {
    pub(crate) fn open(mut source: R, magic: [u8; 4], newest: u32) -> Result<Self, ReadError> {
        let end = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        let head: [u8; 12] = read(&mut source).map_err(short(Malformed::Kind))?;
        let (found, rest) = head.split_at(4);
        let mut fields = Fields::new(rest);
        let (version, count) = (fields.u32().unwrap_or_default(), fields.u32().unwrap_or_default());
        if found != magic || version == 0 || version > newest || count > MAX_SECTIONS {
            return Err(Malformed::Kind.into());
        }
        let mut places = BTreeMap::new();
        let mut at = 12_u64;
        for _ in 0..count {
            let head: [u8; 12] = read(&mut source).map_err(short(Malformed::Length))?;
            let mut fields = Fields::new(&head);
            let (number, length) = (fields.u32().unwrap_or_default(), fields.u64().unwrap_or_default());
            let start = at + 12;
            at = start.checked_add(length).filter(|after| *after <= end).ok_or(Malformed::Length)?;
            if places.insert(number, (start, length)).is_some() {
                return Err(Malformed::Twice(number).into());
            }
            source.seek(SeekFrom::Start(at))?;
        }
        if at == end { Ok(Self { source, places }) } else { Err(Malformed::Length.into()) }
    }

    pub(crate) fn has(&self, section: u32) -> bool {
        self.places.contains_key(&section)
    }

    pub(crate) fn len(&self, section: u32) -> Result<u64, Malformed> {
        self.places.get(&section).map(|(_, length)| *length).ok_or(Malformed::Missing(section))
    }

    /// A whole section, which must have this length.
    pub(crate) fn exactly(&mut self, section: u32, length: usize) -> Result<Vec<u8>, ReadError> {
        if self.len(section)? != length as u64 {
            return Err(Malformed::SectionLength(section).into());
        }
        self.part(section, 0, length)
    }

    /// A whole section of at most this length.
    pub(crate) fn at_most(&mut self, section: u32, length: usize) -> Result<Vec<u8>, ReadError> {
        let actual = usize::try_from(self.len(section)?).unwrap_or(usize::MAX);
        if actual > length {
            return Err(Malformed::SectionLength(section).into());
        }
        self.part(section, 0, actual)
    }

    /// So many points of a section, from one on.
    pub(crate) fn points<P: Point>(&mut self, section: u32, from: usize, count: usize) -> Result<Vec<P>, ReadError> {
        let bytes = self.part(section, from * P::bytes(), count * P::bytes())?;
        let point = |(position, bytes): (usize, &[u8])| {
            P::read(bytes).ok_or_else(|| Malformed::Point { section, position: from + position }.into())
        };
        bytes.chunks_exact(P::bytes()).enumerate().map(point).collect()
    }

    /// All points of a section, which must be so many.
    pub(crate) fn all_points<P: Point>(&mut self, section: u32, count: usize) -> Result<Vec<P>, ReadError> {
        if self.len(section)? != (count * P::bytes()) as u64 {
            return Err(Malformed::SectionLength(section).into());
        }
        self.points(section, 0, count)
    }

    /// Part of a section.
    fn part(&mut self, section: u32, from: usize, length: usize) -> Result<Vec<u8>, ReadError> {
        let (start, whole) = *self.places.get(&section).ok_or(Malformed::Missing(section))?;
        if (from + length) as u64 > whole {
            return Err(Malformed::SectionLength(section).into());
        }
        self.source.seek(SeekFrom::Start(start + from as u64))?;
        let mut bytes = vec![0; length];
        self.source.read_exact(&mut bytes).map_err(short(Malformed::Length))?;
        Ok(bytes)
    }
}

/// A file of these sections.
pub(crate) fn assemble(magic: [u8; 4], sections: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let count = u32::try_from(sections.len()).expect("eleven at most");
    let mut bytes = [magic, 1_u32.to_le_bytes(), count.to_le_bytes()].concat();
    for (number, section) in sections {
        bytes.extend(number.to_le_bytes());
        bytes.extend((section.len() as u64).to_le_bytes());
        bytes.extend(section);
    }
    bytes
}

/// Points as a section holds them.
pub(crate) fn section<P: Point>(points: &[P]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * P::bytes());
    points.iter().for_each(|point| point.write(&mut bytes));
    bytes
}

/// Bytes that are read from front to back.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn point<P: Point>(&mut self) -> Option<P> {
        P::read(self.take(P::bytes())?)
    }
}

fn read<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A file that ends too early is malformed; all else is the system's.
fn short(malformed: Malformed) -> impl Fn(io::Error) -> ReadError {
    move |error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed.into(),
        _ => error.into(),
    }
}
