//! Tagged sections: the part of every log object that grows.
//!
//! ```text
//! table    per section: tag u16 | flags u16 | length u32 | hash of the content, 33 bytes
//! contents of the sections, one after another, in the order of the table
//! ```
//!
//! The table comes before the contents and is covered by its object's hash, so that a few bytes prove all of it: a reader
//! that needs one section can fetch and check it alone.
//!
//! Rules: a section's content never changes its shape, more to say is a new tag; an unknown tag is passed over unless
//! it is critical; an unknown flag on a known tag, or an unknown kind of hash, is a newer release's; tags from 0x8000
//! on are data, bytes of the engine's own, all others are control records; no tag comes twice; a section may be not
//! covered (hash kind 0), so that a signature of the object fits into the object, if no reader has to know its tag.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use bytes::Bytes;

use super::error::DecodeError;
use cenote_state::codec::{self, Wire};
use cenote_state::hash::{HASH_BYTES, Hash};

/// Bytes of a section's line in the table.
pub(super) const LINE_BYTES: usize = 2 + 2 + 4 + HASH_BYTES;
/// Sections of one object.
pub(super) const SECTIONS_MAX: usize = 64;
/// Tags from here on are data.
pub(super) const DATA_TAGS: u16 = 0x8000;
/// A reader that doesn't know the tag must not go on.
pub(super) const CRITICAL: u16 = 1;

const CONTROL_BYTES_MAX: usize = 1 << 20;

const _: () = assert!(LINE_BYTES == 41);

/// A tag with the name that messages give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) number: u16,
    pub(super) name: &'static str,
}

#[derive(Clone, Debug)]
struct Section {
    tag: u16,
    flags: u16,
    content: Bytes,
}

/// The sections of one object.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    list: Vec<Section>,
}

impl Sections {
    /// Adds a control record that every reader must know.
    pub(super) fn control(&mut self, tag: Tag, value: &impl Wire, object: &str) -> Result<(), DecodeError> {
        let content =
            codec::encode(value, CONTROL_BYTES_MAX).map_err(|error| DecodeError::section(object, tag.name, &error))?;
        self.push(tag, content.into());
        Ok(())
    }

    /// Adds bytes that every reader must know.
    pub(super) fn push(&mut self, tag: Tag, content: Bytes) {
        self.list.push(Section { tag: tag.number, flags: CRITICAL, content });
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes of content: control, data.
    pub(super) fn content_bytes(&self) -> (usize, usize) {
        let sum = |data: bool| {
            let wanted = self.list.iter().filter(|section| (section.tag >= DATA_TAGS) == data);
            wanted.map(|section| section.content.len()).sum()
        };
        (sum(false), sum(true))
    }

    pub(super) fn table(&self) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.list.len().saturating_mul(LINE_BYTES));
        for section in &self.list {
            table.extend_from_slice(&section.tag.to_le_bytes());
            table.extend_from_slice(&section.flags.to_le_bytes());
            let length = u32::try_from(section.content.len()).expect("a section's limit is below 4 GiB");
            table.extend_from_slice(&length.to_le_bytes());
            table.extend_from_slice(&Hash::of(&section.content).to_bytes());
        }
        table
    }

    pub(super) fn append_contents(&self, out: &mut Vec<u8>) {
        self.list.iter().for_each(|section| out.extend_from_slice(&section.content));
    }

    /// Reads `contents` by a `table` that is already proven. `known` are the tags of this object's kind.
    pub(super) fn parse(
        object: &str,
        table: &[u8],
        mut contents: Bytes,
        known: &[Tag],
    ) -> Result<Sections, DecodeError> {
        let (lines, _) = table.as_chunks();
        let mut list = Vec::with_capacity(lines.len());
        for line in lines.iter().map(Line::read) {
            let missing = line.length.saturating_sub(contents.len());
            if missing > 0 {
                let cause = format!("it ends inside section {}, {missing} bytes short", line.tag);
                return Err(DecodeError::damaged(object, cause));
            }
            let content = contents.split_to(line.length);
            if line.is_needed(object, known)? {
                line.check(object, &content)?;
                list.push(Section { tag: line.tag, flags: line.flags, content });
            }
        }
        let sections = Sections { list };
        sections.check_unique(object)?;
        match contents.len() {
            0 => Ok(sections),
            extra => Err(DecodeError::damaged(object, format!("{extra} bytes too many at its end"))),
        }
    }

    fn check_unique(&self, object: &str) -> Result<(), DecodeError> {
        let mut tags: Vec<_> = self.list.iter().map(|section| section.tag).collect();
        tags.sort_unstable();
        match tags.iter().zip(tags.iter().skip(1)).find(|(one, next)| one == next) {
            Some((tag, _)) => Err(DecodeError::damaged(object, format!("section {tag} appears twice"))),
            None => Ok(()),
        }
    }

    /// The content of the section with this tag.
    pub(super) fn find(&self, tag: Tag) -> Option<&Bytes> {
        self.list.iter().find(|section| section.tag == tag.number).map(|section| &section.content)
    }

    /// The record in the section with this tag, if it is there.
    pub(super) fn record<T: Wire>(&self, object: &str, tag: Tag) -> Result<Option<T>, DecodeError> {
        let decode = |content: &Bytes| codec::decode(content, CONTROL_BYTES_MAX);
        self.find(tag).map(decode).transpose().map_err(|error| DecodeError::section(object, tag.name, &error))
    }

    /// The record in the section with this tag, which must be there.
    pub(super) fn required<T: Wire>(&self, object: &str, tag: Tag) -> Result<T, DecodeError> {
        let missing = || DecodeError::damaged(object, format!("its section {} is missing", tag.name));
        self.record(object, tag)?.ok_or_else(missing)
    }
}

