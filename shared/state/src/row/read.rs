//! Reading canonical bytes: cells that this process wrote, and cells that a program brings as bytes.
//!
//! One reader serves both. It answers `None` where bytes end too early, and never reads past their end (I9); a caller
//! whose bytes were written or checked by this process says so in an `expect`.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::ids::{Ordinal, TypeId};

use super::form::scalar;
use super::{CellForm, ElementForm, LIST_ELEMENTS_MAX};

/// Walks canonical bytes from the front.
#[derive(Clone, Copy, Debug)]
pub struct CellReader<'a> {
    rest: &'a [u8],
}

/// What makes a cell's bytes unfit for its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Its bytes are not those of a value, or of several, of this kind.
    Bytes,
    /// A set or a map is not sorted, or holds a value or a key twice.
    Order,
    /// A reference to a component that does not exist.
    Dangling(TypeId, Ordinal),
}

impl<'a> CellReader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> CellReader<'a> {
        CellReader { rest: bytes }
    }

    /// Whether all bytes were taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// A count or a length.
    pub fn u32(&mut self) -> Option<u32> {
        let (four, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*four))
    }

    /// Bytes with their length before them.
    pub fn sized(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        self.take(len)
    }

    /// An element: of so many bytes, or with its length before it.
    #[inline]
    pub fn element(&mut self, width: Option<usize>) -> Option<&'a [u8]> {
        match width {
            Some(width) => self.take(width),
            None => self.sized(),
        }
    }
}

impl CellForm {
    /// Checks a cell whose bytes come from outside. `exists` says whether a component has this ordinal.
    ///
    /// # Errors
    /// The first [`Defect`].
    pub fn check(&self, cell: &[u8], exists: &mut impl FnMut(TypeId, Ordinal) -> bool) -> Result<(), Defect> {
        match self {
            CellForm::One(form) => form.check(cell, exists),
            CellForm::List(form) => check_elements(&[form], false, cell, exists),
            CellForm::Set(form) => check_elements(&[form], true, cell, exists),
            CellForm::Map(key, value) => check_elements(&[key, value], true, cell, exists),
        }
    }
}

/// Checks a count and as many entries, each a value for each of `forms`; the first is the key.
fn check_elements(
    forms: &[&ElementForm],
    is_sorted: bool,
    cell: &[u8],
    exists: &mut impl FnMut(TypeId, Ordinal) -> bool,
) -> Result<(), Defect> {
    let mut reader = CellReader::new(cell);
    let count = reader.u32().ok_or(Defect::Bytes)?;
    if usize::try_from(count).is_ok_and(|count| count > LIST_ELEMENTS_MAX) {
        return Err(Defect::Bytes);
    }
    let mut before: Option<&[u8]> = None;
    for _ in 0..count {
        let mut key = None;
        for form in forms {
            let value = reader.element(form.width()).ok_or(Defect::Bytes)?;
            form.check(value, exists)?;
            key.get_or_insert((value, form.order()));
        }
        let Some((key, order)) = key else { continue };
        if is_sorted && before.is_some_and(|before| order.compare(before, key).is_ge()) {
            return Err(Defect::Order);
        }
        before = Some(key);
    }
    if reader.is_empty() { Ok(()) } else { Err(Defect::Bytes) }
}

impl ElementForm {
    fn check(&self, bytes: &[u8], exists: &mut impl FnMut(TypeId, Ordinal) -> bool) -> Result<(), Defect> {
        if self.width().is_some_and(|width| bytes.len() != width) {
            return Err(Defect::Bytes);
        }
        let is_sound = match self {
            ElementForm::Bool => scalar(bytes) <= 1,
            ElementForm::Signed(width) => {
                let (number, spare) = (scalar(bytes).cast_signed(), spare_bits(*width));
                number.wrapping_shl(spare).wrapping_shr(spare) == number
            }
            ElementForm::Unsigned(width) => {
                let (number, spare) = (scalar(bytes), spare_bits(*width));
                number.wrapping_shl(spare).wrapping_shr(spare) == number
            }
            ElementForm::Variant(count) => scalar(bytes) < u64::from(*count),
            ElementForm::F32 | ElementForm::F64 | ElementForm::Bytes => true,
            ElementForm::Component(id) => {
                let ordinal = Ordinal(u32::try_from(scalar(bytes)).map_err(|_| Defect::Bytes)?);
                return if exists(*id, ordinal) { Ok(()) } else { Err(Defect::Dangling(*id, ordinal)) };
            }
            ElementForm::Text => std::str::from_utf8(bytes).is_ok(),
            ElementForm::Parts(parts) => {
                let mut reader = CellReader::new(bytes);
                for part in parts {
                    part.check(reader.element(part.width()).ok_or(Defect::Bytes)?, exists)?;
                }
                reader.is_empty()
            }
        };
        if is_sound { Ok(()) } else { Err(Defect::Bytes) }
    }
}

/// Bits of a scalar that an integer of so many bytes leaves unused.
fn spare_bits(bytes: u8) -> u32 {
    u64::BITS.saturating_sub(u32::from(bytes).saturating_mul(8))
}