/// A line of the table.
struct Line {
    tag: u16,
    flags: u16,
    length: usize,
    hash: Hash,
}

impl Line {
    fn read(bytes: &[u8; LINE_BYTES]) -> Line {
        let [t0, t1, f0, f1, l0, l1, l2, l3, hash @ ..] = bytes;
        Line {
            tag: u16::from_le_bytes([*t0, *t1]),
            flags: u16::from_le_bytes([*f0, *f1]),
            length: u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize,
            hash: Hash::from_bytes(hash),
        }
    }

    fn is_needed(&self, object: &str, known: &[Tag]) -> Result<bool, DecodeError> {
        let is_known = known.iter().any(|tag| tag.number == self.tag);
        if !self.hash.covers() && (is_known || self.flags & CRITICAL != 0) {
            return Err(DecodeError::damaged(object, format!("section {} is not covered by a hash", self.tag)));
        }
        if !is_known && self.flags & CRITICAL != 0 {
            return Err(DecodeError::needs_upgrade(object, format!("section {} is critical and unknown", self.tag)));
        }
        if is_known && self.flags & !CRITICAL != 0 {
            let what = format!("section {} has unknown flags {:#06x}", self.tag, self.flags);
            return Err(DecodeError::needs_upgrade(object, what));
        }
        Ok(is_known)
    }

    fn check(&self, object: &str, content: &[u8]) -> Result<(), DecodeError> {
        self.hash.check([content]).map_err(|error| DecodeError::hash(object, &format!("section {}", self.tag), error))
    }
}

/// The lengths that a table announces: control, data. Every table is measured before anything is read by it.
pub(super) fn announced_bytes(table: &[u8]) -> (usize, usize) {
    let (mut control, mut data): (usize, usize) = (0, 0);
    for line in table.as_chunks().0.iter().map(Line::read) {
        let sum = if line.tag >= DATA_TAGS { &mut data } else { &mut control };
        *sum = sum.saturating_add(line.length);
    }
    (control, data)
}

/// Puts right hashes into the table at `at`, as far as its sections fit.
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "for tests, on bytes that they made")]
pub(super) fn repair(bytes: &mut [u8], at: usize, count: usize) {
    let mut start = at + count * LINE_BYTES;
    for line in (0..count).map(|index| at + index * LINE_BYTES) {
        let Some(length) = bytes.get(line..).and_then(|rest| rest.first_chunk()).map(|line| Line::read(line).length)
        else {
            return;
        };
        let Some(content) = start.checked_add(length).and_then(|end| bytes.get(start..end)) else { return };
        let hash = Hash::of(content).to_bytes();
        bytes[line + LINE_BYTES - HASH_BYTES..line + LINE_BYTES].copy_from_slice(&hash);
        start += length;
    }
}
